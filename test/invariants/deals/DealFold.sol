// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FeeStage, IDealDisputes} from "../../../contracts/interfaces/IDealDisputes.sol";
import {DealState, IDealEscrow, Resolution} from "../../../contracts/interfaces/IDealEscrow.sol";
import {IFeedbackRegistry} from "../../../contracts/interfaces/IFeedbackRegistry.sol";
import {ICredits} from "../../../contracts/interfaces/ICredits.sol";
import {StructHash} from "../../../contracts/libraries/StructHash.sol";
import {Deal} from "../../../contracts/libraries/Types.sol";
import {Log} from "../Vm.sol";
import {DealWorld} from "./DealWorld.sol";

/// @notice One deal and its dispute as their events tell them.
struct Fold {
    DealState state;
    address payer;
    uint48 reviewUntil;
    uint256 released;
    uint256 pot;
    uint256 depositCount;
    uint256 endCount;
    uint256 deposited;
    /// All that left for a side or for the pot.
    uint256 paidOut;
    uint256 clientFee;
    uint256 providerFee;
    uint48 feeBy;
    FeeStage stage;
    uint8 ruling;
    /// Ruling of an arbiter that is no arbitrator, from 1; 0 = none.
    uint256 accountRuling;
    bool isTicketUsed;
}

/// @notice Folds the events of the escrow, of its disputes and of the feedback that its deals back, and nothing else, into a second state.
abstract contract DealFold is DealWorld {
    mapping(bytes32 dealId => Fold) internal _folds;
    mapping(address emitter => mapping(address token => mapping(address account => uint256))) public credits;
    /// @notice What the arbitrator was paid, for disputes and appeals.
    uint256 public arbitratorPaid;
    /// @dev Sums that the ledger must hold, by client and provider.
    mapping(uint256 client => mapping(uint256 provider => uint256)) public satisfied;
    mapping(uint256 client => mapping(uint256 provider => uint256)) public unsatisfied;
    /// @notice How often each kind of event was seen, by its selector.
    mapping(bytes32 selector => uint256) public seen;

    function _foldLog(Log memory log) internal {
        if (log.emitter == address(feedback) && log.topics[0] == IFeedbackRegistry.FeedbackBacked.selector) {
            ++seen[log.topics[0]];
            require(!_folds[log.topics[1]].isTicketUsed, "a ticket was used twice");
            _folds[log.topics[1]].isTicketUsed = true;
        }
        if (log.emitter != address(escrow) && log.emitter != address(disputes)) return;
        bytes32 kind = log.topics[0];
        ++seen[kind];
        if (kind == ICredits.Credited.selector || kind == ICredits.CreditWithdrawn.selector) _foldCredit(log);
        else if (log.emitter == address(escrow)) _foldDeal(log, _folds[log.topics[1]]);
        else _foldDispute(log);
    }

    function _foldCredit(Log memory log) private {
        address token = address(uint160(uint256(log.topics[1])));
        address account = address(uint160(uint256(log.topics[2])));
        uint256 amount = abi.decode(log.data, (uint256));
        if (log.topics[0] == ICredits.Credited.selector) credits[log.emitter][token][account] += amount;
        else credits[log.emitter][token][account] -= amount;
    }

    function _foldDeal(Log memory log, Fold storage fold) private {
        bytes32 kind = log.topics[0];
        require(kind != IDealEscrow.LocalTrustSkipped.selector, "the ledger refused a record");
        if (kind == IDealEscrow.DealFunded.selector) {
            (address payer, Deal memory told) = abi.decode(log.data, (address, Deal));
            require(StructHash.hash(told) == log.topics[1], "DealFunded tells another deal");
            (fold.state, fold.payer) = (DealState.Funded, payer);
            fold.deposited += told.price + told.clientBond + told.providerBond;
            ++fold.depositCount;
        } else if (kind == IDealEscrow.DealSubmitted.selector) {
            (, fold.reviewUntil) = abi.decode(log.data, (bytes32, uint48));
            fold.state = DealState.Submitted;
        } else if (kind == IDealEscrow.DealPartReleased.selector) {
            uint256 amount;
            (amount, fold.released) = abi.decode(log.data, (uint256, uint256));
            fold.paidOut += amount;
        } else if (kind == IDealEscrow.DealDisputed.selector) {
            fold.state = DealState.Disputed;
        } else if (kind == IDealEscrow.SplitPending.selector) {
            (, fold.pot) = abi.decode(log.data, (uint256, uint256));
        } else if (kind == IDealEscrow.ShareDistributed.selector) {
            fold.pot -= abi.decode(log.data, (uint256));
        } else if (kind != IDealEscrow.HookFailed.selector) {
            _foldEnd(log, fold, _deals[_position[log.topics[1]] - 1]);
        }
    }

    function _foldEnd(Log memory log, Fold storage fold, Deal memory deal) private {
        ++fold.endCount;
        if (log.topics[0] == IDealEscrow.DealCompleted.selector) {
            (uint256 amount, int8 rating) = abi.decode(log.data, (uint256, int8));
            fold.state = DealState.Completed;
            fold.paidOut += amount + deal.clientBond;
            _foldTrust(deal, rating);
        } else if (log.topics[0] == IDealEscrow.DealRefunded.selector) {
            fold.state = DealState.Refunded;
            fold.paidOut += abi.decode(log.data, (uint256));
            _foldTrust(deal, -100);
        } else if (log.topics[0] == IDealEscrow.DealResolved.selector) {
            _foldResolution(log, fold, deal);
        } else {
            require(log.topics[0] == IDealEscrow.DealCancelled.selector, "unknown event");
            fold.state = DealState.Cancelled;
            // Of a deal that was never funded nothing returns, no bond either.
            if (fold.depositCount != 0) fold.paidOut += abi.decode(log.data, (uint256)) + deal.providerBond;
        }
    }

    function _foldResolution(Log memory log, Fold storage fold, Deal memory deal) private {
        Resolution resolution = Resolution(uint8(uint256(log.topics[2])));
        (, uint256 toProvider, uint256 toClient, int8 rating) = abi.decode(log.data, (address, uint256, uint256, int8));
        _requireDue(fold, deal, resolution);
        fold.state = DealState.Resolved;
        fold.paidOut += toProvider + toClient;
        _foldTrust(deal, rating);
    }

    /// @dev 4, 10: a dispute ends by both sides' word, by its ruling, or by the deadline that has passed, and by nothing else.
    function _requireDue(Fold storage fold, Deal memory deal, Resolution resolution) private view {
        if (resolution == Resolution.Agreed) return;
        Resolution due = Resolution.Even;
        uint256 last = deal.arbiterDeadline;
        if (fold.stage == FeeStage.Ruled) (due, last) = (_resolutionOf(fold.ruling), 0);
        else if (fold.accountRuling != 0) (due, last) = (_resolutionOf(fold.accountRuling - 1), 0);
        else if (fold.stage == FeeStage.ProviderOwes) (due, last) = (Resolution.ForClient, fold.feeBy);
        else if (fold.stage == FeeStage.ClientOwes) (due, last) = (Resolution.ForProvider, fold.feeBy);
        require(resolution == due && _now > last, "a dispute ended against its rules");
    }

    function _resolutionOf(uint256 ruling) private pure returns (Resolution) {
        if (ruling == 1) return Resolution.ForClient;
        return ruling == 2 ? Resolution.ForProvider : Resolution.Even;
    }

    function _foldTrust(Deal memory deal, int256 rating) private {
        if (deal.topic == 0) return;
        if (rating > 0) satisfied[deal.clientAgentId][deal.providerAgentId] += uint256(rating);
        if (rating < 0) unsatisfied[deal.clientAgentId][deal.providerAgentId] += uint256(-rating);
    }

    function _foldDispute(Log memory log) private {
        bytes32 kind = log.topics[0];
        if (kind == IDealDisputes.FeeDeposited.selector) {
            _foldDeposit(log, _folds[log.topics[1]]);
        } else if (kind == IDealDisputes.DisputeCreated.selector) {
            Fold storage fold = _folds[log.topics[1]];
            (, uint256 cost) = abi.decode(log.data, (uint256, uint256));
            (fold.clientFee, fold.providerFee) = (cost, cost);
            (fold.stage, fold.feeBy) = (FeeStage.Created, _deals[_position[log.topics[1]] - 1].arbiterDeadline);
            arbitratorPaid += cost;
        } else if (kind == IDealDisputes.Ruled.selector) {
            Fold storage fold = _folds[log.topics[1]];
            uint256 ruling = abi.decode(log.data, (uint256));
            if (fold.stage == FeeStage.None) fold.accountRuling = ruling + 1;
            else (fold.stage, fold.ruling) = (FeeStage.Ruled, ruling <= 2 ? uint8(ruling) : 0);
        } else if (kind == IDealDisputes.FeesReturned.selector) {
            _foldReturn(log, _folds[log.topics[1]]);
        } else if (kind == IDealDisputes.Appealed.selector) {
            (, uint256 amount) = abi.decode(log.data, (address, uint256));
            arbitratorPaid += amount;
        }
    }

    function _foldDeposit(Log memory log, Fold storage fold) private {
        (, uint256 amount, FeeStage stage, uint48 feeBy) = abi.decode(log.data, (address, uint256, FeeStage, uint48));
        require(fold.state == DealState.Disputed, "a fee for what is not disputed");
        if (log.topics[2] != 0) fold.clientFee += amount;
        else fold.providerFee += amount;
        (fold.stage, fold.feeBy) = (stage, feeBy);
    }

    function _foldReturn(Log memory log, Fold storage fold) private {
        (uint256 toClient, uint256 toProvider) = abi.decode(log.data, (uint256, uint256));
        require(toClient + toProvider == _heldFees(fold), "fees returned are not fees held");
        (fold.clientFee, fold.providerFee, fold.feeBy, fold.stage) = (0, 0, 0, FeeStage.Closed);
    }

    /// @dev From creation on, one of the two fees is the arbitrator's.
    function _heldFees(Fold memory fold) internal pure returns (uint256) {
        if (fold.stage == FeeStage.Created || fold.stage == FeeStage.Ruled) return fold.clientFee;
        return fold.clientFee + fold.providerFee;
    }
}
