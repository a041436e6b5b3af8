// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FeeStage, IDealDisputes} from "../../../contracts/interfaces/IDealDisputes.sol";
import {DealState, IDealEscrow} from "../../../contracts/interfaces/IDealEscrow.sol";
import {IERC8004Reputation} from "../../../contracts/interfaces/IERC8004Reputation.sol";
import {IFeedbackRegistry} from "../../../contracts/interfaces/IFeedbackRegistry.sol";
import {StructHash} from "../../../contracts/libraries/StructHash.sol";
import {HostileHook} from "../../../contracts/mocks/HostileHook.sol";
import {HostileToken} from "../../../contracts/mocks/HostileToken.sol";
import {ReentrantWallet} from "../../../contracts/mocks/ReentrantWallet.sol";
import {TestArbitrator} from "../../../contracts/mocks/TestArbitrator.sol";
import {Deal, DealCancel, SplitProposal} from "../../../contracts/libraries/Types.sol";
import {Log, vm} from "../Vm.sol";
import {DealFold, Fold} from "./DealFold.sol";
import {Draft} from "./DealWorld.sol";

/// @notice The steps of a deal and of its dispute, by every actor, in any order. Most of what is tried is refused, and only the books
/// have to be right; but what a deadline or a ruling has made due is predicted, and so is everything that must never pass.
abstract contract DealSteps is DealFold {
    bytes32 private constant DELIVERABLE = keccak256("delivered");

    /// @notice Calls of the contracts under test.
    uint256 public callCount;
    /// @notice What was given to the escrow without being asked for.
    mapping(address token => uint256) public donated;
    /// @notice How many calls were made from inside a transfer.
    uint256 public reentryCount;
    mapping(bytes32 dealId => bytes) private _openings;

    // ------------------------------------------------------------------ deals

    function openDeal(Draft memory draft) public {
        Deal memory deal = _drafted(draft);
        uint256 forgery = draft.forgery % 8;
        bytes memory input = _openCall(deal, forgery);
        if (deal.token == address(0) && draft.extras & 64 == 0 && deal.providerBond != 0) {
            bytes memory deposit = abi.encodeCall(IDealEscrow.depositCredit, ());
            _callAt(address(escrow), deal.providerAgentId - 1, deal.providerBond, deposit);
        }
        uint256 value = deal.token == address(0) ? deal.price + deal.clientBond : 0;
        bool isDone = _callAt(address(escrow), deal.clientAgentId - 1, value, input);
        if (forgery < 4) _openings[StructHash.hash(deal)] = input;
        // 5, 6: nothing opens without both signatures over these very terms, for this escrow.
        require(!isDone || forgery < 4, "a forged deal opened");
    }

    /// @dev 5: the same signatures once more, here after whatever became of the deal, and in the other escrow at any time.
    function replay(uint256 which, bool isElsewhere) public {
        Deal memory deal = _deal(which);
        bytes32 dealId = StructHash.hash(deal);
        if (_openings[dealId].length == 0 || (!isElsewhere && _folds[dealId].state == DealState.Open)) {
            deal = _deals[0];
            dealId = StructHash.hash(deal);
        }
        uint256 value = deal.token == address(0) ? deal.price + deal.clientBond : 0;
        address target = isElsewhere ? address(otherEscrow) : address(escrow);
        require(!_callAt(target, deal.clientAgentId - 1, value, _openings[dealId]), "a signature worked twice");
    }

    function submit(uint256 which, uint8 caller) external {
        _call(caller % ACCOUNTS, abi.encodeCall(IDealEscrow.submit, (_deal(which), DELIVERABLE)));
    }

    function complete(uint256 which, uint8 caller, int8 rating) external {
        _call(caller % ACCOUNTS, abi.encodeCall(IDealEscrow.complete, (_deal(which), rating)));
    }

    /// @dev What the parties would do next, so that every end is reached often.
    function proceed(uint256 which, int8 rating, uint8 choice) public {
        Deal memory deal = _deal(which);
        Fold memory fold = _folds[StructHash.hash(deal)];
        if (fold.state == DealState.Funded) {
            _call(deal.providerAgentId - 1, abi.encodeCall(IDealEscrow.submit, (deal, DELIVERABLE)));
        } else if (fold.state == DealState.Submitted && deal.arbiter != address(0) && choice % 4 != 0) {
            dispute(which, 1, choice);
        } else if (fold.state == DealState.Submitted) {
            _call(deal.clientAgentId - 1, abi.encodeCall(IDealEscrow.complete, (deal, rating % 101)));
        } else if (fold.stage == FeeStage.ProviderOwes || fold.stage == FeeStage.ClientOwes) {
            depositFee(which, choice, choice % 3 == 0, choice);
        } else if (fold.stage == FeeStage.Paid) {
            createDispute(which, choice);
        } else if (fold.stage == FeeStage.Created) {
            giveRuling(arbitrator.disputeCount(), choice);
        } else if (fold.state == DealState.Disputed && fold.stage == FeeStage.None) {
            ruleAsAccount(which, 1, choice);
        } else {
            fold.pot == 0 ? resolve(which, choice) : distribute(which, choice);
        }
    }

    function releasePart(uint256 which, uint24 released) public {
        Deal memory deal = _deal(which);
        _call(deal.clientAgentId - 1, abi.encodeCall(IDealEscrow.releasePart, (deal, released % deal.price)));
    }

    /// @dev 4, 7, 10: silence pays the provider from reviewUntil on, whoever calls and whatever token, hook and payee do.
    function release(uint256 which, uint8 caller) public {
        Deal memory deal = _deal(which);
        Fold memory fold = _folds[StructHash.hash(deal)];
        bool isDue = fold.state == DealState.Submitted && _now >= fold.reviewUntil;
        bool isDone = _call(caller % ACCOUNTS, abi.encodeCall(IDealEscrow.release, (deal)));
        require(isDone == isDue, "release is not what its deadline says");
    }

    /// @dev 4, 7, 10: what was not delivered is repaid from the second after submitBy on; 2: and nothing else is.
    function refund(uint256 which, uint8 caller) public {
        Deal memory deal = _deal(which);
        bool isDue = _folds[StructHash.hash(deal)].state == DealState.Funded && _now > deal.submitBy;
        bool isDone = _call(caller % ACCOUNTS, abi.encodeCall(IDealEscrow.refund, (deal)));
        require(isDone == isDue, "refund is not what its deadline says");
    }

    function cancel(uint256 which, uint8 caller, bool isForged) public {
        bool isDone = _call(caller % ACCOUNTS, _cancelCall(_deal(which), isForged));
        require(!isDone || !isForged, "a forged cancel passed");
    }

    function withdrawOffer(uint256 which, uint8 caller) external {
        _call(caller % ACCOUNTS, abi.encodeCall(IDealEscrow.withdrawOffer, (_deal(which))));
    }

    /// @dev 43: a settled deal backs one feedback, of who speaks for its client, revoked or not; and nobody else uses its ticket.
    function giveFeedback(uint256 which, uint8 caller, bool isRevoked) public {
        Deal memory deal = _deal(which);
        Fold memory fold = _folds[StructHash.hash(deal)];
        uint256 index = caller % 2 == 0 ? deal.clientAgentId - 1 : (caller / 2) % ACCOUNTS;
        bool isSettled =
            fold.state == DealState.Completed || fold.state == DealState.Refunded || fold.state == DealState.Resolved;
        bool isDue = isSettled && !fold.isTicketUsed && index == deal.clientAgentId - 1;
        require(_callAt(address(feedback), index, 0, _feedbackCall(deal)) == isDue, "feedback is not its deal's");
        if (isDue && isRevoked) {
            uint64 last = feedback.getLastIndex(deal.providerAgentId, accountAt(index));
            bytes memory revocation = abi.encodeCall(IERC8004Reputation.revokeFeedback, (deal.providerAgentId, last));
            require(_callAt(address(feedback), index, 0, revocation), "a feedback stands against its giver's will");
        }
        require(!_call(index, abi.encodeCall(IDealEscrow.useTicket, (StructHash.hash(deal)))), "a ticket was stolen");
    }

    /// @dev 9: each share is rounded down, the rest is the provider's, and nobody's timing changes it.
    function distribute(uint256 which, uint8 caller) public {
        Deal memory deal = _deal(which);
        bytes32 dealId = StructHash.hash(deal);
        uint256 pot = _folds[dealId].pot;
        bool isDue = pot != 0 && _folds[dealId].endCount != 0;
        IDealEscrow.Share[] memory shares = _sharesOf(deal);
        bytes memory input = abi.encodeCall(IDealEscrow.distribute, (deal, shares));
        (bool isDone, Log[] memory logs) = _record(address(escrow), caller % ACCOUNTS, 0, input);
        require(isDone == isDue, "a pot is not distributed when it is due");
        if (isDone) _requireShares(logs, dealId, pot, shares);
    }

    // --------------------------------------------------------------- disputes

    function dispute(uint256 which, uint8 caller, uint8 tip) public {
        Deal memory deal = _deal(which);
        uint256 index = caller % 4 == 0 ? caller % ACCOUNTS : deal.clientAgentId - 1;
        bytes memory input = abi.encodeCall(IDealDisputes.dispute, (deal, keccak256("reason")));
        _callAt(address(disputes), index, _feeWith(tip), input);
    }

    function depositFee(uint256 which, uint8 caller, bool isCreating, uint8 tip) public {
        bytes memory input = abi.encodeCall(IDealDisputes.depositFee, (_deal(which), isCreating));
        _callAt(address(disputes), caller % agents.COUNT(), _feeWith(tip), input);
    }

    function createDispute(uint256 which, uint8 caller) public {
        bytes memory input = abi.encodeCall(IDealDisputes.createDispute, (_deal(which)));
        _callAt(address(disputes), caller % ACCOUNTS, 0, input);
    }

    function giveRuling(uint256 disputeId, uint8 ruling) public {
        uint256 id = disputeId % (arbitrator.disputeCount() + 1);
        _callAt(address(arbitrator), 4, 0, abi.encodeCall(arbitrator.giveRuling, (id, ruling % 4)));
    }

    function appeal(uint256 which, uint256 disputeId, uint16 value) external {
        uint256 id = disputeId % (arbitrator.disputeCount() + 1);
        _callAt(
            address(disputes),
            which % agents.COUNT(),
            value,
            abi.encodeCall(IDealDisputes.appeal, (_deal(which), id))
        );
    }

    function ruleAsAccount(uint256 which, uint8 caller, uint8 ruling) public {
        Deal memory deal = _deal(which);
        uint256 index =
            caller % 4 == 0
                ? caller % ACCOUNTS
                : deal.arbiter == accountAt(0)
                    ? 0
                    : 2;
        bytes memory input = abi.encodeCall(IDealDisputes.ruleAsArbiter, (deal, ruling % 4));
        bool isDone = _callAt(address(disputes), index, 0, input);
        require(!isDone || accountAt(index) == deal.arbiter, "somebody else ruled");
    }

    /// @dev 4, 7, 10: a ruling, an unpaid fee or a dead arbiter ends a dispute, whoever calls; before, nobody does.
    function resolve(uint256 which, uint8 caller) public {
        Deal memory deal = _deal(which);
        bool isDue = _isResolvable(deal, _folds[StructHash.hash(deal)]);
        bool isDone = _callAt(address(disputes), caller % ACCOUNTS, 0, abi.encodeCall(IDealDisputes.resolve, (deal)));
        require(isDone == isDue, "resolve is not what its deadline says");
    }

    function settle(uint256 which, uint24 toProvider, int8 rating, bool isForged) public {
        bytes memory input = _settleCall(_deal(which), toProvider, rating, isForged);
        bool isDone = _callAt(address(disputes), which % ACCOUNTS, 0, input);
        require(!isDone || !isForged, "a forged split passed");
    }

    // -------------------------------------------------------------- the money

    function withdrawCredit(uint8 token, uint8 caller, bool isOfDisputes, bool isToSink) public {
        address target = isOfDisputes ? address(disputes) : address(escrow);
        uint256 index = caller % ACCOUNTS;
        address to = isToSink ? SINK : accountAt(index);
        _callAt(target, index, 0, abi.encodeCall(escrow.withdrawCredit, (tokenAt(token), to)));
    }

    function depositCredit(uint8 caller, uint16 amount) external {
        _callAt(address(escrow), caller % agents.COUNT(), amount, abi.encodeCall(IDealEscrow.depositCredit, ()));
    }

    // -------------------------------------------------------------- the vices

    /// @dev The first token's vices come and go; the second is honest about amounts. The third account's hooks re-enter.
    function corruptToken(uint8 vice, uint8 account) public {
        address victim = accountAt(account % ACCOUNTS);
        _tokenOf(tokenAt(0)).setAnswer(_answerOf(vice % 8));
        _tokenOf(tokenAt(0)).setFee(vice % 8 == 3 ? 250 : 0);
        _tokenOf(tokenAt(0)).setBlocked(victim, vice % 8 == 4);
        for (uint256 t = 0; t < 2; ++t) _tokenOf(tokenAt(t)).setHooks(accountAt(2), vice % 2 == 1);
        agents.wallet().setRefusing(vice % 3 == 0);
        withdrawCredit(vice, account, vice % 2 == 0, true);
    }

    /// @dev The hook of every deal that has one: works, reverts, burns its gas, answers too much, or re-enters. It re-enters with a
    /// deal that has no hook and pays nobody who re-enters in turn: the gas that is left would not do, and the step would be undone
    /// after its event.
    function corruptHook(uint8 vice, uint256 which) public {
        replay(which, true);
        Deal memory deal = _deal(which);
        if (deal.hook != address(0) || _isOfWallet(deal.clientAgentId) || _isOfWallet(deal.providerAgentId)) return;
        hook.setVice(_hookVice(vice % 5), address(escrow), abi.encodeCall(IDealEscrow.release, (deal)));
    }

    /// @dev The arbitrator's cost moves while fees are being deposited; it refuses, burns its gas, is silent, gives a dispute twice, or
    /// ends the deal by both sides' word while it creates the dispute.
    function corruptArbitrator(uint8 vice, uint16 cost, uint256 which) public {
        bytes memory input = _settleCall(_deal(which), cost, 0, false);
        if (vice % 16 == 7) input = _cancelCall(_deal(which), false);
        address target = vice % 16 == 7 ? address(escrow) : address(disputes);
        arbitrator.setVice(_arbitratorVice(vice % 16), target, input);
        arbitrator.setCost(cost);
        resolve(which, vice);
    }

    /// @dev The third agent's account re-enters with these from inside the next payments to or from it. Openings and withdrawals from
    /// inside are tried in test/settlement/tokens.test.ts.
    function planReentry(uint256 which) public {
        _plan(_deal(which));
        distribute(which, 4);
    }

    function passTime(uint16 secondsLater) public {
        _now += secondsLater;
        _tryExit(secondsLater, secondsLater / 8);
    }

    /// @dev 10: to just before, at, or just after a deadline of a deal.
    function passToDeadline(uint256 which, uint8 kind, uint8 offset) public {
        Deal memory deal = _deal(which);
        Fold memory fold = _folds[StructHash.hash(deal)];
        uint256[4] memory deadlines = [uint256(deal.submitBy), fold.reviewUntil, fold.feeBy, deal.arbiterDeadline];
        uint256 time = deadlines[kind % 4] + (offset % 3);
        if (time > _now) _now = time - 1;
        _tryExit(which, kind);
    }

    /// @dev Money that nobody asked for moves no book but this one.
    function donate(uint8 token, uint16 amount) external {
        address given = tokenAt(token);
        donated[given] += amount;
        if (given == address(0)) vm.deal(address(escrow), address(escrow).balance + amount);
        else _tokenOf(given).mint(address(escrow), amount);
        replay(amount, false);
    }

    // ---------------------------------------------------------------- private

    function _isOfWallet(uint256 agentId) private view returns (bool) {
        return accountAt(agentId - 1) == address(agents.wallet());
    }

    function _tryExit(uint256 which, uint256 kind) private {
        if (kind % 4 == 0) refund(which, 4);
        else if (kind % 4 == 1) release(which, 4);
        else resolve(which, 4);
    }

    function _openCall(Deal memory deal, uint256 forgery) private view returns (bytes memory) {
        bytes32 digest = forgery == 7 ? otherEscrow.digestOf(deal) : escrow.digestOf(deal);
        IDealEscrow.Party memory client = agents.consent(deal.clientAgentId - 1, digest);
        IDealEscrow.Party memory provider = agents.consent(deal.providerAgentId - 1, digest);
        if (forgery == 4) provider.signature = agents.sign(agents.COUNT(), digest);
        // A copy: the drafted deal stays as it was signed.
        Deal memory shown = abi.decode(abi.encode(deal), (Deal));
        if (forgery == 5) shown.price -= 1;
        if (forgery == 6) shown.token = shown.token == tokenAt(1) ? tokenAt(0) : tokenAt(1);
        return abi.encodeCall(IDealEscrow.open, (shown, client, provider));
    }

    function _cancelCall(Deal memory deal, bool isForged) internal view returns (bytes memory) {
        bytes32 digest = escrow.digestOfStruct(StructHash.hash(DealCancel(StructHash.hash(deal))));
        IDealEscrow.Party memory client = agents.consent(deal.clientAgentId - 1, digest);
        if (isForged) client.signature = agents.sign(agents.COUNT(), digest);
        return abi.encodeCall(IDealEscrow.cancel, (deal, client, agents.consent(deal.providerAgentId - 1, digest)));
    }

    function _settleCall(
        Deal memory deal,
        uint256 toProvider,
        int8 rating,
        bool isForged
    ) private view returns (bytes memory) {
        uint48 validUntil = uint48(_now + 1 hours);
        SplitProposal memory proposal = SplitProposal(
            StructHash.hash(deal),
            toProvider % (deal.price + 1),
            rating,
            validUntil
        );
        bytes32 digest = escrow.digestOfStruct(StructHash.hash(proposal));
        IDealEscrow.Party memory client = agents.consent(deal.clientAgentId - 1, digest);
        if (isForged) client.signature = agents.sign(agents.COUNT(), digest);
        IDealEscrow.Party memory provider = agents.consent(deal.providerAgentId - 1, digest);
        return abi.encodeCall(IDealDisputes.settle, (deal, proposal, client, provider));
    }

    function _isResolvable(Deal memory deal, Fold memory fold) private view returns (bool) {
        if (fold.state != DealState.Disputed) return fold.stage != FeeStage.None && fold.stage != FeeStage.Closed;
        if (fold.stage == FeeStage.Ruled) return true;
        bool isOwed = fold.stage == FeeStage.ProviderOwes || fold.stage == FeeStage.ClientOwes;
        return _now > (isOwed ? fold.feeBy : deal.arbiterDeadline);
    }

    /// @dev Of this deal: an account that is paid may re-enter, and have another deal's pot distributed meanwhile.
    function _requireShares(
        Log[] memory logs,
        bytes32 dealId,
        uint256 pot,
        IDealEscrow.Share[] memory shares
    ) private pure {
        uint256 rest = pot;
        uint256 next;
        for (uint256 k = 0; k < logs.length; ++k) {
            if (logs[k].topics[0] != IDealEscrow.ShareDistributed.selector || logs[k].topics[1] != dealId) continue;
            while (next < shares.length && (pot * shares[next].millionths) / 1e6 == 0) ++next;
            uint256 expected = next < shares.length ? (pot * shares[next].millionths) / 1e6 : rest;
            require(abi.decode(logs[k].data, (uint256)) == expected, "a share is not rounded down");
            rest -= expected;
            ++next;
        }
        require(rest == 0, "dust is left");
    }

    function _plan(Deal memory deal) private {
        ReentrantWallet.PlannedCall[] memory plan = new ReentrantWallet.PlannedCall[](7);
        for (uint256 i = 0; i < plan.length; ++i) plan[i].target = address(escrow);
        plan[0].input = abi.encodeCall(IDealEscrow.release, (deal));
        plan[1].input = abi.encodeCall(IDealEscrow.refund, (deal));
        plan[2].input = abi.encodeCall(IDealEscrow.complete, (deal, int8(-100)));
        plan[3].input = _cancelCall(deal, false);
        plan[4].input = abi.encodeCall(IDealEscrow.distribute, (deal, _sharesOf(deal)));
        plan[5].target = address(disputes);
        plan[5].input = abi.encodeCall(IDealDisputes.resolve, (deal));
        plan[6].target = address(feedback);
        plan[6].input = _feedbackCall(deal);
        reentryCount += agents.wallet().attemptCount();
        agents.wallet().setPlan(plan, false, false);
    }

    function _feedbackCall(Deal memory deal) private pure returns (bytes memory) {
        return abi.encodeCall(IFeedbackRegistry.giveFeedbackForDeal, (deal, 80, 0, "", "", "", "", 0));
    }

    /// @dev The arbitrator's present price, or a little less or more.
    function _feeWith(uint8 tip) private view returns (uint256) {
        uint256 cost = arbitrator.cost();
        if (tip % 8 == 0) return cost / 2;
        return tip % 8 == 1 ? cost + tip : cost;
    }

    function _answerOf(uint8 vice) internal pure returns (HostileToken.Answer) {
        return HostileToken.Answer(vice < 3 ? vice : 0);
    }

    function _hookVice(uint8 vice) private pure returns (HostileHook.Vice) {
        return HostileHook.Vice(vice);
    }

    function _arbitratorVice(uint8 vice) private pure returns (TestArbitrator.Vice) {
        if (vice == 7) return TestArbitrator.Vice.Reenter;
        return TestArbitrator.Vice(vice < 6 ? vice : 0);
    }

    function _call(uint256 index, bytes memory input) private returns (bool) {
        return _callAt(address(escrow), index, 0, input);
    }

    function _callAt(address target, uint256 index, uint256 value, bytes memory input) internal returns (bool isDone) {
        (isDone, ) = _record(target, index, value, input);
    }

    function _record(
        address target,
        uint256 index,
        uint256 value,
        bytes memory input
    ) private returns (bool isDone, Log[] memory logs) {
        address account = accountAt(index);
        ++callCount;
        vm.warp(_now);
        vm.recordLogs();
        vm.prank(account);
        (isDone, ) = target.call{value: value, gas: CALL_GAS}(input);
        logs = vm.getRecordedLogs();
        // The recorder keeps the logs of reverted calls. Those of the call itself are dropped here; of the calls that it
        // leads to, none reverts once it has emitted: nothing that could is planned.
        for (uint256 i = 0; isDone && i < logs.length; ++i) _foldLog(logs[i]);
    }
}
