// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Signers} from "../identity/Signers.sol";
import {IBindings} from "../interfaces/IBindings.sol";
import {IERC8004Identity} from "../interfaces/IERC8004Identity.sol";
import {Fault, IReputationEpochs} from "../interfaces/IReputationEpochs.sol";
import {IStakeVault} from "../interfaces/IStakeVault.sol";
import {ITrustLedger} from "../interfaces/ITrustLedger.sol";
import {LeafTree} from "../libraries/LeafTree.sol";
import {ReputationLeaf} from "../libraries/ReputationLeaf.sol";
import {ReputationMap} from "../libraries/ReputationMap.sol";
import {TopicRoot} from "../libraries/Types.sol";

/// @title Reputation epochs: commit, challenge, finalize
/// @dev Candidates live in a ring of RING epochs, so that a steady publisher rewrites its own slots and its bond stays
/// locked from one epoch to the next; finalized roots are pinned outside the ring.
contract ReputationEpochs is IReputationEpochs {
    using ReputationLeaf for uint256;

    /// @dev Epochs whose candidates are kept. Four leave two whole epochs to finalize and to strike for unanswered requests.
    uint256 private constant RING = 4;
    /// @dev Bounds a watcher's work an epoch. Struck candidates do not count: false ones cannot keep true ones out.
    uint256 private constant MAX_STANDING = 8;
    /// @dev Bounds the gas of a commit; more topics fit into further candidates, since topics finalize one by one.
    uint256 private constant MAX_TOPICS = 32;
    uint256 private constant CHUNK = 1 << LeafTree.CHUNK_DEPTH;
    /// @dev An answer with 256 leaves without a zero byte, calldata floor (EIP-7623) and siblings included, rounded up.
    uint256 private constant ANSWER_GAS = 400_000;
    /// @dev In `positions`: the leaf of j itself.
    uint256 private constant OWN_POSITION = 0xffff;

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

    struct FinalizedTopic {
        bytes32 root;
        uint32 epoch;
        uint32 leafCount;
        uint8 depth;
        uint64 candidateId;
    }

    struct Request {
        address requester;
        uint48 answerBy;
        bool isSettled;
        uint256 fee;
    }

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

    /// @inheritdoc IReputationEpochs
    uint256 public immutable publisherBond;
    ITrustLedger private immutable LEDGER;
    IStakeVault private immutable VAULT;
    address private immutable REGISTRY;
    /// @dev The ledger's clock, which never changes, without asking it each time.
    uint256 private immutable GENESIS;
    uint256 private immutable EPOCH_LENGTH;

    mapping(uint64 topic => FinalizedTopic) private _finalized;
    mapping(uint256 ring => Round) private _rounds;
    mapping(uint256 ringAndOrder => Candidate) private _candidates;
    mapping(uint256 ringOrderAndTopic => CommittedTopic) private _topics;
    mapping(bytes32 candidateTopicAndChunk => Request) private _requests;
    mapping(bytes32 candidateTopicAgentAndChallenger => RowPart) private _rowParts;

    constructor(ITrustLedger ledger, IStakeVault vault, address registry, uint256 publisherBond_) {
        if (publisherBond_ == 0) revert ReputationEpochsZeroBond();
        publisherBond = publisherBond_;
        LEDGER = ledger;
        VAULT = vault;
        REGISTRY = registry;
        GENESIS = ledger.genesis();
        EPOCH_LENGTH = ledger.epochLength();
    }

    // ---- Commit ----

    /// @inheritdoc IReputationEpochs
    function commit(
        uint32 publisher,
        bytes32 closingBlockHash,
        TopicRoot[] calldata topics,
        bytes calldata leaves
    ) external returns (uint256 candidateId) {
        if (!_speaksFor(msg.sender, publisher)) revert ReputationEpochsNotAuthorized(publisher, msg.sender);
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

    // ---- Challenge ----

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
        bytes32[] calldata proof
    ) external {
        CommittedTopic memory committed = _challengeable(candidateId, topic);
        (uint32 seat, , ) = LEDGER.nodeAt(topic, agentId);
        if (!_isSeated(seat, committed)) revert ReputationEpochsBadChallenge(candidateId, topic, agentId);
        _requireLeaf(candidateId, topic, committed, seat, leaf, proof);
        uint256 stake = VAULT.stakeAt(agentId);
        if (stake > ReputationMap.MAX_PRIOR) stake = ReputationMap.MAX_PRIOR;
        _strikeUnlessEqual(candidateId, topic, Fault.Prior, leaf.priorOf(), stake);
    }

    // ---- Availability ----

    /// @inheritdoc IReputationEpochs
    function requestLeaves(uint256 candidateId, uint64 topic, uint256 chunk) external payable {
        CommittedTopic memory committed = _challengeable(candidateId, topic);
        uint256 closesAt = _startOf(committed.epoch + 1) + (2 * EPOCH_LENGTH) / 3;
        if (block.timestamp >= closesAt) {
            revert ReputationEpochsRequestsClosed(candidateId, closesAt, block.timestamp);
        }
        if (chunk > (committed.leafCount - 1) / CHUNK) revert ReputationEpochsBadChunk(candidateId, topic, chunk);
        uint256 fee = requestFeeAt(block.basefee);
        if (msg.value < fee) revert ReputationEpochsFeeTooLow(msg.value, fee);
        Request storage request = _requests[_requestKey(candidateId, topic, chunk)];
        // INVARIANT: a chunk is asked for once, so what a publisher can be made to answer is bounded by its own leaves.
        if (request.requester != address(0)) revert ReputationEpochsAlreadyRequested(candidateId, topic, chunk);
        (request.requester, request.fee) = (msg.sender, msg.value);
        // Five sixths of the epoch at the latest: an answer leaves a sixth to challenge what it shows.
        request.answerBy = uint48(block.timestamp + EPOCH_LENGTH / 6);
        ++_candidates[_ringKey(candidateId)].openRequests;
        emit LeavesRequested(candidateId, topic, chunk, msg.sender, msg.value, request.answerBy);
    }

    /// @inheritdoc IReputationEpochs
    function answerLeaves(
        uint256 candidateId,
        uint64 topic,
        uint256 chunk,
        uint256[] calldata leaves,
        bytes32[] calldata proof
    ) external {
        CommittedTopic memory committed = _challengeable(candidateId, topic);
        Request storage request = _openRequest(candidateId, topic, chunk);
        if (block.timestamp > request.answerBy) {
            revert ReputationEpochsAnswerTooLate(candidateId, request.answerBy, block.timestamp);
        }
        if (!_isChunk(committed, chunk, leaves, proof)) revert ReputationEpochsBadProof(candidateId, topic, chunk);
        request.isSettled = true;
        --_candidates[_ringKey(candidateId)].openRequests;
        emit LeavesAnswered(candidateId, topic, chunk, leaves);
        _pay(request.fee);
    }

    /// @inheritdoc IReputationEpochs
    function strikeUnavailable(uint256 candidateId, uint64 topic, uint256 chunk) external {
        _standing(candidateId);
        Request storage request = _openRequest(candidateId, topic, chunk);
        if (block.timestamp <= request.answerBy) {
            revert ReputationEpochsAnswerNotDue(candidateId, request.answerBy, block.timestamp);
        }
        _strike(candidateId, Fault.Unavailable);
    }

    /// @inheritdoc IReputationEpochs
    function reclaimFee(uint256 candidateId, uint64 topic, uint256 chunk) external {
        Request storage request = _openRequest(candidateId, topic, chunk);
        if (request.requester != msg.sender) revert ReputationEpochsNoRequest(candidateId, topic, chunk);
        Candidate memory candidate = _candidates[_ringKey(candidateId)];
        // A candidate whose slot was used again can neither answer nor be struck any more: its fees go back, too.
        if (candidate.epoch == candidateId >> 32 && candidate.fault == Fault.None) {
            revert ReputationEpochsFeeHeld(candidateId, topic, chunk);
        }
        request.isSettled = true;
        emit RequestFeeReclaimed(candidateId, topic, chunk, msg.sender, request.fee);
        _pay(request.fee);
    }

    // ---- Finalize ----

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

    // ---- Read ----

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

    /// @inheritdoc IReputationEpochs
    function requestFeeAt(uint256 baseFee) public pure returns (uint256) {
        return 2 * ANSWER_GAS * baseFee;
    }

    // ---- Committing ----

    function _speaksFor(address caller, uint32 agentId) private view returns (bool) {
        if (IERC8004Identity(REGISTRY).isAuthorizedOrOwner(caller, agentId)) return true;
        // An ERC-7913 signer that is an account is its 20 bytes.
        bytes32 signerHash = keccak256(abi.encodePacked(caller));
        return IBindings(REGISTRY).isSignerValidAt(agentId, signerHash, Signers.LOG, block.timestamp);
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

    // ---- Judging ----

    /// @dev A topic of a standing candidate whose epoch is the last closed one: the only one that the ledger still answers for.
    function _challengeable(uint256 candidateId, uint64 topic) private view returns (CommittedTopic memory committed) {
        Candidate memory candidate = _standing(candidateId);
        if (candidate.epoch != _closedEpoch()) revert ReputationEpochsNotChallengeable(candidateId, _closedEpoch() + 1);
        committed = _topics[_topicKey(candidateId, topic)];
        if (committed.epoch != candidate.epoch) revert ReputationEpochsUnknownTopic(candidateId, topic);
    }

    function _standing(uint256 candidateId) private view returns (Candidate memory candidate) {
        candidate = _candidates[_ringKey(candidateId)];
        if (candidate.publisher == 0 || candidate.epoch != candidateId >> 32) {
            revert ReputationEpochsNotChallengeable(candidateId, _closedEpoch() + 1);
        }
        if (candidate.fault != Fault.None) revert ReputationEpochsStruck(candidateId);
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

    /// @dev Half of the bond pays the challenger, half is burned: to strike oneself costs a publisher half of it.
    function _strike(uint256 candidateId, Fault fault) private {
        Candidate storage candidate = _candidates[_ringKey(candidateId)];
        uint32 publisher = candidate.publisher;
        candidate.fault = fault;
        Round storage round = _rounds[candidate.epoch % RING];
        // The round of the same place in the ring may be a later epoch's already.
        if (round.epoch == candidate.epoch) --round.standing;
        uint256 reward = publisherBond / 2;
        emit CandidateStruck(candidateId, fault, msg.sender, publisher, publisherBond, reward);
        VAULT.slash(publisher, publisherBond, reward, msg.sender);
    }

    // ---- Answering ----

    function _openRequest(
        uint256 candidateId,
        uint64 topic,
        uint256 chunk
    ) private view returns (Request storage request) {
        request = _requests[_requestKey(candidateId, topic, chunk)];
        if (request.requester == address(0) || request.isSettled) {
            revert ReputationEpochsNoRequest(candidateId, topic, chunk);
        }
    }

    function _isChunk(
        CommittedTopic memory committed,
        uint256 chunk,
        uint256[] calldata leaves,
        bytes32[] calldata proof
    ) private pure returns (bool) {
        uint256 left = committed.leafCount - chunk * CHUNK;
        uint256 depth = committed.depth < LeafTree.CHUNK_DEPTH ? committed.depth : LeafTree.CHUNK_DEPTH;
        if (leaves.length != (left < CHUNK ? left : CHUNK) || proof.length != committed.depth - depth) return false;
        return LeafTree.rootOf(uint256(LeafTree.rootOfChunk(leaves, depth)), chunk, proof) == committed.root;
    }

    function _pay(uint256 fee) private {
        (bool isPaid, ) = msg.sender.call{value: fee}("");
        if (!isPaid) revert ReputationEpochsFeeNotPaid(msg.sender, fee);
    }

    // ---- Finalizing ----

    function _finalize(uint32 epoch, uint64 topic) private {
        FinalizedTopic storage pinned = _finalized[topic];
        // INVARIANT: the finalized epoch of a topic only rises.
        if (pinned.epoch >= epoch) revert ReputationEpochsAlreadyFinalized(topic, epoch, pinned.epoch);
        uint256 candidateId = _firstStanding(epoch, topic);
        Candidate memory candidate = _candidates[_ringKey(candidateId)];
        if (candidate.openRequests != 0) {
            revert ReputationEpochsRequestsOpen(candidateId, candidate.openRequests);
        }
        CommittedTopic memory committed = _topics[_topicKey(candidateId, topic)];
        _finalized[topic] = FinalizedTopic({
            root: committed.root,
            epoch: epoch,
            leafCount: committed.leafCount,
            depth: committed.depth,
            candidateId: uint64(candidateId)
        });
        emit TopicFinalized(topic, epoch, candidateId, candidate.publisher, committed.root, committed.leafCount);
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

    // ---- Clock and keys ----

    function _closedEpoch() private view returns (uint32) {
        return uint32((block.timestamp - GENESIS) / EPOCH_LENGTH);
    }

    function _startOf(uint256 epoch) private view returns (uint256) {
        return GENESIS + (epoch - 1) * EPOCH_LENGTH;
    }

    function _ringKey(uint256 candidateId) private pure returns (uint256) {
        return (((candidateId >> 32) % RING) << 32) | uint32(candidateId);
    }

    function _topicKey(uint256 candidateId, uint64 topic) private pure returns (uint256) {
        return (_ringKey(candidateId) << 64) | topic;
    }

    function _requestKey(uint256 candidateId, uint64 topic, uint256 chunk) private pure returns (bytes32) {
        return keccak256(abi.encode(candidateId, topic, chunk));
    }

    function _rowPartKey(uint256 candidateId, uint64 topic, uint32 agentId) private view returns (bytes32) {
        return keccak256(abi.encode(candidateId, topic, agentId, msg.sender));
    }
}
