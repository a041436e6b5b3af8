// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {DealState, IDealEscrow} from "../interfaces/IDealEscrow.sol";
import {DealEnds} from "./DealEnds.sol";

/// @notice The one feedback that a settled deal backs. Whether it was given is a bit of the deal's own slot.
abstract contract DealTickets is DealEnds {
    address private immutable DEPLOYER = msg.sender;

    /// @inheritdoc IDealEscrow
    address public feedbackRegistry;

    /// @inheritdoc IDealEscrow
    function setFeedbackRegistry(address feedbackRegistry_) external {
        // INVARIANT: named once; nobody can name one later that uses up other people's tickets.
        if (msg.sender != DEPLOYER || feedbackRegistry != address(0)) revert DealEscrowNotNamed(msg.sender);

        feedbackRegistry = feedbackRegistry_;
        emit FeedbackRegistrySet(feedbackRegistry_);
    }

    /// @inheritdoc IDealEscrow
    function useTicket(bytes32 dealId) external {
        if (msg.sender != feedbackRegistry) revert DealEscrowNotNamed(msg.sender);
        Progress storage progress = _progress[dealId];
        DealState state = progress.state;
        // INVARIANT 43: a deal backs one feedback, and only after its money has moved.
        if (state != DealState.Completed && state != DealState.Resolved && state != DealState.Refunded)
            revert DealEscrowNotSettled(dealId, state);
        if (progress.isTicketUsed) revert DealEscrowTicketUsed(dealId);

        progress.isTicketUsed = true;
    }

    /// @inheritdoc IDealEscrow
    function isTicketUsed(bytes32 dealId) external view returns (bool) {
        return _progress[dealId].isTicketUsed;
    }
}
