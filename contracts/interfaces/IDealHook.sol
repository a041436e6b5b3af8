// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Deal} from "../libraries/Types.sol";
import {DealState} from "./IDealEscrow.sol";

/// @title What a deal tells the hook that both sides named in it
/// @notice Called after every effect of the step and before its payments, with at most HOOK_GAS, so that no recipient can starve
/// it; `onFunded` after the money has come in. What it answers is not read; a call that fails is told by `HookFailed` and
/// blocks nothing. A hook that keeps books asks for msg.sender to be the escrow it serves.
/// An opening cannot be made from inside a hook: the escrow measures balances then.
interface IDealHook {
    /// @param payer who brought the price and the client's bond
    function onFunded(bytes32 dealId, Deal calldata deal, address payer) external;

    function onSubmitted(bytes32 dealId, Deal calldata deal, bytes32 deliverableHash) external;

    /// @param state Completed, Refunded, Resolved or Cancelled
    /// @param toProvider of the price, all parts that were released before included
    /// @param rating that moved local trust, -100..100; 0 = none
    function onSettled(bytes32 dealId, Deal calldata deal, DealState state, uint256 toProvider, int8 rating) external;

    /// @param reasonHash of what the client objects to
    function onDisputed(bytes32 dealId, Deal calldata deal, bytes32 reasonHash) external;
}
