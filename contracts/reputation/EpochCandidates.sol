// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fault, IReputationEpochs} from "../interfaces/IReputationEpochs.sol";
import {IStakeVault} from "../interfaces/IStakeVault.sol";
import {ITrustLedger} from "../interfaces/ITrustLedger.sol";

/// @title Candidates of an epoch: where they stand, and how one falls
/// @dev Candidates live in a ring of RING epochs, so that a steady publisher rewrites its own slots and its bond stays
/// locked from one epoch to the next; finalized roots are pinned outside the ring.
abstract contract EpochCandidates is IReputationEpochs {
    /// @dev Epochs whose candidates are kept. Four leave two whole epochs to finalize and to strike for unanswered requests.
    uint256 internal constant RING = 4;

    struct Round {
        uint32 epoch;
        uint32 committed;
        uint32 standing;
    }

    struct Candidate {
        uint32 publisher;
        uint32 epoch;
        uint48 committedAt;
        Fault fault;
        bool isReleased;
        uint32 openRequests;
    }

    struct CommittedTopic {
        bytes32 root;
        uint64 multiplier;
        uint32 epoch;
        uint32 leafCount;
        uint8 shift;
        uint8 depth;
    }

    /// @inheritdoc IReputationEpochs
    uint256 public immutable publisherBond;
    ITrustLedger internal immutable LEDGER;
    IStakeVault internal immutable VAULT;
    address internal immutable REGISTRY;
    /// @dev The ledger's clock, which never changes, without asking it each time.
    uint256 internal immutable GENESIS;
    uint256 internal immutable EPOCH_LENGTH;

    mapping(uint256 ring => Round) internal _rounds;
    mapping(uint256 ringAndOrder => Candidate) internal _candidates;
    mapping(uint256 ringOrderAndTopic => CommittedTopic) internal _topics;

    constructor(ITrustLedger ledger, IStakeVault vault, address registry, uint256 publisherBond_) {
        if (publisherBond_ == 0) revert ReputationEpochsZeroBond();
        publisherBond = publisherBond_;
        LEDGER = ledger;
        VAULT = vault;
        REGISTRY = registry;
        GENESIS = ledger.genesis();
        EPOCH_LENGTH = ledger.epochLength();
    }

    /// @dev A topic of a standing candidate whose epoch is the last closed one: the only one that the ledger still answers for.
    function _challengeable(uint256 candidateId, uint64 topic) internal view returns (CommittedTopic memory committed) {
        Candidate memory candidate = _standing(candidateId);
        if (candidate.epoch != _closedEpoch()) revert ReputationEpochsNotChallengeable(candidateId, _closedEpoch() + 1);
        committed = _topics[_topicKey(candidateId, topic)];
        if (committed.epoch != candidate.epoch) revert ReputationEpochsUnknownTopic(candidateId, topic);
    }

    function _standing(uint256 candidateId) internal view returns (Candidate memory candidate) {
        candidate = _candidates[_ringKey(candidateId)];
        if (candidate.publisher == 0 || candidate.epoch != candidateId >> 32) {
            revert ReputationEpochsNotChallengeable(candidateId, _closedEpoch() + 1);
        }
        if (candidate.fault != Fault.None) revert ReputationEpochsStruck(candidateId);
    }

    /// @dev Half of the bond pays a challenger that reserved its challenge, the rest is burned: to strike oneself costs a
    /// publisher half of it. Who challenges directly strikes all the same, for nothing: copying pays nobody.
    function _strike(uint256 candidateId, Fault fault) internal {
        Candidate storage candidate = _candidates[_ringKey(candidateId)];
        uint32 publisher = candidate.publisher;
        candidate.fault = fault;
        Round storage round = _rounds[candidate.epoch % RING];
        // The round of the same place in the ring may be a later epoch's already.
        if (round.epoch == candidate.epoch) --round.standing;
        address challenger = _challenger();
        uint256 reward = msg.sender == address(VAULT) ? publisherBond / 2 : 0;
        emit CandidateStruck(candidateId, fault, challenger, publisher, publisherBond, reward);
        VAULT.slash(publisher, publisherBond, reward, challenger);
    }

    /// @dev A reserved challenge comes through the vault, which knows whose it is.
    function _challenger() internal view returns (address) {
        return msg.sender == address(VAULT) ? VAULT.reporter() : msg.sender;
    }

    function _closedEpoch() internal view returns (uint32) {
        return uint32((block.timestamp - GENESIS) / EPOCH_LENGTH);
    }

    function _startOf(uint256 epoch) internal view returns (uint256) {
        return GENESIS + (epoch - 1) * EPOCH_LENGTH;
    }

    function _ringKey(uint256 candidateId) internal pure returns (uint256) {
        return (((candidateId >> 32) % RING) << 32) | uint32(candidateId);
    }

    function _topicKey(uint256 candidateId, uint64 topic) internal pure returns (uint256) {
        return (_ringKey(candidateId) << 64) | topic;
    }
}
