// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IEpochClock} from "../interfaces/IEpochClock.sol";
import {IERC8004Identity} from "../interfaces/IERC8004Identity.sol";
import {IOperators} from "../interfaces/IOperators.sol";
import {ITrustLedger} from "../interfaces/ITrustLedger.sol";
import {NodeWord, PairWord} from "../libraries/LedgerWords.sol";
import {OperatorQuery} from "../libraries/OperatorQuery.sol";

/// @title Local trust, double-buffered by epoch
/// @dev Every record keeps, beside its current value, the value at the close of the epoch before its `epoch`. A record that
/// was last touched before the running epoch holds the closing value in its current field: nothing has to be rolled over
/// when an epoch ends, and one slot serves both readings.
contract TrustLedger is ITrustLedger {
    using NodeWord for uint256;

    /// @dev Bound of a row sum: the exact map multiplies weights by score shares and counts on W fitting 48 bits with room.
    uint256 private constant MAX_ROW_SUM = 1 << 24;
    uint256 private constant SEATS_PER_SLOT = 8;
    /// @dev For one agent. Two of them and the dearest record stay below what recorders give (300,000).
    uint256 private constant OPERATOR_GAS = 50_000;

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
    /// @inheritdoc ITrustLedger
    IOperators public operators;
    mapping(uint64 topic => Seats) private _seats;
    /// @dev By topic << 32 | agent: one hash a look-up, as in the two mappings below.
    mapping(uint256 topicAndAgent => uint256 node) private _nodes;
    /// @dev By topic << 64 | client's seat << 32 | provider's seat.
    mapping(uint256 topicAndSeats => uint256 pair) private _pairs;
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
    function setOperators(IOperators operators_) external {
        if (msg.sender != DEPLOYER) revert TrustLedgerNotDeployer(msg.sender);
        if (address(operators) != address(0)) revert TrustLedgerOperatorsSet();
        if (address(operators_).code.length == 0) revert TrustLedgerNoOperators(operators_);
        operators = operators_;
        emit OperatorsSet(operators_);
    }

    /// @inheritdoc ITrustLedger
    function record(uint64 topic, uint32 client, uint32 provider, uint24 satisfied, uint24 unsatisfied) external {
        if (!isRecorder[msg.sender]) revert TrustLedgerNotRecorder(msg.sender);
        if (topic == 0 || client == 0 || provider == 0 || client == provider) return;
        uint256 from = _nodes[_nodeKey(topic, client)];
        uint256 to = _nodes[_nodeKey(topic, provider)];
        uint256 running = epoch();
        uint256 pairBefore = from == 0 || to == 0 ? 0 : _pairs[_pairKey(topic, from.seatOf(), to.seatOf())];
        // INVARIANT: two agents of one operator move no trust. A pair that was rated in this epoch was asked after in it.
        if (PairWord.epochOf(pairBefore) != running && _isOneParty(client, provider)) return;
        from = _seated(from, topic, client, running);
        to = _seated(to, topic, provider, running);
        uint256 pair = _rate(pairBefore, from, satisfied, unsatisfied);
        _pairs[_pairKey(topic, from.seatOf(), to.seatOf())] = pair;
        if (PairWord.isListed(pair) && !PairWord.isListed(pairBefore)) {
            _nodes[_nodeKey(topic, provider)] = _list(topic, from.seatOf(), to);
        }
        uint256 weightBefore = PairWord.weightOf(pairBefore);
        if (PairWord.weightOf(pair) != weightBefore) {
            // INVARIANT: W = Σ w over the row; weightBefore is one of its summands, so W cannot fall below 0.
            uint256 rowSum = from.rowSumOf() + PairWord.weightOf(pair) - weightBefore;
            _nodes[_nodeKey(topic, client)] = from.withRowSum(rowSum);
        }
        _emitRecorded(topic, client, provider, pair, running);
    }

    /// @inheritdoc ITrustLedger
    function join(uint64 topic, uint32 agentId) external {
        if (topic == 0) revert TrustLedgerZeroTopic();
        if (!REGISTRY.isAuthorizedOrOwner(msg.sender, agentId)) revert TrustLedgerNotAuthorized(agentId, msg.sender);
        _seated(_nodes[_nodeKey(topic, agentId)], topic, agentId, epoch());
    }

    /// @inheritdoc IEpochClock
    function epoch() public view returns (uint256) {
        return (block.timestamp - genesis) / epochLength + 1;
    }

    /// @inheritdoc ITrustLedger
    function nodeAt(uint64 topic, uint32 agentId) public view returns (uint32 seat, uint48 rowSum, uint32 inDegree) {
        uint256 node = _nodes[_nodeKey(topic, agentId)];
        bool isTouched = node.epochOf() == epoch();
        seat = uint32(node.seatOf());
        rowSum = uint48(isTouched ? node.rowSumBeforeOf() : node.rowSumOf());
        inDegree = uint32(isTouched ? node.inDegreeBeforeOf() : node.inDegreeOf());
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
        (seat, , inDegree) = nodeAt(topic, agentId);
        if (to > inDegree) to = inDegree;
        if (from >= to) return (seat, inDegree, edges);
        edges = new uint256[](to - from);
        uint256 packed;
        for (uint256 k = from; k < to; ++k) {
            if (k == from || k % SEATS_PER_SLOT == 0) packed = _inNeighbours[_listKey(topic, seat, k)];
            uint256 neighbour = uint32(packed >> (32 * (k % SEATS_PER_SLOT)));
            uint256 pair = _pairs[_pairKey(topic, neighbour, seat)];
            uint256 weight = PairWord.closedWeightOf(pair, running);
            edges[k - from] = (neighbour << 48) | weight;
        }
    }

    /// @inheritdoc ITrustLedger
    function pairOf(
        uint64 topic,
        uint32 client,
        uint32 provider
    ) external view returns (uint48 satisfied, uint48 unsatisfied) {
        uint256 clientSeat = _nodes[_nodeKey(topic, client)].seatOf();
        uint256 providerSeat = _nodes[_nodeKey(topic, provider)].seatOf();
        // Seat 0 is dust: no pair was ever stored with it, so an agent without a seat reads as zero.
        uint256 pair = _pairs[_pairKey(topic, clientSeat, providerSeat)];
        return (uint48(PairWord.satisfiedOf(pair)), uint48(PairWord.unsatisfiedOf(pair)));
    }

    /// @dev The agent's node as of the running epoch, seated if it was not. The caller stores what it changes further.
    function _seated(uint256 stored, uint64 topic, uint32 agentId, uint256 running) private returns (uint256 node) {
        if (stored != 0) return stored.rollTo(running);
        uint32 seat = _takeSeat(topic, uint32(running));
        node = NodeWord.create(running, seat);
        _nodes[_nodeKey(topic, agentId)] = node;
        emit Seated(topic, agentId, seat, running);
    }

    function _emitRecorded(uint64 topic, uint32 client, uint32 provider, uint256 pair, uint256 running) private {
        emit Recorded(
            topic,
            client,
            provider,
            uint48(PairWord.satisfiedOf(pair)),
            uint48(PairWord.unsatisfiedOf(pair)),
            uint48(PairWord.weightOf(pair)),
            running
        );
    }

    function _isOneParty(uint32 client, uint32 provider) private view returns (bool) {
        IOperators asked = operators;
        if (address(asked) == address(0)) return false;
        bytes32 operator = OperatorQuery.operatorOf(asked, client, OPERATOR_GAS);
        return operator != 0 && operator == OperatorQuery.operatorOf(asked, provider, OPERATOR_GAS);
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

    /// @dev Adds to both sums of a pair; listed from now on if its weight exceeds 0.
    function _rate(
        uint256 pair,
        uint256 from,
        uint256 satisfied,
        uint256 unsatisfied
    ) private pure returns (uint256 rated) {
        uint256 weightBefore = PairWord.weightOf(pair);
        uint256 closedWeight = PairWord.closedWeightOf(pair, from.epochOf());
        satisfied = _saturate(PairWord.satisfiedOf(pair) + satisfied);
        unsatisfied = _saturate(PairWord.unsatisfiedOf(pair) + unsatisfied);
        uint256 weight = PairWord.differenceOf(satisfied, unsatisfied);
        // INVARIANT: W <= MAX_ROW_SUM and w = max(satisfied - unsatisfied, 0), both at once: the excess leaves `satisfied`,
        // which never falls below its former value, since maxWeight is at least the former weight.
        uint256 maxWeight = weightBefore + MAX_ROW_SUM - from.rowSumOf();
        if (weight > maxWeight) {
            weight = maxWeight;
            satisfied = unsatisfied + maxWeight;
        }
        bool isListed = weight > 0 || PairWord.isListed(pair);
        return PairWord.pack(from.epochOf(), satisfied, unsatisfied, closedWeight, isListed);
    }

    /// @dev Appends a client's seat to the in-neighbours of a provider, and returns the provider's node.
    function _list(uint64 topic, uint256 clientSeat, uint256 provider) private returns (uint256) {
        uint256 index = provider.inDegreeOf();
        _inNeighbours[_listKey(topic, provider.seatOf(), index)] |= clientSeat << (32 * (index % SEATS_PER_SLOT));
        return provider.withInDegree(index + 1);
    }

    function _saturate(uint256 sum) private pure returns (uint256) {
        return sum > PairWord.MAX_SUM ? PairWord.MAX_SUM : sum;
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
