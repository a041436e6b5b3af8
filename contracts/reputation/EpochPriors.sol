// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Couplings, IReputationEpochs, SourceLeaf, TopicLink} from "../interfaces/IReputationEpochs.sol";
import {LeafTree} from "../libraries/LeafTree.sol";
import {ReputationLeaf} from "../libraries/ReputationLeaf.sol";
import {ReputationMap} from "../libraries/ReputationMap.sol";
import {EpochCandidates} from "./EpochCandidates.sol";

/// @title Priors: what an agent's stake counts, and what its reputation in other topics adds
/// @dev Finalized roots are pinned here twice, so that what priors read stands still while an epoch is challenged.
abstract contract EpochPriors is EpochCandidates {
    using ReputationLeaf for uint256;

    /// @dev Bounds the gas of a prior challenge: a proof of 32 levels for each source.
    uint256 private constant MAX_SOURCES = 8;

    struct FinalizedTopic {
        bytes32 root;
        uint32 epoch;
        uint32 leafCount;
        uint8 depth;
        uint64 candidateId;
        uint64 multiplier;
        uint8 shift;
        uint32 finalizedIn;
    }

    struct Source {
        uint64 topic;
        uint32 omega;
    }

    /// @dev A prior that is being added up: what its sources brought so far, and how many of the shown leaves they took.
    struct Bridged {
        uint256 candidateId;
        uint256 budget;
        uint256 brought;
        uint256 used;
    }

    uint32 private immutable MIN_CLIENTS;
    uint32 private immutable MAX_SHARE;

    mapping(uint64 topic => FinalizedTopic) internal _finalized;
    /// @dev The last one that was pinned before the epoch in which the one in `_finalized` was.
    mapping(uint64 topic => FinalizedTopic) private _finalizedBefore;
    mapping(uint64 topic => Source[]) private _sources;

    constructor(Couplings memory couplings) {
        _requireStable(couplings.maxShare);
        MIN_CLIENTS = couplings.minClients;
        MAX_SHARE = couplings.maxShare;
        TopicLink memory last;
        uint256 total;
        for (uint256 k; k < couplings.links.length; ++k) {
            TopicLink memory link = couplings.links[k];
            if (link.to != last.to) total = 0;
            total += link.omega;
            _requireLink(link, last, total);
            _sources[link.to].push(Source({topic: link.from, omega: link.omega}));
            last = link;
        }
        emit CouplingsSet(couplings.minClients, couplings.maxShare, couplings.links);
    }

    /// @inheritdoc IReputationEpochs
    function baseOf(
        uint64 topic
    )
        external
        view
        returns (bytes32 root, uint32 epoch, uint32 leafCount, uint8 depth, uint64 multiplier, uint8 shift)
    {
        FinalizedTopic memory base = _baseOf(topic);
        return (base.root, base.epoch, base.leafCount, base.depth, base.multiplier, base.shift);
    }

    /// @inheritdoc IReputationEpochs
    function couplingsOf(uint64 topic) external view returns (Couplings memory couplings) {
        Source[] memory sources = _sources[topic];
        TopicLink[] memory links = new TopicLink[](sources.length);
        for (uint256 k; k < sources.length; ++k) {
            links[k] = TopicLink({to: topic, from: sources[k].topic, omega: sources[k].omega});
        }
        return Couplings({minClients: MIN_CLIENTS, maxShare: MAX_SHARE, links: links});
    }

    function _pin(uint64 topic, FinalizedTopic memory fresh) internal {
        FinalizedTopic storage last = _finalized[topic];
        // INVARIANT: while an epoch runs, no base moves: the last root from before it began stays in one of the two places.
        if (last.finalizedIn != fresh.finalizedIn && last.epoch != 0) _finalizedBefore[topic] = last;
        _finalized[topic] = fresh;
    }

    /// @dev The prior of an agent for the last closed epoch. INVARIANT: everything but the scores is read here; the scores are
    /// proven against bases, and exactly those are shown that count.
    function _priorOf(
        uint256 candidateId,
        uint64 topic,
        uint32 agentId,
        SourceLeaf[] calldata shown
    ) internal view returns (uint256) {
        uint256 stake = VAULT.stakeAt(agentId);
        Bridged memory sum;
        sum.candidateId = candidateId;
        sum.budget = stake == 0 ? 0 : _budgetOf(topic);
        if (sum.budget != 0) _addSources(sum, _sources[topic], agentId, shown);
        if (sum.used != shown.length) revert ReputationEpochsBadChallenge(candidateId, topic, agentId);
        return ReputationMap.priorOf(stake, sum.brought, MAX_SHARE);
    }

    /// @dev Counts on when leaves run out, so that too few are told from enough by the caller.
    function _addSources(
        Bridged memory sum,
        Source[] storage sources,
        uint32 agentId,
        SourceLeaf[] calldata shown
    ) private view {
        for (uint256 k; k < sources.length; ++k) {
            Source memory source = sources[k];
            uint256 seat = _bridgingSeat(source.topic, agentId);
            if (seat == 0) continue;
            if (sum.used < shown.length) {
                SourceLeaf calldata next = shown[sum.used];
                _addLeaf(sum, source, seat, next);
            }
            ++sum.used;
        }
    }

    function _addLeaf(Bridged memory sum, Source memory source, uint256 seat, SourceLeaf calldata shown) private view {
        FinalizedTopic storage base = _baseOf(source.topic);
        if (shown.proof.length != base.depth || LeafTree.rootOf(shown.leaf, seat, shown.proof) != base.root) {
            revert ReputationEpochsBadProof(sum.candidateId, source.topic, seat);
        }
        sum.brought += ReputationMap.bridgedBy(shown.leaf.scoreOf(), source.omega, sum.budget);
    }

    /// @dev 0 = no score of the agent there counts elsewhere.
    function _bridgingSeat(uint64 topic, uint32 agentId) private view returns (uint256 seat) {
        uint256 inDegree;
        (seat, , inDegree) = LEDGER.nodeAt(topic, agentId);
        if (inDegree < MIN_CLIENTS || seat >= _baseOf(topic).leafCount) return 0;
    }

    /// @dev 0 = the topic has no base.
    function _budgetOf(uint64 topic) private view returns (uint256) {
        FinalizedTopic storage base = _baseOf(topic);
        return base.multiplier == 0 ? 0 : ReputationMap.budgetOf(base.multiplier, base.shift);
    }

    function _baseOf(uint64 topic) private view returns (FinalizedTopic storage base) {
        base = _finalized[topic];
        if (base.finalizedIn > _closedEpoch()) base = _finalizedBefore[topic];
    }

    /// @dev INVARIANT: coupled epochs settle (eq. 14): in the metric of docs/reputation-argument.md a difference between two
    /// histories shrinks by 2c / (1 + c) with each epoch that reads the one before, whatever the topics, stakes and omegas.
    function _requireStable(uint256 maxShare) private pure {
        uint256 factor = ((2 * maxShare + 1) * ReputationMap.ONE + maxShare - 1) / (ReputationMap.ONE + maxShare);
        if (factor >= ReputationMap.ONE) revert ReputationEpochsUnstable(factor, ReputationMap.ONE);
    }

    /// @dev INVARIANT: the sources of a topic bring its budget at most, and ascend.
    function _requireLink(TopicLink memory link, TopicLink memory last, uint256 total) private view {
        bool isAscending = link.to > last.to || (link.to == last.to && link.from > last.from);
        bool isTaken = link.from != 0 && link.from != link.to && link.omega != 0;
        if (!isAscending || !isTaken || total > ReputationMap.ONE || _sources[link.to].length == MAX_SOURCES) {
            revert ReputationEpochsBadLink(link.to, link.from, link.omega);
        }
    }
}
