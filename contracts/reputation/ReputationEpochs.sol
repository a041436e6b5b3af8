// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Couplings, Fault, IReputationEpochs} from "../interfaces/IReputationEpochs.sol";
import {IStakeVault} from "../interfaces/IStakeVault.sol";
import {ITrustLedger} from "../interfaces/ITrustLedger.sol";
import {LeafTree} from "../libraries/LeafTree.sol";
import {ReputationLeaf} from "../libraries/ReputationLeaf.sol";
import {ReputationMap} from "../libraries/ReputationMap.sol";
import {Speakers} from "../libraries/Speakers.sol";
import {TopicRoot} from "../libraries/Types.sol";
import {EpochCandidates} from "./EpochCandidates.sol";
import {EpochChallenges} from "./EpochChallenges.sol";
import {EpochPriors} from "./EpochPriors.sol";
import {EpochRequests} from "./EpochRequests.sol";

/// @title Reputation epochs: commit, challenge, finalize
/// @notice See IReputationEpochs. What stands here is the life of a root that nobody can fault: committed, finalized, read.
contract ReputationEpochs is EpochRequests, EpochChallenges {
    using ReputationLeaf for uint256;

    /// @dev Bounds a watcher's work an epoch. Struck candidates do not count: false ones cannot keep true ones out.
    uint256 private constant MAX_STANDING = 8;
    /// @dev Bounds the gas of a commit; more topics fit into further candidates, since topics finalize one by one.
    uint256 private constant MAX_TOPICS = 32;

    constructor(
        ITrustLedger ledger,
        IStakeVault vault,
        address registry,
        uint256 publisherBond_,
        Couplings memory couplings
    ) EpochCandidates(ledger, vault, registry, publisherBond_) EpochPriors(couplings) {}

    /// @inheritdoc IReputationEpochs
    function commit(
        uint32 publisher,
        bytes32 closingBlockHash,
        TopicRoot[] calldata topics,
        bytes calldata leaves
    ) external returns (uint256 candidateId) {
        if (!Speakers.speaksFor(REGISTRY, msg.sender, publisher))
            revert ReputationEpochsNotAuthorized(publisher, msg.sender);
        uint32 closed = _closedEpoch();
        uint256 closesAt = _startOf(closed + 1) + EPOCH_LENGTH / 3;
        if (closed == 0 || block.timestamp >= closesAt) {
            revert ReputationEpochsCommitClosed(closed, closesAt, block.timestamp);
        }
        candidateId = _takeCandidateId(closed);
        _storeTopics(candidateId, topics);
        Candidate memory former = _candidates[_ringKey(candidateId)];
        _candidates[_ringKey(candidateId)] = Candidate({
            publisher: publisher,
            epoch: closed,
            committedAt: uint48(block.timestamp),
            fault: Fault.None,
            isReleased: false,
            openRequests: 0
        });
        emit EpochCommitted(closed, candidateId, publisher, closingBlockHash, topics, leaves);
        _moveBond(former, publisher);
    }

    /// @inheritdoc IReputationEpochs
    function finalize(uint32 epoch, uint64[] calldata topics) external {
        uint256 notBefore = _startOf(uint256(epoch) + 2);
        if (block.timestamp < notBefore) {
            revert ReputationEpochsNotFinalizable(epoch, notBefore, block.timestamp);
        }
        for (uint256 k; k < topics.length; ++k) _finalize(epoch, topics[k]);
    }

    /// @inheritdoc IReputationEpochs
    function releaseBond(uint256 candidateId) external {
        Candidate memory candidate = _standing(candidateId);
        if (candidate.isReleased || block.timestamp < _startOf(uint256(candidate.epoch) + 2)) {
            revert ReputationEpochsBondHeld(candidateId);
        }
        if (candidate.openRequests != 0) {
            revert ReputationEpochsRequestsOpen(candidateId, candidate.openRequests);
        }
        _candidates[_ringKey(candidateId)].isReleased = true;
        emit BondReleased(candidateId, candidate.publisher);
        VAULT.unlock(candidate.publisher, publisherBond);
    }

    /// @inheritdoc IReputationEpochs
    function verifyScore(
        uint256 query,
        uint256 leaf,
        bytes32[] calldata proof
    ) external view returns (uint32 agentId, uint64 score) {
        uint64 topic = uint64(query);
        uint256 epoch = uint32(query >> 64);
        uint256 index = query >> 96;
        FinalizedTopic memory pinned = _finalized[topic];
        if (pinned.epoch != epoch || epoch == 0) revert ReputationEpochsNotFinalized(topic, epoch, pinned.epoch);
        if (
            index >= pinned.leafCount ||
            proof.length != pinned.depth ||
            LeafTree.rootOf(leaf, index, proof) != pinned.root
        ) {
            revert ReputationEpochsScoreProof(topic, epoch, index);
        }
        return (uint32(leaf.agentOf()), uint64(leaf.scoreOf()));
    }

    /// @inheritdoc IReputationEpochs
    function finalizedOf(
        uint64 topic
    ) external view returns (bytes32 root, uint32 epoch, uint32 leafCount, uint8 depth, uint256 candidateId) {
        FinalizedTopic memory pinned = _finalized[topic];
        return (pinned.root, pinned.epoch, pinned.leafCount, pinned.depth, pinned.candidateId);
    }

    /// @inheritdoc IReputationEpochs
    function candidateOf(
        uint256 candidateId
    )
        external
        view
        returns (uint32 publisher, uint32 epoch, uint48 committedAt, Fault fault, bool isReleased, uint32 openRequests)
    {
        Candidate memory found = _candidates[_ringKey(candidateId)];
        if (found.epoch != candidateId >> 32) return (0, 0, 0, Fault.None, false, 0);
        return (found.publisher, found.epoch, found.committedAt, found.fault, found.isReleased, found.openRequests);
    }

    /// @inheritdoc IReputationEpochs
    function topicOf(
        uint256 candidateId,
        uint64 topic
    ) external view returns (bytes32 root, uint64 multiplier, uint8 shift, uint32 leafCount, uint8 depth) {
        CommittedTopic memory found = _topics[_topicKey(candidateId, topic)];
        if (found.epoch != candidateId >> 32) return (0, 0, 0, 0, 0);
        return (found.root, found.multiplier, found.shift, found.leafCount, found.depth);
    }

    /// @inheritdoc IReputationEpochs
    function candidateCountOf(uint32 epoch) external view returns (uint32 committed, uint32 standing) {
        Round memory round = _rounds[epoch % RING];
        return round.epoch == epoch ? (round.committed, round.standing) : (0, 0);
    }

    function _takeCandidateId(uint32 epoch) private returns (uint256 candidateId) {
        Round memory round = _rounds[epoch % RING];
        if (round.epoch != epoch) round = Round({epoch: epoch, committed: 0, standing: 0});
        if (round.standing == MAX_STANDING) revert ReputationEpochsTooManyCandidates(epoch, MAX_STANDING);
        candidateId = (uint256(epoch) << 32) | round.committed;
        ++round.committed;
        ++round.standing;
        _rounds[epoch % RING] = round;
    }

    function _storeTopics(uint256 candidateId, TopicRoot[] calldata topics) private {
        if (topics.length == 0 || topics.length > MAX_TOPICS) revert ReputationEpochsBadTopics(0);
        uint64 last;
        for (uint256 k; k < topics.length; ++k) {
            TopicRoot calldata given = topics[k];
            uint32 leafCount = LEDGER.seatsAt(given.topic);
            // INVARIANT: a topic is committed once by a candidate, for as many leaves as the ledger has seats.
            if (given.topic <= last || leafCount == 0 || given.root == 0) revert ReputationEpochsBadTopics(given.topic);
            last = given.topic;
            if (
                given.multiplier == 0 ||
                given.multiplier > ReputationMap.MAX_MULTIPLIER ||
                given.shift > ReputationMap.MAX_SHIFT
            ) {
                revert ReputationEpochsBadLambda(given.topic, given.multiplier, given.shift);
            }
            _topics[_topicKey(candidateId, given.topic)] = CommittedTopic({
                root: given.root,
                multiplier: given.multiplier,
                epoch: uint32(candidateId >> 32),
                leafCount: leafCount,
                shift: given.shift,
                depth: uint8(LeafTree.depthOf(leafCount))
            });
        }
    }

    /// @dev Locks the publisher's bond; the bond that the slot's former candidate still holds is carried over or released.
    /// INVARIANT: this contract's lock of an agent is publisherBond times its candidates neither struck nor released.
    function _moveBond(Candidate memory former, uint32 publisher) private {
        if (former.publisher != 0 && former.fault == Fault.None && !former.isReleased) {
            if (former.publisher == publisher) return;
            VAULT.unlock(former.publisher, publisherBond);
        }
        VAULT.lock(publisher, publisherBond);
    }

    function _finalize(uint32 epoch, uint64 topic) private {
        uint32 last = _finalized[topic].epoch;
        // INVARIANT: the finalized epoch of a topic only rises.
        if (last >= epoch) revert ReputationEpochsAlreadyFinalized(topic, epoch, last);
        uint256 candidateId = _firstStanding(epoch, topic);
        Candidate memory candidate = _candidates[_ringKey(candidateId)];
        if (candidate.openRequests != 0) {
            revert ReputationEpochsRequestsOpen(candidateId, candidate.openRequests);
        }
        CommittedTopic memory committed = _topics[_topicKey(candidateId, topic)];
        FinalizedTopic memory fresh = FinalizedTopic({
            root: committed.root,
            epoch: epoch,
            leafCount: committed.leafCount,
            depth: committed.depth,
            candidateId: uint64(candidateId),
            multiplier: committed.multiplier,
            shift: committed.shift,
            finalizedIn: _closedEpoch() + 1
        });
        _pin(topic, fresh);
        emit TopicFinalized(
            topic,
            epoch,
            candidateId,
            candidate.publisher,
            fresh.root,
            fresh.leafCount,
            fresh.finalizedIn
        );
    }

    /// @dev Loops over all candidates of the epoch: at most MAX_STANDING that stand, and each other one has lost a bond.
    function _firstStanding(uint32 epoch, uint64 topic) private view returns (uint256 candidateId) {
        Round memory round = _rounds[epoch % RING];
        uint256 committed = round.epoch == epoch ? round.committed : 0;
        for (uint256 order; order < committed; ++order) {
            candidateId = (uint256(epoch) << 32) | order;
            bool isStruck = _candidates[_ringKey(candidateId)].fault != Fault.None;
            if (!isStruck && _topics[_topicKey(candidateId, topic)].epoch == epoch) return candidateId;
        }
        revert ReputationEpochsNoCandidate(epoch, topic);
    }
}
