// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBindings} from "../interfaces/IBindings.sol";
import {DealState, IDealEscrow} from "../interfaces/IDealEscrow.sol";
import {IDealHook} from "../interfaces/IDealHook.sol";
import {StructHash} from "../libraries/StructHash.sol";
import {Deal} from "../libraries/Types.sol";
import {Credits} from "./Credits.sol";
import {DealNotices} from "./DealNotices.sol";
import {Parties} from "./Parties.sol";
import {Shares} from "./Shares.sol";

/// @notice Where each deal stands, and how its money goes out: what it earned, what it returns, and the shares of a pot.
abstract contract DealEnds is DealNotices, Credits {
    /// @dev One storage slot a deal; everything else is in the Deal, which the caller presents and the dealId binds.
    struct Progress {
        address payer;
        DealState state;
        uint48 reviewUntil;
        /// True: `releasedOf` holds what the client has paid in parts.
        bool hasParts;
        /// True: the deal's feedback was given, see DealTickets.
        bool isTicketUsed;
    }

    /// @dev Who gets what at the end of a deal. `earned` is of the price: with splits it waits in the pot.
    struct Ending {
        address payee;
        uint256 earned;
        uint256 bonds;
        address payer;
        uint256 toPayer;
        int8 rating;
    }

    /// @inheritdoc IDealEscrow
    IBindings public immutable registry;

    mapping(bytes32 dealId => Progress) internal _progress;
    /// @inheritdoc IDealEscrow
    mapping(bytes32 dealId => uint256) public releasedOf;
    /// @inheritdoc IDealEscrow
    mapping(bytes32 dealId => uint256) public potOf;

    constructor(IBindings registry_) {
        registry = registry_;
    }

    /// @inheritdoc IDealEscrow
    function distribute(Deal calldata deal, Share[] calldata shares) external {
        bytes32 dealId = StructHash.hashCalldata(deal);
        DealState state = _progress[dealId].state;
        uint256 pot = potOf[dealId];
        // INVARIANT 9: once, of everything that the deal has earned, so that the dust depends on nobody's timing.
        if (pot == 0 || state < DealState.Completed || state == DealState.Disputed)
            revert DealEscrowNothingToDistribute(dealId);
        if (shares.length > Shares.MAX_COUNT) revert DealEscrowTooManyShares(shares.length, Shares.MAX_COUNT);
        bytes32 root = Shares.rootOf(shares);
        if (root != deal.splitsRoot) revert DealEscrowBadShares(dealId, root);

        potOf[dealId] = 0;
        uint256 rest = pot;
        uint256 whole;
        for (uint256 k; k < shares.length; ++k) {
            whole += shares[k].millionths;
            if (whole > Shares.WHOLE) revert DealEscrowBadShares(dealId, root);
            uint256 amount = (pot * shares[k].millionths) / Shares.WHOLE;
            rest -= amount;
            _giveShare(dealId, deal.token, shares[k].account, amount);
        }
        _giveShare(dealId, deal.token, _payeeOf(deal), rest);
    }

    /// @inheritdoc IDealEscrow
    function dealOf(bytes32 dealId) external view returns (DealState state, address payer, uint48 reviewUntil) {
        Progress storage progress = _progress[dealId];
        return (progress.state, progress.payer, progress.reviewUntil);
    }

    /// @dev INVARIANT 1, 3: called once a deal, by what took it to its terminal state; pays what it held. Ledger and hook come
    /// before the payments, so that a recipient that burns its gas cannot starve them.
    function _end(bytes32 dealId, Deal calldata deal, DealState state, Ending memory ending) internal {
        if (ending.rating != 0) _record(dealId, deal, ending.rating);
        if (deal.hook != address(0)) {
            uint256 toProvider = releasedOf[dealId] + ending.earned;
            bytes memory input = abi.encodeCall(IDealHook.onSettled, (dealId, deal, state, toProvider, ending.rating));
            _tell(dealId, deal.hook, input);
        }
        _payEarned(dealId, deal, ending.payee, ending.earned, ending.bonds);
        _pay(deal.token, ending.payer, ending.toPayer);
    }

    /// @dev What is earned of the price waits for its shares, if there are any; bonds never do.
    function _payEarned(bytes32 dealId, Deal calldata deal, address payee, uint256 earned, uint256 bonds) internal {
        if (deal.splitsRoot != 0 && earned != 0) {
            uint256 pot = potOf[dealId] + earned;
            potOf[dealId] = pot;
            emit SplitPending(dealId, earned, pot);
            earned = 0;
        }
        _pay(deal.token, payee, earned + bonds);
    }

    function _giveShare(bytes32 dealId, address token, address account, uint256 amount) private {
        if (amount == 0) return;
        emit ShareDistributed(dealId, account, amount);
        _pay(token, account, amount);
    }

    /// @dev INVARIANT 1, 3: every movement of money names the one state it starts from.
    function _requireState(bytes32 dealId, DealState required) internal view returns (Progress storage progress) {
        progress = _progress[dealId];
        if (progress.state != required) revert DealEscrowWrongState(dealId, progress.state, required);
    }

    function _requireLive(bytes32 dealId, DealState state) internal pure {
        if (state != DealState.Funded && state != DealState.Submitted && state != DealState.Disputed)
            revert DealEscrowNotLive(dealId, state);
    }

    function _payeeOf(Deal calldata deal) internal view returns (address) {
        return Parties.payeeOf(registry, deal.providerAgentId);
    }

    /// @dev What is left of the price.
    function _heldOf(bytes32 dealId, Deal calldata deal, Progress storage progress) internal view returns (uint256) {
        return progress.hasParts ? deal.price - releasedOf[dealId] : deal.price;
    }
}
