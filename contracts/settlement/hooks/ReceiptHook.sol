// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {DealState} from "../../interfaces/IDealEscrow.sol";
import {IDealHook} from "../../interfaces/IDealHook.sol";
import {Deal} from "../../libraries/Types.sol";

/// @title One event a step, for webhooks
/// @notice Tells each step of a deal in one event of one shape, by the agents and the sum, so that whoever forwards receipts
/// subscribes to one topic and needs no ABI of the escrow. Keeps nothing.
contract ReceiptHook is IDealHook {
    /// @param escrow who called: a receipt of an escrow that the reader does not know is worth nothing
    /// @param step Funded, Submitted, Disputed, or how the deal ended
    /// @param amount price at funding, what the provider got at the end, else 0
    /// @param reference_ payer, deliverable's hash, reason's hash, or the rating
    event Receipt(
        address indexed escrow,
        uint256 indexed clientAgentId,
        uint256 indexed providerAgentId,
        bytes32 dealId,
        DealState step,
        address token,
        uint256 amount,
        bytes32 reference_
    );

    /// @inheritdoc IDealHook
    function onFunded(bytes32 dealId, Deal calldata deal, address payer) external {
        _emit(dealId, deal, DealState.Funded, deal.price, bytes32(uint256(uint160(payer))));
    }

    /// @inheritdoc IDealHook
    function onSubmitted(bytes32 dealId, Deal calldata deal, bytes32 deliverableHash) external {
        _emit(dealId, deal, DealState.Submitted, 0, deliverableHash);
    }

    /// @inheritdoc IDealHook
    function onSettled(bytes32 dealId, Deal calldata deal, DealState state, uint256 toProvider, int8 rating) external {
        _emit(dealId, deal, state, toProvider, bytes32(uint256(int256(rating))));
    }

    /// @inheritdoc IDealHook
    function onDisputed(bytes32 dealId, Deal calldata deal, bytes32 reasonHash) external {
        _emit(dealId, deal, DealState.Disputed, 0, reasonHash);
    }

    function _emit(bytes32 dealId, Deal calldata deal, DealState step, uint256 amount, bytes32 reference_) private {
        emit Receipt(
            msg.sender,
            deal.clientAgentId,
            deal.providerAgentId,
            dealId,
            step,
            deal.token,
            amount,
            reference_
        );
    }
}
