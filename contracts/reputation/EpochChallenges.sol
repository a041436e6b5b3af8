// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fault, IReputationEpochs, SourceLeaf} from "../interfaces/IReputationEpochs.sol";
import {LeafTree} from "../libraries/LeafTree.sol";
import {ReputationLeaf} from "../libraries/ReputationLeaf.sol";
import {ReputationMap} from "../libraries/ReputationMap.sol";
import {EpochPriors} from "./EpochPriors.sol";

/// @title Challenges: each proves one false leaf against the ledger's own slots, in one transaction
abstract contract EpochChallenges is EpochPriors {
    using ReputationLeaf for uint256;

    /// @dev In `positions`: the leaf of j itself.
    uint256 private constant OWN_POSITION = 0xffff;

    /// @dev What a multiproof claims of a row: (seat, leaf) in turn, Σ w·⌊t / W⌋, and the leaf of j.
    struct Row {
        uint256[] nodes;
        uint256 flow;
        uint256 ownLeaf;
    }

    struct RowPart {
        uint32 added;
        uint128 flow;
    }

    mapping(bytes32 candidateTopicAgentAndChallenger => RowPart) private _rowParts;

    /// @inheritdoc IReputationEpochs
    function challengeRow(
        uint256 candidateId,
        uint64 topic,
        uint32 agentId,
        uint256[] calldata leaves,
        bytes calldata positions,
        bytes32[] calldata proof
    ) external {
        CommittedTopic memory committed = _challengeable(candidateId, topic);
        (uint256 seat, , uint256[] memory edges) = LEDGER.rowAt(topic, agentId, 0, type(uint256).max);
        // INVARIANT: j and its whole row are judged. Seats of a row are distinct and are given in ascending order, so as
        // many leaves as the row has, and one, are each in-neighbour once and j.
        if (leaves.length != edges.length + 1 || !_isSeated(seat, committed)) {
            revert ReputationEpochsBadChallenge(candidateId, topic, agentId);
        }
        Row memory row = _gather(seat, edges, leaves, positions);
        if (LeafTree.rootOfMany(row.nodes, committed.depth, proof) != committed.root) {
            revert ReputationEpochsBadProof(candidateId, topic, seat);
        }
        _judgeRow(candidateId, topic, committed, row.ownLeaf, row.flow);
    }

    /// @inheritdoc IReputationEpochs
    function addRowPart(
        uint256 candidateId,
        uint64 topic,
        uint32 agentId,
        uint256[] calldata leaves,
        bytes calldata positions,
        bytes32[] calldata proof
    ) external {
        CommittedTopic memory committed = _challengeable(candidateId, topic);
        RowPart storage part = _rowParts[_rowPartKey(candidateId, topic, agentId)];
        uint256[] memory edges = _edgesFrom(topic, agentId, part.added, leaves.length);
        if (leaves.length == 0 || leaves.length != edges.length) {
            revert ReputationEpochsBadChallenge(candidateId, topic, agentId);
        }
        Row memory row = _gather(0, edges, leaves, positions);
        if (LeafTree.rootOfMany(row.nodes, committed.depth, proof) != committed.root) {
            revert ReputationEpochsBadProof(candidateId, topic, part.added);
        }
        part.added += uint32(leaves.length);
        // At most 2^32 terms of 2^24·2^64.
        part.flow += uint128(row.flow);
    }

    /// @inheritdoc IReputationEpochs
    function challengeLongRow(
        uint256 candidateId,
        uint64 topic,
        uint32 agentId,
        uint256 leaf,
        bytes32[] calldata proof
    ) external {
        CommittedTopic memory committed = _challengeable(candidateId, topic);
        (uint32 seat, , uint32 inDegree) = LEDGER.nodeAt(topic, agentId);
        RowPart memory part = _rowParts[_rowPartKey(candidateId, topic, agentId)];
        if (part.added != inDegree || !_isSeated(seat, committed)) {
            revert ReputationEpochsBadChallenge(candidateId, topic, agentId);
        }
        _requireLeaf(candidateId, topic, committed, seat, leaf, proof);
        _judgeRow(candidateId, topic, committed, leaf, part.flow);
    }

    /// @inheritdoc IReputationEpochs
    function challengeSum(
        uint256 candidateId,
        uint64 topic,
        uint256 index,
        uint256 leaf,
        uint256 nextLeaf,
        bytes32[] calldata proof,
        bytes32[] calldata nextProof
    ) external {
        CommittedTopic memory committed = _challengeable(candidateId, topic);
        // An index of 2^256 - 1 would wrap to 0.
        if (index >= committed.leafCount) revert ReputationEpochsBadProof(candidateId, topic, index);
        _requireLeaf(candidateId, topic, committed, index, leaf, proof);
        _requireLeaf(candidateId, topic, committed, index + 1, nextLeaf, nextProof);
        uint256 computed = leaf.cumOf() + leaf.scoreOf();
        _strikeUnlessEqual(candidateId, topic, Fault.Sum, nextLeaf.cumOf(), computed);
    }

    /// @inheritdoc IReputationEpochs
    function challengeEdge(
        uint256 candidateId,
        uint64 topic,
        bool isLast,
        uint256 leaf,
        bytes32[] calldata proof
    ) external {
        CommittedTopic memory committed = _challengeable(candidateId, topic);
        uint256 index = isLast ? committed.leafCount - 1 : 0;
        _requireLeaf(candidateId, topic, committed, index, leaf, proof);
        if (isLast) {
            _strikeUnlessEqual(candidateId, topic, Fault.Edge, leaf.cumOf() + leaf.scoreOf(), ReputationMap.TOTAL);
            return;
        }
        // Dust belongs to nobody: its leaf is its score alone, and no more than rounding can leave.
        uint256 clean = leaf.scoreOf() > ReputationMap.MAX_DUST ? ReputationMap.MAX_DUST : leaf.scoreOf();
        _strikeUnlessEqual(candidateId, topic, Fault.Edge, leaf, clean << 160);
    }

    /// @inheritdoc IReputationEpochs
    function challengeSeat(
        uint256 candidateId,
        uint64 topic,
        uint32 agentId,
        uint256 leaf,
        bytes32[] calldata proof
    ) external {
        CommittedTopic memory committed = _challengeable(candidateId, topic);
        (uint32 seat, uint48 rowSum, ) = LEDGER.nodeAt(topic, agentId);
        if (!_isSeated(seat, committed)) revert ReputationEpochsBadChallenge(candidateId, topic, agentId);
        _requireLeaf(candidateId, topic, committed, seat, leaf, proof);
        // Agent and row sum side by side, so that one comparison covers both.
        uint256 claimed = (leaf.agentOf() << 48) | leaf.rowSumOf();
        _strikeUnlessEqual(candidateId, topic, Fault.Seat, claimed, (uint256(agentId) << 48) | rowSum);
    }

    /// @inheritdoc IReputationEpochs
    function challengePrior(
        uint256 candidateId,
        uint64 topic,
        uint32 agentId,
        uint256 leaf,
        bytes32[] calldata proof,
        SourceLeaf[] calldata sources
    ) external {
        CommittedTopic memory committed = _challengeable(candidateId, topic);
        (uint32 seat, , ) = LEDGER.nodeAt(topic, agentId);
        if (!_isSeated(seat, committed)) revert ReputationEpochsBadChallenge(candidateId, topic, agentId);
        _requireLeaf(candidateId, topic, committed, seat, leaf, proof);
        uint256 computed = _priorOf(candidateId, topic, agentId, sources);
        _strikeUnlessEqual(candidateId, topic, Fault.Prior, leaf.priorOf(), computed);
    }

    /// @dev Seat 0 is dust, and a seat taken after the close has no leaf.
    function _isSeated(uint256 seat, CommittedTopic memory committed) private pure returns (bool) {
        return seat != 0 && seat < committed.leafCount;
    }

    function _edgesFrom(
        uint64 topic,
        uint32 agentId,
        uint256 from,
        uint256 count
    ) private view returns (uint256[] memory edges) {
        (, , edges) = LEDGER.rowAt(topic, agentId, from, from + count);
    }

    /// @dev Reads the leaves of in-neighbours and of `ownSeat` (0 = not among them). A leaf's seat comes from the ledger's
    /// edge that its position names; seats must ascend, or there are no nodes and thereby no root.
    function _gather(
        uint256 ownSeat,
        uint256[] memory edges,
        uint256[] calldata leaves,
        bytes calldata positions
    ) private pure returns (Row memory row) {
        if (positions.length != 2 * leaves.length) return row;
        uint256[] memory nodes = new uint256[](2 * leaves.length);
        uint256 last;
        for (uint256 k; k < leaves.length; ++k) {
            uint256 leaf = leaves[k];
            uint256 edge = _edgeAt(uint16(bytes2(positions[2 * k:])), ownSeat, edges);
            uint256 seat = edge >> 48;
            if (seat <= last) return row;
            last = seat;
            if (seat == ownSeat) row.ownLeaf = leaf;
            row.flow += ReputationMap.flowOf(uint48(edge), leaf.scoreOf(), leaf.rowSumOf());
            (nodes[2 * k], nodes[2 * k + 1]) = (seat, leaf);
        }
        row.nodes = nodes;
    }

    /// @dev The own leaf is an edge without weight: nobody deals with itself. Past the row stands seat 0, which never ascends.
    function _edgeAt(uint256 position, uint256 ownSeat, uint256[] memory edges) private pure returns (uint256 edge) {
        if (position == OWN_POSITION) return ownSeat << 48;
        return position < edges.length ? edges[position] : 0;
    }

    function _requireLeaf(
        uint256 candidateId,
        uint64 topic,
        CommittedTopic memory committed,
        uint256 index,
        uint256 leaf,
        bytes32[] calldata proof
    ) private pure {
        if (
            index >= committed.leafCount ||
            proof.length != committed.depth ||
            LeafTree.rootOf(leaf, index, proof) != committed.root
        ) {
            revert ReputationEpochsBadProof(candidateId, topic, index);
        }
    }

    function _judgeRow(
        uint256 candidateId,
        uint64 topic,
        CommittedTopic memory committed,
        uint256 leaf,
        uint256 flow
    ) private {
        uint256 computed = ReputationMap.scoreOf(flow, leaf.priorOf(), committed.multiplier, committed.shift);
        _strikeUnlessEqual(candidateId, topic, Fault.Row, leaf.scoreOf(), computed);
    }

    function _strikeUnlessEqual(
        uint256 candidateId,
        uint64 topic,
        Fault fault,
        uint256 claimed,
        uint256 computed
    ) private {
        if (claimed == computed) revert ReputationEpochsHolds(candidateId, topic, fault, claimed, computed);
        _strike(candidateId, fault);
    }

    function _rowPartKey(uint256 candidateId, uint64 topic, uint32 agentId) private view returns (bytes32) {
        return keccak256(abi.encode(candidateId, topic, agentId, _challenger()));
    }
}
