// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICredits} from "../../contracts/interfaces/ICredits.sol";
import {IBondCurve} from "../../contracts/interfaces/IBondCurve.sol";
import {DealState, IDealEscrow} from "../../contracts/interfaces/IDealEscrow.sol";
import {IDealDisputes} from "../../contracts/interfaces/IDealDisputes.sol";
import {ITrustLedger} from "../../contracts/interfaces/ITrustLedger.sol";
import {StructHash} from "../../contracts/libraries/StructHash.sol";
import {Deal, DealCancel, SplitProposal} from "../../contracts/libraries/Types.sol";
import {HostileHook} from "../../contracts/mocks/HostileHook.sol";
import {HostileToken} from "../../contracts/mocks/HostileToken.sol";
import {ReentrantWallet} from "../../contracts/mocks/ReentrantWallet.sol";
import {TrustLedger} from "../../contracts/reputation/TrustLedger.sol";
import {DealEscrow} from "../../contracts/settlement/DealEscrow.sol";
import {Agents} from "./Agents.sol";
import {Log, vm} from "./Vm.sol";

/// @notice Drives the escrow with every actor, two tokens whose vices come and go, and re-entry; folds the escrow's events,
/// and nothing else, into a second state. What is refused is refused: only the books have to be right.
contract DealEscrowHandler {
    uint64 public constant TOPIC = 7;

    /// @dev One deal as its events tell it.
    struct Fold {
        DealState state;
        address payer;
        uint48 reviewUntil;
        uint256 released;
        uint256 depositCount;
        uint256 endCount;
        uint256 deposited;
        uint256 paidOut;
    }

    struct Draft {
        uint8 client;
        uint8 provider;
        uint8 token;
        uint8 payer;
        uint24 price;
        uint16 delivery;
        uint16 review;
        bool hasTopic;
        bool isForged;
        uint8 extras;
    }

    Agents public immutable agents;
    DealEscrow public immutable escrow;
    TrustLedger public immutable ledger;
    HostileToken[2] public tokens;
    HostileHook public immutable hook;
    IDealDisputes public immutable disputes;
    uint256 private _now;
    uint256 private _salt;

    Deal[] private _deals;
    mapping(bytes32 dealId => uint256 position) private _position;
    mapping(bytes32 dealId => Fold) private _folds;
    mapping(address token => mapping(address account => uint256)) public credits;
    mapping(address token => uint256) public donated;
    /// @dev Sums that the ledger must hold, by client and provider.
    mapping(uint256 client => mapping(uint256 provider => uint256)) public satisfied;
    mapping(uint256 client => mapping(uint256 provider => uint256)) public unsatisfied;
    /// @notice How often each kind of event was seen, by its selector.
    mapping(bytes32 selector => uint256) public seen;

    /// @notice How many calls were made from inside a transfer.
    uint256 public reentryCount;

    constructor() {
        _now = block.timestamp;
        agents = new Agents();
        ledger = new TrustLedger(1 days, address(agents.registry()));
        escrow = new DealEscrow(agents.registry(), ITrustLedger(ledger), IBondCurve(address(0)));
        address[] memory recorders = new address[](1);
        recorders[0] = address(escrow);
        ledger.setRecorders(recorders);
        tokens = [new HostileToken(), new HostileToken()];
        hook = new HostileHook();
        disputes = escrow.disputes();
        for (uint256 i = 0; i < 2 * agents.COUNT(); ++i) {
            address account = agents.accounts(i / 2);
            HostileToken token = tokens[i % 2];
            token.mint(account, 1 << 80);
            vm.prank(account);
            token.approve(address(escrow), type(uint256).max);
        }
    }

    function openDeal(Draft calldata draft) external {
        Deal memory deal = _drafted(draft);
        uint256 payer = draft.payer % agents.COUNT();
        (bool isDone, ) = _call(payer, _openCall(deal, draft.isForged));
        // INVARIANT 5: nothing opens without both signatures.
        require(!isDone || !draft.isForged, "a forged deal opened");
    }

    function submit(uint256 which, uint8 caller) external {
        if (_deals.length == 0) return;
        _call(caller % agents.COUNT(), abi.encodeCall(IDealEscrow.submit, (_deal(which), keccak256("delivered"))));
    }

    function complete(uint256 which, uint8 caller, int8 rating) external {
        if (_deals.length == 0) return;
        _call(caller % agents.COUNT(), abi.encodeCall(IDealEscrow.complete, (_deal(which), rating)));
    }

    /// @dev What the parties would do next, so that every end is reached often.
    function proceed(uint256 which, int8 rating) external {
        if (_deals.length == 0) return;
        Deal memory deal = _deal(which);
        DealState state = _folds[StructHash.hash(deal)].state;
        if (state == DealState.Funded) {
            _call(deal.providerAgentId - 1, abi.encodeCall(IDealEscrow.submit, (deal, keccak256("delivered"))));
        } else if (state == DealState.Submitted) {
            _call(deal.clientAgentId - 1, abi.encodeCall(IDealEscrow.complete, (deal, rating % 101)));
        }
    }

    function releasePart(uint256 which, uint24 released) external {
        if (_deals.length == 0) return;
        Deal memory deal = _deal(which);
        _call(deal.clientAgentId - 1, abi.encodeCall(IDealEscrow.releasePart, (deal, released % deal.price)));
    }

    function dispute(uint256 which, uint8 caller) external {
        if (_deals.length == 0) return;
        Deal memory deal = _deal(which);
        uint256 index = caller % 4 == 0 ? caller % agents.COUNT() : deal.clientAgentId - 1;
        _callAt(address(disputes), index, abi.encodeCall(IDealDisputes.dispute, (deal, keccak256("reason"))));
    }

    function rule(uint256 which, uint8 caller, uint8 ruling) external {
        if (_deals.length == 0) return;
        bytes memory input = abi.encodeCall(IDealDisputes.ruleAsArbiter, (_deal(which), ruling % 4));
        _callAt(address(disputes), caller % 4 == 0 ? 0 : 2, input);
    }

    function resolve(uint256 which, uint8 caller) external {
        if (_deals.length == 0) return;
        bytes memory input = abi.encodeCall(IDealDisputes.resolve, (_deal(which)));
        _callAt(address(disputes), caller % agents.COUNT(), input);
    }

    function settle(uint256 which, uint24 toProvider, int8 rating, bool isForged) external {
        if (_deals.length == 0) return;
        Deal memory deal = _deal(which);
        bytes32 dealId = StructHash.hash(deal);
        SplitProposal memory proposal = SplitProposal(dealId, toProvider % (deal.price + 1), rating, uint48(_now));
        bytes32 digest = escrow.digestOfStruct(StructHash.hash(proposal));
        IDealEscrow.Party memory client = agents.consent(deal.clientAgentId - 1, digest);
        if (isForged) client.signature = agents.sign(agents.COUNT(), digest);
        IDealEscrow.Party memory provider = agents.consent(deal.providerAgentId - 1, digest);
        bytes memory input = abi.encodeCall(IDealDisputes.settle, (deal, proposal, client, provider));
        (bool isDone, ) = _callAt(address(disputes), which % agents.COUNT(), input);
        require(!isDone || !isForged, "a forged split passed");
    }

    /// @dev The hook of every deal that has one: works, reverts, burns its gas, answers too much, or re-enters.
    function corruptHook(uint8 vice, uint256 which) external {
        if (_deals.length == 0) return;
        bytes memory input = abi.encodeCall(IDealEscrow.release, (_deal(which)));
        hook.setVice(HostileHook.Vice(vice % 5), address(escrow), input);
    }

    function release(uint256 which, uint8 caller) external {
        if (_deals.length == 0) return;
        _call(caller % agents.COUNT(), abi.encodeCall(IDealEscrow.release, (_deal(which))));
    }

    function refund(uint256 which, uint8 caller) external {
        if (_deals.length == 0) return;
        _call(caller % agents.COUNT(), abi.encodeCall(IDealEscrow.refund, (_deal(which))));
    }

    function cancel(uint256 which, uint8 caller, bool isForged) external {
        if (_deals.length == 0) return;
        (bool isDone, ) = _call(caller % agents.COUNT(), _cancelCall(_deal(which), isForged));
        require(!isDone || !isForged, "a forged cancel passed");
    }

    function withdrawOffer(uint256 which, uint8 caller) external {
        if (_deals.length == 0) return;
        _call(caller % agents.COUNT(), abi.encodeCall(IDealEscrow.withdrawOffer, (_deal(which))));
    }

    function withdrawCredit(uint8 which, uint8 caller) external {
        address token = address(tokens[which % 2]);
        uint256 index = caller % agents.COUNT();
        _call(index, abi.encodeCall(ICredits.withdrawCredit, (token, agents.accounts(index))));
    }

    /// @dev Money that nobody asked for moves no book but this one.
    function donate(uint8 which, uint16 amount) external {
        HostileToken token = tokens[which % 2];
        token.mint(address(escrow), amount);
        donated[address(token)] += amount;
    }

    /// @dev Mostly honest, so that deals get through; the second token is always honest about amounts.
    function corrupt(uint8 vice, uint8 account) external {
        HostileToken token = tokens[0];
        address victim = agents.accounts(account % agents.COUNT());
        token.setAnswer(HostileToken.Answer(vice % 8 < 3 ? vice % 8 : 0));
        token.setFee(vice % 8 == 3 ? 250 : 0);
        token.setBlocked(victim, vice % 8 == 4);
        for (uint256 i = 0; i < 2; ++i) tokens[i].setHooks(agents.accounts(2), vice % 2 == 1);
    }

    /// @dev The third agent's account re-enters with these from inside the next transfers to or from it. Openings and
    /// withdrawals of credit from inside are tried in test/settlement/tokens.test.ts.
    function planReentry(uint256 which) external {
        if (_deals.length == 0) return;
        Deal memory deal = _deal(which);
        ReentrantWallet.PlannedCall[] memory plan = new ReentrantWallet.PlannedCall[](4);
        plan[0].input = abi.encodeCall(IDealEscrow.release, (deal));
        plan[1].input = abi.encodeCall(IDealEscrow.refund, (deal));
        plan[2].input = abi.encodeCall(IDealEscrow.complete, (deal, int8(-100)));
        plan[3].input = _cancelCall(deal, false);
        for (uint256 i = 0; i < plan.length; ++i) plan[i].target = address(escrow);
        reentryCount += agents.wallet().attemptCount();
        agents.wallet().setPlan(plan, false, false);
    }

    function passTime(uint16 secondsLater) external {
        _now += secondsLater;
    }

    /// @dev To just before, at, or just after the end of a review or of a delivery.
    function passToDeadline(uint256 which, bool isReview, uint8 offset) external {
        if (_deals.length == 0) return;
        Deal memory deal = _deal(which);
        uint256 deadline = isReview ? _folds[StructHash.hash(deal)].reviewUntil : deal.submitBy;
        uint256 time = deadline + (offset % 3);
        if (time > _now) _now = time - 1;
    }

    function dealCount() external view returns (uint256) {
        return _deals.length;
    }

    function dealAt(uint256 index) external view returns (bytes32 dealId, Deal memory deal, Fold memory fold) {
        deal = _deals[index];
        dealId = StructHash.hash(deal);
        fold = _folds[dealId];
    }

    function _drafted(Draft calldata draft) private returns (Deal memory deal) {
        uint256 client = draft.client % agents.COUNT();
        deal.clientAgentId = client + 1;
        deal.providerAgentId = ((client + 1 + (draft.provider % (agents.COUNT() - 1))) % agents.COUNT()) + 1;
        deal.topic = draft.hasTopic ? TOPIC : 0;
        deal.token = address(tokens[draft.token % 2]);
        deal.price = uint256(draft.price) + 1;
        deal.submitBy = uint48(_now + 1 + draft.delivery);
        deal.reviewPeriod = draft.review;
        deal.salt = ++_salt;
        if (draft.extras & 1 != 0) deal.providerBond = uint256(draft.price) / 3 + 1;
        if (draft.extras & 2 != 0) deal.clientBond = uint256(draft.price) / 7 + 1;
        if (draft.extras & 4 != 0) deal.hook = address(hook);
        if (draft.extras & 24 == 0) return _remember(deal);
        deal.arbiter = agents.accounts(draft.extras & 8 != 0 ? 2 : 0);
        deal.arbiterDeadline = deal.submitBy + deal.reviewPeriod + 1 + draft.extras;
        return _remember(deal);
    }

    function _remember(Deal memory deal) private returns (Deal memory) {
        _deals.push(deal);
        _position[StructHash.hash(deal)] = _deals.length;
        return deal;
    }

    function _openCall(Deal memory deal, bool isForged) private view returns (bytes memory) {
        bytes32 digest = escrow.digestOf(deal);
        IDealEscrow.Party memory provider = agents.consent(deal.providerAgentId - 1, digest);
        if (isForged) provider.signature = agents.sign(agents.COUNT(), digest);
        return abi.encodeCall(IDealEscrow.open, (deal, agents.consent(deal.clientAgentId - 1, digest), provider));
    }

    function _cancelCall(Deal memory deal, bool isForged) private view returns (bytes memory) {
        bytes32 structHash = StructHash.hash(DealCancel(StructHash.hash(deal)));
        bytes32 digest = agents.digestFor("SuretyDealEscrow", address(escrow), structHash);
        IDealEscrow.Party memory client = agents.consent(deal.clientAgentId - 1, digest);
        if (isForged) client.signature = agents.sign(agents.COUNT(), digest);
        return abi.encodeCall(IDealEscrow.cancel, (deal, client, agents.consent(deal.providerAgentId - 1, digest)));
    }

    function _call(uint256 index, bytes memory input) private returns (bool isDone, bytes memory output) {
        return _callAt(address(escrow), index, input);
    }

    function _callAt(
        address target,
        uint256 index,
        bytes memory input
    ) private returns (bool isDone, bytes memory output) {
        vm.warp(_now);
        vm.recordLogs();
        vm.prank(agents.accounts(index));
        (isDone, output) = target.call(input);
        Log[] memory logs = vm.getRecordedLogs();
        // The recorder keeps the logs of reverted calls. Those of the call itself are dropped here; of the calls that it
        // leads to, none reverts once it has emitted: planReentry plans no other.
        for (uint256 i = 0; isDone && i < logs.length; ++i) if (logs[i].emitter == address(escrow)) _fold(logs[i]);
    }

    function _deal(uint256 which) private view returns (Deal memory) {
        // Recent deals more often than old ones, which have ended.
        uint256 window = _deals.length < 6 ? _deals.length : 6;
        return _deals[_deals.length - 1 - (which % window)];
    }

    function _fold(Log memory log) private {
        bytes32 kind = log.topics[0];
        ++seen[kind];
        if (kind == ICredits.Credited.selector || kind == ICredits.CreditWithdrawn.selector) {
            _foldCredit(log);
            return;
        }
        require(kind != IDealEscrow.LocalTrustSkipped.selector, "the ledger refused a record");
        Fold storage fold = _folds[log.topics[1]];
        Deal memory deal = _deals[_position[log.topics[1]] - 1];
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
            (uint256 amount, uint256 released) = abi.decode(log.data, (uint256, uint256));
            fold.paidOut += amount;
            fold.released = released;
        } else if (kind == IDealEscrow.DealDisputed.selector) {
            fold.state = DealState.Disputed;
        } else if (kind != IDealEscrow.HookFailed.selector) {
            _foldEnd(log, fold, deal);
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
            (, uint256 toProvider, uint256 toClient, int8 rating) = abi.decode(
                log.data,
                (address, uint256, uint256, int8)
            );
            fold.state = DealState.Resolved;
            fold.paidOut += toProvider + toClient;
            _foldTrust(deal, rating);
        } else {
            require(log.topics[0] == IDealEscrow.DealCancelled.selector, "unknown event");
            fold.state = DealState.Cancelled;
            // Of a deal that was never funded nothing returns, no bond either.
            if (fold.depositCount != 0) fold.paidOut += abi.decode(log.data, (uint256)) + deal.providerBond;
        }
    }

    function _foldTrust(Deal memory deal, int256 rating) private {
        if (deal.topic == 0) return;
        if (rating > 0) satisfied[deal.clientAgentId][deal.providerAgentId] += uint256(rating);
        if (rating < 0) unsatisfied[deal.clientAgentId][deal.providerAgentId] += uint256(-rating);
    }

    function _foldCredit(Log memory log) private {
        address token = address(uint160(uint256(log.topics[1])));
        address account = address(uint160(uint256(log.topics[2])));
        uint256 amount = abi.decode(log.data, (uint256));
        if (log.topics[0] == ICredits.Credited.selector) credits[token][account] += amount;
        else credits[token][account] -= amount;
    }
}

contract DealEscrowInvariants {
    DealEscrowHandler private _handler;
    DealEscrow private _escrow;
    Agents private _agents;

    function setUp() public {
        _handler = new DealEscrowHandler();
        _escrow = _handler.escrow();
        _agents = _handler.agents();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    /// 1: per token, balance = Σ live deals + Σ credits + what was donated; so it is never below what is owed.
    function invariant_BalanceIsLiveDealsCreditsAndDonations() public view {
        for (uint256 t = 0; t < 2; ++t) {
            HostileToken token = _handler.tokens(t);
            uint256 owed = _handler.donated(address(token));
            for (uint256 i = 0; i < _agents.COUNT(); ++i) {
                owed += _escrow.creditOf(address(token), _agents.accounts(i));
            }
            for (uint256 i = 0; i < _handler.dealCount(); ++i) {
                (bytes32 dealId, Deal memory deal, ) = _handler.dealAt(i);
                (DealState state, , ) = _escrow.dealOf(dealId);
                bool isLive = state == DealState.Funded || state == DealState.Submitted || state == DealState.Disputed;
                if (!isLive || deal.token != address(token)) continue;
                owed += deal.price + deal.clientBond + deal.providerBond - _escrow.releasedOf(dealId);
            }
            require(token.balanceOf(address(_escrow)) == owed, "balance");
        }
    }

    /// 2, 3: a deal is funded at most once and ends at most once; what ended paid out exactly what it took in.
    function invariant_OneEndAndPayoutsAreDeposits() public view {
        for (uint256 i = 0; i < _handler.dealCount(); ++i) {
            (, Deal memory deal, DealEscrowHandler.Fold memory fold) = _handler.dealAt(i);
            require(fold.depositCount <= 1 && fold.endCount <= 1, "twice");
            uint256 whole = deal.price + deal.clientBond + deal.providerBond;
            require(fold.deposited == whole * fold.depositCount, "deposit");
            require(fold.paidOut == (fold.endCount == 0 ? fold.released : fold.deposited), "payout");
            require(fold.released < deal.price, "parts");
        }
    }

    /// 14: the fold of the events is the storage.
    function invariant_FoldedEventsAreTheStorage() public view {
        for (uint256 i = 0; i < _handler.dealCount(); ++i) {
            (bytes32 dealId, , DealEscrowHandler.Fold memory fold) = _handler.dealAt(i);
            (DealState state, address payer, uint48 reviewUntil) = _escrow.dealOf(dealId);
            require(state == fold.state && payer == fold.payer && reviewUntil == fold.reviewUntil, "deal");
            require(_escrow.releasedOf(dealId) == fold.released, "released");
        }
        for (uint256 i = 0; i < 2 * _agents.COUNT(); ++i) {
            (address token, address account) = (address(_handler.tokens(i % 2)), _agents.accounts(i / 2));
            require(_escrow.creditOf(token, account) == _handler.credits(token, account), "credit");
        }
    }

    /// 11: the ledger holds one record for each rated or late deal, and no other.
    function invariant_LocalTrustIsTheSumOfSettledDeals() public view {
        for (uint32 client = 1; client <= _agents.COUNT(); ++client) {
            for (uint32 provider = 1; provider <= _agents.COUNT(); ++provider) {
                (uint48 satisfied, uint48 unsatisfied) = _handler.ledger().pairOf(_handler.TOPIC(), client, provider);
                require(satisfied == _handler.satisfied(client, provider), "satisfied");
                require(unsatisfied == _handler.unsatisfied(client, provider), "unsatisfied");
            }
        }
    }

    /// The handler reaches what the invariants speak of: each event of the escrow, from a fixed walk of its functions.
    function test_HandlerReachesEveryEvent() public {
        for (uint256 i = 0; i < 60; ++i) _walk(uint256(keccak256(abi.encode(i))));
        require(_handler.seen(IDealEscrow.DealFunded.selector) != 0, "DealFunded");
        require(_handler.seen(IDealEscrow.DealSubmitted.selector) != 0, "DealSubmitted");
        require(_handler.seen(IDealEscrow.DealCompleted.selector) != 0, "DealCompleted");
        require(_handler.seen(IDealEscrow.DealRefunded.selector) != 0, "DealRefunded");
        require(_handler.seen(IDealEscrow.DealCancelled.selector) != 0, "DealCancelled");
        require(_handler.seen(ICredits.Credited.selector) != 0, "Credited");
        require(_handler.seen(ICredits.CreditWithdrawn.selector) != 0, "CreditWithdrawn");
        require(_handler.seen(IDealEscrow.DealPartReleased.selector) != 0, "DealPartReleased");
        require(_handler.seen(IDealEscrow.DealDisputed.selector) != 0, "DealDisputed");
        require(_handler.seen(IDealEscrow.DealResolved.selector) != 0, "DealResolved");
        require(_handler.seen(IDealEscrow.HookFailed.selector) != 0, "HookFailed");
        require(_handler.reentryCount() != 0, "re-entry");
        invariant_BalanceIsLiveDealsCreditsAndDonations();
        invariant_OneEndAndPayoutsAreDeposits();
        invariant_FoldedEventsAreTheStorage();
        invariant_LocalTrustIsTheSumOfSettledDeals();
    }

    function _walk(uint256 seed) private {
        DealEscrowHandler.Draft memory draft = DealEscrowHandler.Draft({
            client: uint8(seed),
            provider: uint8(seed >> 8),
            token: uint8(seed >> 16),
            payer: uint8(seed >> 24),
            price: uint24(seed >> 32),
            delivery: 1_000,
            review: 100,
            hasTopic: seed & (1 << 60) != 0,
            isForged: false,
            extras: uint8(seed >> 104)
        });
        _handler.corrupt(0, 0);
        _handler.openDeal(draft);
        _handler.releasePart(0, uint24(seed >> 112));
        if (seed % 5 != 0) _handler.proceed(0, 0);
        if (seed % 2 == 0) _handler.dispute(0, 1);
        _handler.corruptHook(uint8(seed >> 144), 0);
        if (seed % 3 != 0) _handler.rule(0, uint8(seed >> 152), uint8(seed >> 128));
        if (seed % 7 == 0) _handler.settle(0, uint24(seed >> 136), 1, false);
        draft.isForged = true;
        _handler.openDeal(draft);
        _handler.corrupt(uint8(seed >> 72), uint8(seed >> 80));
        _handler.planReentry(seed >> 90);
        if (seed % 5 == 0) _handler.passTime(1_200);
        _handler.refund(1, 0);
        if (seed % 5 == 1) _handler.cancel(1, 0, false);
        _handler.proceed(1, int8(int256(seed % 100)));
        _handler.withdrawCredit(0, uint8(seed >> 96));
        _handler.withdrawCredit(0, uint8(seed >> 97));
        _handler.settle(seed % 4, uint24(seed >> 136), 1, true);
    }
}
