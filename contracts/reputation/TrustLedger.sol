// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IEpochClock} from "../interfaces/IEpochClock.sol";
import {IERC8004Identity} from "../interfaces/IERC8004Identity.sol";
import {ITrustLedger} from "../interfaces/ITrustLedger.sol";

/// @title Local trust, double-buffered by epoch
/// @dev Every record keeps, beside its current value, the value at the close of the epoch before its `epoch`. A record that
/// was last touched before the running epoch holds the closing value in its current field: nothing has to be rolled over
/// when an epoch ends, and one slot serves both readings.
contract TrustLedger is ITrustLedger {
    /// @dev Bound of a row sum: the exact map multiplies weights by score shares and counts on W fitting 48 bits with room.
    uint256 private constant MAX_ROW_SUM = 1 << 24;
    uint256 private constant SEATS_PER_SLOT = 8;

    struct Node {
        uint32 epoch;
        uint32 seat;
        uint48 rowSum;
        uint48 rowSumBefore;
        uint32 inDegree;
        uint32 inDegreeBefore;
    }

    struct Pair {
        uint32 epoch;
        uint48 satisfied;
        uint48 unsatisfied;
        uint48 weightBefore;
        bool isListed;
    }

    /// @dev `count` includes the dust seat; 0 = the topic does not exist. At most 2^32 - 1 agents ever sit down, since agent
    /// ids are uint32 and 0 is none.
    struct Seats {
        uint32 epoch;
        uint32 count;
        uint32 countBefore;
    }

    /// @inheritdoc IEpochClock
    uint256 public immutable genesis;
    /// @inheritdoc IEpochClock
    uint256 public immutable epochLength;
    IERC8004Identity private immutable REGISTRY;
    address private immutable DEPLOYER;

    /// @inheritdoc ITrustLedger
    mapping(address account => bool) public isRecorder;
    bool private _hasRecorders;
    mapping(uint64 topic => Seats) private _seats;
    /// @dev By topic << 32 | agent: one hash a look-up, as in the two mappings below.
    mapping(uint256 topicAndAgent => Node) private _nodes;
    /// @dev By topic << 64 | client's seat << 32 | provider's seat.
    mapping(uint256 topicAndSeats => Pair) private _pairs;
    /// @dev In-neighbours of a seat, eight seats a slot, by topic << 64 | seat << 32 | index / 8.
    mapping(uint256 topicSeatAndChunk => uint256) private _inNeighbours;

    constructor(uint256 epochLength_, address registry) {
        if (epochLength_ == 0) revert TrustLedgerZeroEpochLength();
        genesis = block.timestamp;
        epochLength = epochLength_;
        REGISTRY = IERC8004Identity(registry);
        DEPLOYER = msg.sender;
    }

    /// @inheritdoc ITrustLedger
    function setRecorders(address[] calldata recorders) external {
        if (msg.sender != DEPLOYER) revert TrustLedgerNotDeployer(msg.sender);
        // INVARIANT: the recorders are named once; nobody can add one that invents deals later.
        if (_hasRecorders) revert TrustLedgerRecordersSet();
        _hasRecorders = true;
        for (uint256 k; k < recorders.length; ++k) isRecorder[recorders[k]] = true;
        emit RecordersSet(recorders);
    }

    /// @inheritdoc ITrustLedger
    function record(uint64 topic, uint32 client, uint32 provider, uint24 satisfied, uint24 unsatisfied) external {
        if (!isRecorder[msg.sender]) revert TrustLedgerNotRecorder(msg.sender);
        if (topic == 0 || client == 0 || provider == 0 || client == provider) return;
        uint32 running = uint32(epoch());
        Node memory from = _seatedNode(topic, client, running);
        Node memory to = _seatedNode(topic, provider, running);
        (Pair memory pair, uint48 weight, uint48 weightBefore) = _rate(topic, from, to, satisfied, unsatisfied);
        if (weight > 0 && !pair.isListed) {
            _list(topic, from.seat, to);
            _nodes[_nodeKey(topic, provider)] = to;
            pair.isListed = true;
        }
        _pairs[_pairKey(topic, from.seat, to.seat)] = pair;
        if (weight != weightBefore) {
            // INVARIANT: W = Σ w over the row; weightBefore is one of its summands, so W cannot fall below 0.
            from.rowSum = from.rowSum + weight - weightBefore;
            _nodes[_nodeKey(topic, client)] = from;
        }
        emit Recorded(topic, client, provider, pair.satisfied, pair.unsatisfied, weight, running);
    }

    /// @inheritdoc ITrustLedger
    function join(uint64 topic, uint32 agentId) external {
        if (topic == 0) revert TrustLedgerZeroTopic();
        if (!REGISTRY.isAuthorizedOrOwner(msg.sender, agentId)) revert TrustLedgerNotAuthorized(agentId, msg.sender);
        _seatedNode(topic, agentId, uint32(epoch()));
    }

    /// @inheritdoc IEpochClock
    function epoch() public view returns (uint256) {
        return (block.timestamp - genesis) / epochLength + 1;
    }

    /// @inheritdoc ITrustLedger
    function nodeAt(uint64 topic, uint32 agentId) external view returns (uint32 seat, uint48 rowSum, uint32 inDegree) {
        return _closedNode(topic, agentId, epoch());
    }

    /// @inheritdoc ITrustLedger
    function seatsAt(uint64 topic) external view returns (uint32) {
        Seats memory seats = _seats[topic];
        return seats.epoch == epoch() ? seats.countBefore : seats.count;
    }

    /// @inheritdoc ITrustLedger
    function rowAt(
        uint64 topic,
        uint32 agentId,
        uint256 from,
        uint256 to
    ) external view returns (uint32 seat, uint32 inDegree, uint256[] memory edges) {
        uint256 running = epoch();
        (seat, , inDegree) = _closedNode(topic, agentId, running);
        if (to > inDegree) to = inDegree;
        if (from >= to) return (seat, inDegree, edges);
        edges = new uint256[](to - from);
        uint256 packed;
        for (uint256 k = from; k < to; ++k) {
            if (k == from || k % SEATS_PER_SLOT == 0) packed = _inNeighbours[_listKey(topic, seat, k)];
            uint256 neighbour = uint32(packed >> (32 * (k % SEATS_PER_SLOT)));
            Pair storage pair = _pairs[_pairKey(topic, neighbour, seat)];
            uint256 weight = pair.epoch == running ? pair.weightBefore : _weightOf(pair.satisfied, pair.unsatisfied);
            edges[k - from] = (neighbour << 48) | weight;
        }
    }

    /// @inheritdoc ITrustLedger
    function pairOf(
        uint64 topic,
        uint32 client,
        uint32 provider
    ) external view returns (uint48 satisfied, uint48 unsatisfied) {
        uint32 clientSeat = _nodes[_nodeKey(topic, client)].seat;
        uint32 providerSeat = _nodes[_nodeKey(topic, provider)].seat;
        // Seat 0 is dust: no pair was ever stored with it, so an agent without a seat reads as zero.
        Pair storage pair = _pairs[_pairKey(topic, clientSeat, providerSeat)];
        return (pair.satisfied, pair.unsatisfied);
    }

    /// @dev The agent's node as of the running epoch, seated if it was not. The caller stores what it changes further.
    function _seatedNode(uint64 topic, uint32 agentId, uint32 running) private returns (Node memory node) {
        node = _nodes[_nodeKey(topic, agentId)];
        if (node.seat == 0) {
            (node.epoch, node.seat) = (running, _takeSeat(topic, running));
            _nodes[_nodeKey(topic, agentId)] = node;
            emit Seated(topic, agentId, node.seat, running);
        } else if (node.epoch != running) {
            (node.epoch, node.rowSumBefore, node.inDegreeBefore) = (running, node.rowSum, node.inDegree);
        }
    }

    function _takeSeat(uint64 topic, uint32 running) private returns (uint32 seat) {
        Seats memory seats = _seats[topic];
        if (seats.epoch != running) (seats.epoch, seats.countBefore) = (running, seats.count);
        // INVARIANT: seats are dense from 1; seat 0 is dust.
        seat = seats.count == 0 ? 1 : seats.count;
        unchecked {
            seats.count = seat + 1;
        }
        _seats[topic] = seats;
    }

    /// @dev Adds to both sums of a pair, which the caller stores.
    function _rate(
        uint64 topic,
        Node memory from,
        Node memory to,
        uint24 satisfied,
        uint24 unsatisfied
    ) private view returns (Pair memory pair, uint48 weight, uint48 weightBefore) {
        pair = _pairs[_pairKey(topic, from.seat, to.seat)];
        weightBefore = _weightOf(pair.satisfied, pair.unsatisfied);
        if (pair.epoch != from.epoch) (pair.epoch, pair.weightBefore) = (from.epoch, weightBefore);
        pair.satisfied = _addSaturating(pair.satisfied, satisfied);
        pair.unsatisfied = _addSaturating(pair.unsatisfied, unsatisfied);
        weight = _weightOf(pair.satisfied, pair.unsatisfied);
        // INVARIANT: W <= MAX_ROW_SUM and w = max(satisfied - unsatisfied, 0), both at once: the excess leaves `satisfied`,
        // which never falls below its former value, since maxWeight is at least the former weight.
        uint48 maxWeight = weightBefore + uint48(MAX_ROW_SUM) - from.rowSum;
        if (weight > maxWeight) {
            weight = maxWeight;
            pair.satisfied = pair.unsatisfied + maxWeight;
        }
    }

    /// @dev Appends a client's seat to the provider's in-neighbours.
    function _list(uint64 topic, uint32 clientSeat, Node memory provider) private {
        uint256 index = provider.inDegree;
        _inNeighbours[_listKey(topic, provider.seat, index)] |= uint256(clientSeat) << (32 * (index % SEATS_PER_SLOT));
        provider.inDegree = uint32(index + 1);
    }

    function _closedNode(
        uint64 topic,
        uint32 agentId,
        uint256 running
    ) private view returns (uint32 seat, uint48 rowSum, uint32 inDegree) {
        Node memory node = _nodes[_nodeKey(topic, agentId)];
        return
            node.epoch == running
                ? (node.seat, node.rowSumBefore, node.inDegreeBefore)
                : (node.seat, node.rowSum, node.inDegree);
    }

    function _addSaturating(uint48 sum, uint24 amount) private pure returns (uint48) {
        return amount > type(uint48).max - sum ? type(uint48).max : sum + amount;
    }

    function _weightOf(uint48 satisfied, uint48 unsatisfied) private pure returns (uint48) {
        return satisfied > unsatisfied ? satisfied - unsatisfied : 0;
    }

    function _nodeKey(uint64 topic, uint32 agentId) private pure returns (uint256) {
        return (uint256(topic) << 32) | agentId;
    }

    function _pairKey(uint64 topic, uint256 clientSeat, uint256 providerSeat) private pure returns (uint256) {
        return (uint256(topic) << 64) | (clientSeat << 32) | providerSeat;
    }

    function _listKey(uint64 topic, uint256 seat, uint256 index) private pure returns (uint256) {
        return (uint256(topic) << 64) | (seat << 32) | (index / SEATS_PER_SLOT);
    }
}
