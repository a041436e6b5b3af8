// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {DealState, IDealEscrow} from "../../interfaces/IDealEscrow.sol";
import {IDealHook} from "../../interfaces/IDealHook.sol";
import {IFeedbackRegistry} from "../../interfaces/IFeedbackRegistry.sol";
import {Deal} from "../../libraries/Types.sol";

/// @title The client's rating as ERC-8004 feedback, in the transaction that settles the deal
/// @notice Gives backed feedback with the rating and no text. The feedback registry asks who speaks for the client: its owner
/// approves this hook for the agent (ERC-721). The hook has no other function; without the approval nothing is given, and
/// `HookFailed` says so.
contract FeedbackHook is IDealHook {
    error FeedbackHookNotEscrow(address caller);

    IDealEscrow public immutable escrow;
    IFeedbackRegistry public immutable feedback;

    constructor(IDealEscrow escrow_, IFeedbackRegistry feedback_) {
        escrow = escrow_;
        feedback = feedback_;
    }

    /// @inheritdoc IDealHook
    function onFunded(bytes32, Deal calldata, address) external {}

    /// @inheritdoc IDealHook
    function onSubmitted(bytes32, Deal calldata, bytes32) external {}

    /// @inheritdoc IDealHook
    function onSettled(bytes32, Deal calldata deal, DealState state, uint256, int8 rating) external {
        if (msg.sender != address(escrow)) revert FeedbackHookNotEscrow(msg.sender);
        // Silence and cancellation are no opinion.
        if (rating == 0 || state == DealState.Cancelled) return;
        feedback.giveFeedbackForDeal(deal, rating, 0, "", "", "", "", 0);
    }

    /// @inheritdoc IDealHook
    function onDisputed(bytes32, Deal calldata, bytes32) external {}
}
