// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDealEscrow} from "../interfaces/IDealEscrow.sol";
import {Deal} from "../libraries/Types.sol";

/// @notice The terms that a deal can be opened with, whatever both sides have signed.
library DealTerms {
    /// @dev Longest silence that a provider can sign up to.
    uint32 private constant MAX_REVIEW_PERIOD = 30 days;
    /// @dev Longest delivery: with MAX_REVIEW_PERIOD and MAX_ARBITRATION it bounds how long money can stay without consent.
    uint48 private constant MAX_DELIVERY = 366 days;
    /// @dev Longest time for a ruling, from the latest end of review.
    uint48 private constant MAX_ARBITRATION = 180 days;
    /// @dev Sums of amounts cannot overflow.
    uint256 private constant MAX_AMOUNT = type(uint128).max;

    /// @notice Refuses by the name of what is wrong, with the bound.
    function check(Deal calldata deal) internal view {
        if (deal.price == 0) revert IDealEscrow.DealEscrowZeroPrice();
        _requireAmount(deal.price | deal.providerBond | deal.clientBond);
        if (deal.token != address(0) && deal.token.code.length == 0) revert IDealEscrow.DealEscrowBadToken(deal.token);
        if (deal.submitBy <= block.timestamp || deal.submitBy > block.timestamp + MAX_DELIVERY)
            revert IDealEscrow.DealEscrowBadSubmitBy(
                deal.submitBy,
                block.timestamp + 1,
                block.timestamp + MAX_DELIVERY
            );
        if (deal.reviewPeriod > MAX_REVIEW_PERIOD)
            revert IDealEscrow.DealEscrowBadReviewPeriod(deal.reviewPeriod, MAX_REVIEW_PERIOD);
        if (deal.clientAgentId == deal.providerAgentId) revert IDealEscrow.DealEscrowSelfDeal(deal.clientAgentId);
        if (deal.topic != 0) {
            // The ledger's seats hold 32 bits of an agent id.
            _requireLedgerId(deal.clientAgentId);
            _requireLedgerId(deal.providerAgentId);
        }
        _requireCleanEpoch(deal);
        // INVARIANT 4: a dispute begins before the review ends, and ends in bounded time.
        bool hasArbiter = deal.arbiter != address(0);
        uint256 reviewEnd = uint256(deal.submitBy) + deal.reviewPeriod;
        uint256 min = hasArbiter ? reviewEnd + 1 : 0;
        uint256 max = hasArbiter ? reviewEnd + MAX_ARBITRATION : 0;
        if (deal.arbiterDeadline < min || deal.arbiterDeadline > max)
            revert IDealEscrow.DealEscrowBadArbiterDeadline(deal.arbiterDeadline, min, max);
    }

    function _requireAmount(uint256 amounts) private pure {
        if (amounts > MAX_AMOUNT) revert IDealEscrow.DealEscrowAmountTooLarge(amounts, MAX_AMOUNT);
    }

    /// @dev Nothing else reads the epoch, and so nothing else refuses unclean high bits: the event tells its word as it lies.
    function _requireCleanEpoch(Deal calldata deal) private pure {
        uint256 word;
        assembly ("memory-safe") {
            word := calldataload(add(deal, 0x1e0))
        }
        // As the decoder refuses it, which gives no name either; the code has no room for one.
        // solhint-disable-next-line gas-custom-errors
        if (word > type(uint32).max) revert();
    }

    function _requireLedgerId(uint256 agentId) private pure {
        if (agentId > type(uint32).max) revert IDealEscrow.DealEscrowAgentIdTooLarge(agentId, type(uint32).max);
    }
}
