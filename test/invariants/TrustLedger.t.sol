// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ITrustLedger} from "../../contracts/interfaces/ITrustLedger.sol";
import {TrustLedger} from "../../contracts/reputation/TrustLedger.sol";
import {vm, Log} from "./Vm.sol";

/// @notice Drives the ledger as its only recorder and folds its events, and nothing else, into a second state. What the
/// fold held when an epoch closed is kept apart: the ledger's views must answer with exactly that.
contract TrustLedgerHandler {
    uint64 public constant TOPICS = 2;
    uint32 public constant AGENTS = 6;
    uint48 public constant MAX_ROW_SUM = 1 << 24;
    uint256 public constant EPOCH_LENGTH = 1 days;

    struct Fold {
        uint32 seats;
        uint32[7] seatOf;
        uint32[7] degreeOf;
        // In-neighbours of a provider in the order of listing, and the weight of each pair, by agent ids.
        uint32[7][7] neighbours;
        uint48[7][7] weights;
        uint48[7][7] satisfied;
        uint48[7][7] unsatisfied;
    }

    TrustLedger public immutable ledger;
    uint256 private _now;
    uint256 private _epoch = 1;
    mapping(uint64 topic => Fold) private _live;
    mapping(uint64 topic => Fold) private _closed;

    constructor() {
        ledger = new TrustLedger(EPOCH_LENGTH, address(0));
        address[] memory recorders = new address[](1);
        recorders[0] = address(this);
        ledger.setRecorders(recorders);
        _now = block.timestamp;
    }

    /// @dev Plain ratings of a settled deal.
    function recordRating(uint8 topic, uint8 client, uint8 provider, int8 rating) external {
        int256 bounded = int256(rating) % 101;
        uint24 amount = uint24(uint256(bounded < 0 ? -bounded : bounded));
        _record(topic, client, provider, bounded > 0 ? amount : 0, bounded < 0 ? amount : 0);
    }

    /// @dev Anything a recorder can pass at all, so that rows reach their bound.
    function recordExtreme(uint8 topic, uint8 client, uint8 provider, uint24 satisfied, uint24 unsatisfied) external {
        _record(topic, client, provider, satisfied, unsatisfied);
    }

    function passTime(uint32 secondsLater) external {
        _now += secondsLater % (2 * EPOCH_LENGTH);
        vm.warp(_now);
        _closeEpochs();
    }

    function warp() external {
        vm.warp(_now);
    }

    function live(uint64 topic) external view returns (Fold memory) {
        return _live[topic];
    }

    function closed(uint64 topic) external view returns (Fold memory) {
        return _closed[topic];
    }

    function _record(uint8 topic, uint8 client, uint8 provider, uint24 satisfied, uint24 unsatisfied) private {
        vm.warp(_now);
        vm.recordLogs();
        ledger.record(topic % (TOPICS + 1), client % (AGENTS + 1), provider % (AGENTS + 1), satisfied, unsatisfied);
        Log[] memory logs = vm.getRecordedLogs();
        for (uint256 k; k < logs.length; ++k) _fold(logs[k]);
    }

    function _closeEpochs() private {
        uint256 running = ledger.epoch();
        if (running == _epoch) return;
        _epoch = running;
        for (uint64 topic = 1; topic <= TOPICS; ++topic) _closed[topic] = _live[topic];
    }

    function _fold(Log memory log) private {
        Fold storage fold = _live[uint64(uint256(log.topics[1]))];
        if (log.topics[0] == ITrustLedger.Seated.selector) {
            (uint32 seat, uint256 epoch) = abi.decode(log.data, (uint32, uint256));
            require(epoch == _epoch && fold.seats <= seat, "Seated: epoch or order");
            fold.seatOf[uint256(log.topics[2])] = seat;
            fold.seats = seat + 1;
            return;
        }
        require(log.topics[0] == ITrustLedger.Recorded.selector, "unknown event");
        (uint256 client, uint256 provider) = (uint256(log.topics[2]), uint256(log.topics[3]));
        (uint48 satisfied, uint48 unsatisfied, uint48 weight, uint256 recordedIn) = abi.decode(
            log.data,
            (uint48, uint48, uint48, uint256)
        );
        require(recordedIn == _epoch, "Recorded: epoch");
        require(satisfied >= fold.satisfied[client][provider], "satisfied fell");
        (fold.satisfied[client][provider], fold.unsatisfied[client][provider]) = (satisfied, unsatisfied);
        fold.weights[client][provider] = weight;
        if (weight == 0) return;
        for (uint256 k; k < fold.degreeOf[provider]; ++k) if (fold.neighbours[provider][k] == client) return;
        fold.neighbours[provider][fold.degreeOf[provider]++] = uint32(client);
    }
}

contract TrustLedgerInvariants {
    TrustLedgerHandler private _handler;
    TrustLedger private _ledger;

    function setUp() public {
        _handler = new TrustLedgerHandler();
        _ledger = _handler.ledger();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    /// Seats, row sums, in-degrees and rows answer as the events folded up to the close of the last epoch do, whatever was
    /// recorded since.
    function invariant_SnapshotIsTheFoldOfEventsUpToTheClose() public {
        _handler.warp();
        for (uint64 topic = 1; topic <= _handler.TOPICS(); ++topic) {
            TrustLedgerHandler.Fold memory fold = _handler.closed(topic);
            require(_ledger.seatsAt(topic) == fold.seats, "seats");
            for (uint32 agent = 1; agent <= _handler.AGENTS(); ++agent) {
                if (fold.seatOf[agent] != 0) _checkNode(topic, agent, fold);
            }
        }
    }

    /// Σ over a row of w = W <= 2^24, at the close of the last epoch.
    function invariant_RowSumIsTheSumOfItsWeights() public {
        _handler.warp();
        for (uint64 topic = 1; topic <= _handler.TOPICS(); ++topic) {
            uint48[7] memory sums;
            TrustLedgerHandler.Fold memory fold = _handler.closed(topic);
            for (uint32 provider = 1; provider <= _handler.AGENTS(); ++provider) {
                (, , uint256[] memory edges) = _ledger.rowAt(topic, provider, 0, type(uint256).max);
                for (uint256 k; k < edges.length; ++k) sums[_agentAt(fold, edges[k] >> 48)] += uint48(edges[k]);
            }
            for (uint32 client = 1; client <= _handler.AGENTS(); ++client) {
                (, uint48 rowSum, ) = _ledger.nodeAt(topic, client);
                require(rowSum == sums[client] && rowSum <= _handler.MAX_ROW_SUM(), "row sum");
            }
        }
    }

    /// Seats are 1 … n - 1, each taken by one agent.
    function invariant_SeatsAreDense() public view {
        for (uint64 topic = 1; topic <= _handler.TOPICS(); ++topic) {
            TrustLedgerHandler.Fold memory fold = _handler.live(topic);
            for (uint256 seat = 1; seat < fold.seats; ++seat) require(_agentAt(fold, seat) != 0, "empty seat");
        }
    }

    /// The current sums equal the fold of all events, and the weight is what the sums say.
    function invariant_SumsAreTheFoldOfAllEvents() public view {
        for (uint64 topic = 1; topic <= _handler.TOPICS(); ++topic) {
            TrustLedgerHandler.Fold memory fold = _handler.live(topic);
            for (uint32 i = 1; i <= _handler.AGENTS(); ++i) {
                for (uint32 j = 1; j <= _handler.AGENTS(); ++j) {
                    (uint48 satisfied, uint48 unsatisfied) = _ledger.pairOf(topic, i, j);
                    require(satisfied == fold.satisfied[i][j] && unsatisfied == fold.unsatisfied[i][j], "sums");
                    uint48 weight = satisfied > unsatisfied ? satisfied - unsatisfied : 0;
                    require(weight == fold.weights[i][j], "weight");
                }
            }
        }
    }

    /// Whatever a recorder passes, record returns.
    function testFuzz_RecordNeverRevertsForARecorder(
        uint64 topic,
        uint32 client,
        uint32 provider,
        uint24 satisfied,
        uint24 unsatisfied,
        uint32 later
    ) public {
        TrustLedger ledger = new TrustLedger(1, address(0));
        address[] memory recorders = new address[](1);
        recorders[0] = address(this);
        ledger.setRecorders(recorders);
        for (uint256 k; k < 4; ++k) {
            ledger.record(topic, client, provider, satisfied, unsatisfied);
            ledger.record(topic, provider, client, unsatisfied, satisfied);
            ledger.record(topic, client, uint32(k), type(uint24).max, unsatisfied);
            vm.warp(block.timestamp + (uint256(later) >> (8 * k)));
        }
    }

    function _checkNode(uint64 topic, uint32 agent, TrustLedgerHandler.Fold memory fold) private view {
        (uint32 seat, uint48 rowSum, uint32 degree) = _ledger.nodeAt(topic, agent);
        (uint32 rowSeat, uint32 rowDegree, uint256[] memory edges) = _ledger.rowAt(topic, agent, 0, type(uint256).max);
        uint48 expectedSum;
        for (uint256 j; j < 7; ++j) expectedSum += fold.weights[agent][j];
        require(seat == fold.seatOf[agent] && rowSeat == seat, "seat");
        require(rowSum == expectedSum, "W");
        require(degree == fold.degreeOf[agent] && rowDegree == degree && edges.length == degree, "in-degree");
        for (uint256 k; k < degree; ++k) {
            uint32 neighbour = fold.neighbours[agent][k];
            uint256 edge = (uint256(fold.seatOf[neighbour]) << 48) | fold.weights[neighbour][agent];
            require(edges[k] == edge, "edge");
        }
    }

    function _agentAt(TrustLedgerHandler.Fold memory fold, uint256 seat) private pure returns (uint256 agent) {
        for (uint256 candidate = 1; candidate < 7; ++candidate) {
            if (fold.seatOf[candidate] != seat) continue;
            require(agent == 0, "two agents on a seat");
            agent = candidate;
        }
    }
}
