// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICredits} from "../../contracts/interfaces/ICredits.sol";
import {FeeStage, IDealDisputes} from "../../contracts/interfaces/IDealDisputes.sol";
import {DealState, IDealEscrow} from "../../contracts/interfaces/IDealEscrow.sol";
import {IFeedbackRegistry} from "../../contracts/interfaces/IFeedbackRegistry.sol";
import {Deal} from "../../contracts/libraries/Types.sol";
import {HostileToken} from "../../contracts/mocks/HostileToken.sol";
import {DealEscrow} from "../../contracts/settlement/DealEscrow.sol";
import {DealExits} from "./deals/DealExits.sol";
import {Fold} from "./deals/DealFold.sol";

/// @dev The fuzzer finds only contracts of the test's own file.
contract DealHandler is DealExits {}

/// @notice The books of deals and of their disputes, after every call of the handler.
contract DealEscrowInvariants {
    DealHandler private _handler;
    DealEscrow private _escrow;
    IDealDisputes private _disputes;

    function setUp() public {
        _handler = new DealHandler();
        _escrow = _handler.escrow();
        _disputes = _handler.disputes();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    /// 1: per token, balance = Σ live deals + Σ pots + Σ credits + what was donated; so it is never below what is owed.
    function invariant_BalanceIsLiveDealsPotsCreditsAndDonations() public view {
        for (uint256 t = 0; t < _handler.TOKENS(); ++t) {
            address token = _handler.tokenAt(t);
            uint256 owed = _handler.donated(token) + _creditsOf(token);
            for (uint256 i = 0; i < _handler.dealCount(); ++i) {
                (bytes32 dealId, Deal memory deal, ) = _handler.dealAt(i);
                if (deal.token == token) owed += _owedOf(dealId, deal);
            }
            require(_balanceOf(token, address(_escrow)) == owed, "balance");
            require(_balanceOf(token, address(_handler.otherEscrow())) == 0, "the other escrow's balance");
        }
    }

    /// 1, 3: what the disputes hold is what their stages say, and credits; the arbitrator was paid each dispute once.
    function invariant_FeesOfDisputesAreConserved() public view {
        uint256 owed;
        for (uint256 i = 0; i < _handler.dealCount(); ++i) {
            (bytes32 dealId, , ) = _handler.dealAt(i);
            (uint256 clientFee, uint256 providerFee, , FeeStage stage, ) = _disputes.disputeOf(dealId);
            bool isCreated = stage == FeeStage.Created || stage == FeeStage.Ruled;
            owed += isCreated ? clientFee : clientFee + providerFee;
        }
        for (uint256 i = 0; i < _handler.ACCOUNTS(); ++i) {
            owed += _disputes.creditOf(address(0), _handler.accountAt(i));
        }
        require(address(_disputes).balance == owed, "fees");
        require(address(_handler.arbitrator()).balance == _handler.arbitratorPaid(), "arbitrator");
    }

    /// 2, 3: a deal is funded at most once and ends at most once; what ended paid out exactly what it took in.
    function invariant_OneEndAndPayoutsAreDeposits() public view {
        for (uint256 i = 0; i < _handler.dealCount(); ++i) {
            (, Deal memory deal, Fold memory fold) = _handler.dealAt(i);
            require(fold.depositCount <= 1 && fold.endCount <= 1, "twice");
            uint256 whole = deal.price + deal.clientBond + deal.providerBond;
            require(fold.deposited == whole * fold.depositCount, "deposit");
            require(fold.paidOut == (fold.endCount == 0 ? fold.released : fold.deposited), "payout");
            require(fold.released < deal.price, "parts");
        }
    }

    /// 14: the fold of the events is the storage, of the deals, of their disputes and of both contracts' credits.
    function invariant_FoldedEventsAreTheStorage() public view {
        for (uint256 i = 0; i < _handler.dealCount(); ++i) {
            (bytes32 dealId, , Fold memory fold) = _handler.dealAt(i);
            (DealState state, address payer, uint48 reviewUntil) = _escrow.dealOf(dealId);
            require(state == fold.state && payer == fold.payer && reviewUntil == fold.reviewUntil, "deal");
            require(_escrow.isTicketUsed(dealId) == fold.isTicketUsed, "ticket");
            require(_escrow.releasedOf(dealId) == fold.released && _escrow.potOf(dealId) == fold.pot, "released");
            _requireSameDispute(dealId, fold);
        }
        for (uint256 i = 0; i < _handler.ACCOUNTS(); ++i) {
            address account = _handler.accountAt(i);
            for (uint256 t = 0; t < _handler.TOKENS(); ++t) {
                address token = _handler.tokenAt(t);
                uint256 credit = _handler.credits(address(_escrow), token, account);
                require(_escrow.creditOf(token, account) == credit, "credit");
            }
            uint256 fees = _handler.credits(address(_disputes), address(0), account);
            require(_disputes.creditOf(address(0), account) == fees, "fee credit");
        }
    }

    /// 11: the ledger holds one record for each rated or late deal, and no other.
    function invariant_LocalTrustIsTheSumOfSettledDeals() public view {
        uint256 count = _handler.agents().COUNT();
        for (uint32 client = 1; client <= count; ++client) {
            for (uint32 provider = 1; provider <= count; ++provider) {
                (uint48 satisfied, uint48 unsatisfied) = _handler.ledger().pairOf(_handler.TOPIC(), client, provider);
                require(satisfied == _handler.satisfied(client, provider), "satisfied");
                require(unsatisfied == _handler.unsatisfied(client, provider), "unsatisfied");
            }
        }
    }

    /// 4, 7, 9: from wherever the calls have led, time and strangers end every deal, and nothing is left but donations.
    function afterInvariant() public {
        _handler.drain();
        require(_handler.callCount() >= 100, "too few calls");
        _requireEmpty();
    }

    /// The handler reaches what the invariants speak of: each event, from a fixed walk of its functions.
    function test_HandlerReachesEveryEvent() public {
        for (uint256 i = 0; i < 80; ++i) _handler.walk(uint256(keccak256(abi.encode(i))));
        _requireSeen(IDealEscrow.DealFunded.selector, "DealFunded");
        _requireSeen(IDealEscrow.DealSubmitted.selector, "DealSubmitted");
        _requireSeen(IDealEscrow.DealCompleted.selector, "DealCompleted");
        _requireSeen(IDealEscrow.DealRefunded.selector, "DealRefunded");
        _requireSeen(IDealEscrow.DealCancelled.selector, "DealCancelled");
        _requireSeen(IDealEscrow.DealPartReleased.selector, "DealPartReleased");
        _requireSeen(IDealEscrow.DealDisputed.selector, "DealDisputed");
        _requireSeen(IDealEscrow.DealResolved.selector, "DealResolved");
        _requireSeen(IDealEscrow.SplitPending.selector, "SplitPending");
        _requireSeen(IDealEscrow.ShareDistributed.selector, "ShareDistributed");
        _requireSeen(IDealEscrow.HookFailed.selector, "HookFailed");
        _requireSeen(IFeedbackRegistry.FeedbackBacked.selector, "FeedbackBacked");
        _requireSeen(ICredits.Credited.selector, "Credited");
        _requireSeen(ICredits.CreditWithdrawn.selector, "CreditWithdrawn");
        _requireSeen(IDealDisputes.FeeDeposited.selector, "FeeDeposited");
        _requireSeen(IDealDisputes.DisputeCreated.selector, "DisputeCreated");
        _requireSeen(IDealDisputes.Ruled.selector, "Ruled");
        _requireSeen(IDealDisputes.FeesReturned.selector, "FeesReturned");
        require(_handler.reentryCount() != 0, "re-entry");
        invariant_BalanceIsLiveDealsPotsCreditsAndDonations();
        invariant_FeesOfDisputesAreConserved();
        invariant_OneEndAndPayoutsAreDeposits();
        invariant_FoldedEventsAreTheStorage();
        invariant_LocalTrustIsTheSumOfSettledDeals();
        afterInvariant();
    }

    function _owedOf(bytes32 dealId, Deal memory deal) private view returns (uint256 owed) {
        (DealState state, , ) = _escrow.dealOf(dealId);
        owed = _escrow.potOf(dealId);
        if (state != DealState.Funded && state != DealState.Submitted && state != DealState.Disputed) return owed;
        owed += deal.price + deal.clientBond + deal.providerBond - _escrow.releasedOf(dealId);
    }

    function _creditsOf(address token) private view returns (uint256 sum) {
        for (uint256 i = 0; i < _handler.ACCOUNTS(); ++i) sum += _escrow.creditOf(token, _handler.accountAt(i));
    }

    function _requireSameDispute(bytes32 dealId, Fold memory fold) private view {
        (uint256 clientFee, uint256 providerFee, uint48 feeBy, FeeStage stage, uint8 ruling) = _disputes.disputeOf(
            dealId
        );
        require(clientFee == fold.clientFee && providerFee == fold.providerFee && feeBy == fold.feeBy, "fees");
        require(stage == fold.stage && ruling == fold.ruling, "stage");
    }

    function _requireEmpty() private view {
        for (uint256 t = 0; t < _handler.TOKENS(); ++t) {
            address token = _handler.tokenAt(t);
            require(_balanceOf(token, address(_escrow)) == _handler.donated(token), "money is left");
        }
        require(address(_disputes).balance == 0, "fees are left");
    }

    function _requireSeen(bytes32 selector, string memory name) private view {
        require(_handler.seen(selector) != 0, name);
    }

    function _balanceOf(address token, address account) private view returns (uint256) {
        return token == address(0) ? account.balance : HostileToken(token).balanceOf(account);
    }
}
