// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IArbitrable, IArbitrator} from "../interfaces/IArbitrator.sol";

/// @notice An ERC-792 arbitrator whose deployer rules, with one appeal at twice the cost: for tests of whoever asks for rulings.
contract CourtArbitrator is IArbitrator {
    struct Case {
        IArbitrable arbitrable;
        uint8 ruling;
        bool isAppealed;
        DisputeStatus status;
        uint48 appealableUntil;
    }

    error CourtArbitratorWrongFee(uint256 expected, uint256 given);
    error CourtArbitratorNotJudge(address caller);
    error CourtArbitratorWrongStatus(uint256 disputeId, DisputeStatus status);
    error CourtArbitratorTooEarly(uint256 disputeId, uint48 appealableUntil);
    error CourtArbitratorTooLate(uint256 disputeId, uint48 appealableUntil);

    address public immutable judge = msg.sender;
    uint48 public immutable appealSeconds;
    uint256 public cost;
    Case[] private _cases;

    constructor(uint256 cost_, uint48 appealSeconds_) {
        cost = cost_;
        appealSeconds = appealSeconds_;
    }

    function setCost(uint256 cost_) external {
        cost = cost_;
    }

    /// @inheritdoc IArbitrator
    function createDispute(uint256, bytes calldata) external payable returns (uint256 disputeId) {
        if (msg.value != cost) revert CourtArbitratorWrongFee(cost, msg.value);
        disputeId = _cases.length;
        _cases.push(Case(IArbitrable(msg.sender), 0, false, DisputeStatus.Waiting, 0));
        emit DisputeCreation(disputeId, IArbitrable(msg.sender));
    }

    /// @inheritdoc IArbitrator
    function appeal(uint256 disputeId, bytes calldata) external payable {
        Case storage found = _cases[disputeId];
        if (found.status != DisputeStatus.Appealable || found.isAppealed)
            revert CourtArbitratorWrongStatus(disputeId, found.status);
        if (block.timestamp > found.appealableUntil) revert CourtArbitratorTooLate(disputeId, found.appealableUntil);
        if (msg.value != 2 * cost) revert CourtArbitratorWrongFee(2 * cost, msg.value);
        found.isAppealed = true;
        found.status = DisputeStatus.Waiting;
        emit AppealDecision(disputeId, found.arbitrable);
    }

    /// @notice The first ruling can be appealed, the second is final.
    function giveRuling(uint256 disputeId, uint8 ruling) external {
        if (msg.sender != judge) revert CourtArbitratorNotJudge(msg.sender);
        Case storage found = _cases[disputeId];
        if (found.status != DisputeStatus.Waiting) revert CourtArbitratorWrongStatus(disputeId, found.status);
        found.ruling = ruling;
        found.appealableUntil = found.isAppealed ? uint48(block.timestamp) : uint48(block.timestamp) + appealSeconds;
        found.status = DisputeStatus.Appealable;
        emit AppealPossible(disputeId, found.arbitrable);
        if (found.isAppealed) _execute(disputeId, found);
    }

    /// @notice Anyone executes a ruling that nobody appealed.
    function executeRuling(uint256 disputeId) external {
        Case storage found = _cases[disputeId];
        if (found.status != DisputeStatus.Appealable) revert CourtArbitratorWrongStatus(disputeId, found.status);
        if (block.timestamp <= found.appealableUntil) revert CourtArbitratorTooEarly(disputeId, found.appealableUntil);
        _execute(disputeId, found);
    }

    function _execute(uint256 disputeId, Case storage found) private {
        found.status = DisputeStatus.Solved;
        found.arbitrable.rule(disputeId, found.ruling);
    }

    /// @inheritdoc IArbitrator
    function arbitrationCost(bytes calldata) external view returns (uint256) {
        return cost;
    }

    /// @inheritdoc IArbitrator
    function appealCost(uint256, bytes calldata) external view returns (uint256) {
        return 2 * cost;
    }

    /// @inheritdoc IArbitrator
    function appealPeriod(uint256 disputeId) external view returns (uint256 start, uint256 end) {
        uint256 until = _cases[disputeId].appealableUntil;
        return (until - appealSeconds, until);
    }

    /// @inheritdoc IArbitrator
    function disputeStatus(uint256 disputeId) external view returns (DisputeStatus) {
        return _cases[disputeId].status;
    }

    /// @inheritdoc IArbitrator
    function currentRuling(uint256 disputeId) external view returns (uint256) {
        return _cases[disputeId].ruling;
    }
}
