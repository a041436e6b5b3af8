// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IArbitrable, IArbitrator} from "../interfaces/IArbitrator.sol";

// Calling anything is what a re-entering arbitrator is for.
// solhint-disable avoid-low-level-calls

/// @title An ERC-792 arbitrator that rules as it is told, with every vice. TEST ONLY.
contract TestArbitrator is IArbitrator {
    enum Vice {
        None,
        RefuseToCreate,
        BurnGasOnCreation,
        SameDisputeAgain,
        SilentAboutCost,
        /// Calls `_target` while it creates a dispute.
        Reenter
    }

    uint256 public cost;
    Vice public vice;
    uint256 public disputeCount;
    address private _target;
    bytes private _input;
    bool public hasReentered;
    mapping(uint256 disputeId => IArbitrable) public arbitrableOf;
    mapping(uint256 disputeId => uint256) public appealed;
    mapping(uint256 disputeId => DisputeStatus) public disputeStatus;
    mapping(uint256 disputeId => uint256) public currentRuling;

    error TestArbitratorRefused();

    function setCost(uint256 cost_) external {
        cost = cost_;
    }

    function setVice(Vice vice_, address target, bytes calldata input) external {
        vice = vice_;
        _target = target;
        _input = input;
    }

    /// @notice What it says of a dispute before it rules.
    function setPresent(uint256 disputeId, DisputeStatus status, uint256 ruling) external {
        disputeStatus[disputeId] = status;
        currentRuling[disputeId] = ruling;
    }

    function giveRuling(uint256 disputeId, uint256 ruling) external {
        arbitrableOf[disputeId].rule(disputeId, ruling);
    }

    /// @notice Takes what it was paid.
    function collect(address payable to) external {
        to.transfer(address(this).balance);
    }

    function createDispute(uint256, bytes calldata) external payable returns (uint256 disputeId) {
        if (vice == Vice.RefuseToCreate || msg.value < cost) revert TestArbitratorRefused();
        if (vice == Vice.BurnGasOnCreation) while (gasleft() > 0) {}
        if (vice == Vice.Reenter) (hasReentered, ) = _target.call(_input);
        disputeId = vice == Vice.SameDisputeAgain ? disputeCount : ++disputeCount;
        arbitrableOf[disputeId] = IArbitrable(msg.sender);
        emit DisputeCreation(disputeId, IArbitrable(msg.sender));
    }

    function appeal(uint256 disputeId, bytes calldata) external payable {
        appealed[disputeId] += msg.value;
        emit AppealDecision(disputeId, arbitrableOf[disputeId]);
    }

    function arbitrationCost(bytes calldata) external view returns (uint256) {
        if (vice == Vice.SilentAboutCost) revert TestArbitratorRefused();
        return cost;
    }

    function appealCost(uint256, bytes calldata) external view returns (uint256) {
        return cost;
    }

    function appealPeriod(uint256) external pure returns (uint256 start, uint256 end) {
        return (0, 0);
    }
}
