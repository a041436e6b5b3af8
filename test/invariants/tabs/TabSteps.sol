// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICredits} from "../../../contracts/interfaces/ICredits.sol";
import {IDealEscrow} from "../../../contracts/interfaces/IDealEscrow.sol";
import {ITabEscrow, TabState} from "../../../contracts/interfaces/ITabEscrow.sol";
import {ITrustLedger} from "../../../contracts/interfaces/ITrustLedger.sol";
import {StructHash} from "../../../contracts/libraries/StructHash.sol";
import {Tab, TabClaim, TabClosing, Voucher} from "../../../contracts/libraries/Types.sol";
import {HostileToken} from "../../../contracts/mocks/HostileToken.sol";
import {ReentrantWallet} from "../../../contracts/mocks/ReentrantWallet.sol";
import {TrustLedger} from "../../../contracts/reputation/TrustLedger.sol";
import {TabEscrow} from "../../../contracts/settlement/TabEscrow.sol";
import {Agents} from "../Agents.sol";
import {Log, vm} from "../Vm.sol";

/// @notice One tab as its events tell it.
struct TabFold {
    TabState state;
    address payer;
    uint48 closesAt;
    uint256 deposit;
    uint256 paid;
    uint32 satisfiedSum;
    uint32 unsatisfiedSum;
    uint256 returned;
    uint256 openCount;
    uint256 closeCount;
    /// Points of local trust in the epoch of the last claim.
    uint256 epoch;
    uint256 points;
}

/// @notice Tabs of three agents, in two hostile tokens and native value, by every actor and in any order. What claims and closings are
/// worth is predicted; the events, and nothing else, are folded into a second state.
abstract contract TabSteps {
    uint64 public constant TOPIC = 9;
    uint256 public constant TOKENS = 3;
    uint256 internal constant CALL_GAS = 8_000_000;
    uint256 private constant EPOCH_LENGTH = 1 hours;
    uint256 private constant WINDOW = 5;

    Agents public immutable agents;
    TabEscrow public immutable tabs;
    TabEscrow public immutable otherTabs;
    TrustLedger public immutable ledger;
    HostileToken[2] private _tokens;

    uint256 internal _now;
    uint256 private _salt;
    Tab[] internal _tabs;
    mapping(bytes32 tabId => TabFold) internal _folds;
    /// @dev The last voucher that was claimed, to be claimed again.
    mapping(bytes32 tabId => Voucher) private _claimed;
    mapping(address token => mapping(address account => uint256)) public credits;
    mapping(address token => uint256) public donated;
    mapping(uint256 client => mapping(uint256 provider => uint256)) public satisfied;
    mapping(uint256 client => mapping(uint256 provider => uint256)) public unsatisfied;
    mapping(bytes32 selector => uint256) public seen;
    uint256 public callCount;
    uint256 public reentryCount;

    constructor() {
        _now = block.timestamp;
        agents = new Agents();
        ledger = new TrustLedger(EPOCH_LENGTH, address(agents.registry()));
        tabs = new TabEscrow(agents.registry(), ITrustLedger(ledger));
        otherTabs = new TabEscrow(agents.registry(), ITrustLedger(ledger));
        address[] memory recorders = new address[](1);
        recorders[0] = address(tabs);
        ledger.setRecorders(recorders);
        _tokens = [new HostileToken(), new HostileToken()];
        for (uint256 i = 0; i < agents.COUNT(); ++i) {
            vm.deal(accountAt(i), 1 << 90);
            for (uint256 t = 0; t < 2; ++t) {
                _tokens[t].mint(accountAt(i), 1 << 90);
                vm.prank(accountAt(i));
                _tokens[t].approve(address(tabs), type(uint256).max);
            }
        }
    }

    /// @notice The agents' accounts, and a stranger's.
    function accountAt(uint256 index) public view returns (address) {
        return index < agents.COUNT() ? agents.accounts(index) : address(0xacc3);
    }

    function tokenAt(uint256 index) public view returns (address) {
        return index % TOKENS == 2 ? address(0) : address(_tokens[index % TOKENS]);
    }

    function tabCount() external view returns (uint256) {
        return _tabs.length;
    }

    function tabAt(uint256 index) external view returns (bytes32 tabId, Tab memory tab, TabFold memory fold) {
        tab = _tabs[index];
        tabId = StructHash.hash(tab);
        fold = _folds[tabId];
    }

    /// @dev The caller is the client, or, once in four, anybody.
    function open(uint8 client, uint8 provider, uint8 token, uint24 deposit, uint16 life, uint8 caller) public {
        uint256 count = agents.COUNT();
        Tab memory tab;
        tab.clientAgentId = (client % count) + 1;
        tab.providerAgentId = ((tab.clientAgentId + (provider % (count - 1))) % count) + 1;
        tab.topic = caller & 8 == 0 ? TOPIC : 0;
        tab.token = tokenAt(token);
        tab.signerHash = keccak256(abi.encodePacked(accountAt(tab.clientAgentId - 1)));
        tab.expiry = uint48(_now + 1 + life);
        tab.challengePeriod = life / 4;
        tab.salt = ++_salt;
        _tabs.push(tab);
        uint256 index = caller % 4 == 0 ? caller % 4 : tab.clientAgentId - 1;
        uint256 value = tab.token == address(0) ? deposit : 0;
        _callAt(index, value, abi.encodeCall(ITabEscrow.open, (tab, deposit)));
    }

    function topUp(uint256 which, uint24 amount, uint8 caller) public {
        Tab memory tab = _tab(which);
        uint256 value = tab.token == address(0) ? amount : 0;
        _callAt(caller % agents.COUNT(), value, abi.encodeCall(ITabEscrow.topUp, (tab, amount)));
    }

    /// @dev 5, 11: a voucher pays what it adds, once, to the provider, by the provider's word; all of it is predicted.
    /// @param flaw of twelve: 0 foreign signature, 1 another tab's, 2 another escrow's, 3 the last one again, 4 ratings that shrink
    function claim(uint256 which, uint24 more, uint8 rating, uint8 flaw, bool isLast, bool isRelayed) public {
        Tab memory tab = _tab(which);
        bytes32 tabId = StructHash.hash(tab);
        TabFold memory fold = _folds[tabId];
        Voucher memory voucher = _voucherOf(tabId, fold, more, rating, flaw % 12);
        bytes memory signature = _signVoucher(tab, voucher, flaw % 12);
        bool isDone = _claim(tab, voucher, signature, isLast, isRelayed);
        bool isSound = flaw % 12 > 2 && voucher.paid > fold.paid && voucher.paid <= fold.deposit;
        bool isGrown = voucher.satisfied >= fold.satisfiedSum && voucher.unsatisfied >= fold.unsatisfiedSum;
        require(isDone == (_isLive(fold.state) && isSound && isGrown), "a claim is not what its voucher says");
        if (isDone) _claimed[tabId] = voucher;
    }

    /// @dev A client cannot claim its own voucher, lest it rates whom it never paid.
    function claimAsClient(uint256 which, uint24 more, uint8 rating) external {
        Tab memory tab = _tab(which);
        bytes32 tabId = StructHash.hash(tab);
        Voucher memory voucher = _voucherOf(tabId, _folds[tabId], more, rating, 5);
        bytes memory signature = _signVoucher(tab, voucher, 5);
        bytes memory signer = abi.encodePacked(accountAt(tab.clientAgentId - 1));
        bytes memory input = abi.encodeCall(ITabEscrow.claim, (tab, voucher, signer, signature, false));
        require(!_callAt(tab.clientAgentId - 1, 0, input), "a client claimed");
    }

    function startClose(uint256 which, uint8 caller, bool isRelayed) public {
        Tab memory tab = _tab(which);
        if (!isRelayed) {
            _callAt(caller % 4, 0, abi.encodeCall(ITabEscrow.startClose, (tab)));
            return;
        }
        bytes32 digest = tabs.digestOfStruct(StructHash.hash(TabClosing(StructHash.hash(tab))));
        IDealEscrow.Party memory client = agents.consent(tab.clientAgentId - 1, digest);
        bool isForged = caller % 4 == 3;
        if (isForged) client.signature = agents.sign(agents.COUNT(), digest);
        bool isDone = _callAt(3, 0, abi.encodeCall(ITabEscrow.startCloseFor, (tab, client)));
        require(!isDone || !isForged, "a forged wish to close passed");
    }

    /// @dev 4, 7, 10: from its second on anyone closes, whatever token and payer do; before, the provider alone.
    function close(uint256 which, uint8 caller) public {
        Tab memory tab = _tab(which);
        TabFold memory fold = _folds[StructHash.hash(tab)];
        bool isDue = _now > tab.expiry || (fold.closesAt != 0 && _now >= fold.closesAt);
        bool isProvider = caller % 4 == tab.providerAgentId - 1;
        bool isDone = _callAt(caller % 4, 0, abi.encodeCall(ITabEscrow.close, (tab)));
        require(isDone == (_isLive(fold.state) && (isDue || isProvider)), "close is not what its deadline says");
    }

    function closeFor(uint256 which, bool isForged) public {
        Tab memory tab = _tab(which);
        bytes32 digest = tabs.digestOfStruct(StructHash.hash(TabClosing(StructHash.hash(tab))));
        IDealEscrow.Party memory provider = agents.consent(tab.providerAgentId - 1, digest);
        if (isForged) provider.signature = agents.sign(agents.COUNT(), digest);
        bool isDone = _callAt(3, 0, abi.encodeCall(ITabEscrow.closeFor, (tab, provider)));
        require(!isDone || !isForged, "a forged closing passed");
    }

    /// @dev 3, 5: a tab that has ended is never opened again.
    function reopen(uint256 which) public {
        Tab memory tab = _tab(which);
        if (_folds[StructHash.hash(tab)].openCount == 0) tab = _tabs[0];
        uint256 value = tab.token == address(0) ? 1 : 0;
        bool isDone = _callAt(tab.clientAgentId - 1, value, abi.encodeCall(ITabEscrow.open, (tab, 1)));
        require(!isDone, "a tab was opened twice");
    }

    function withdrawCredit(uint8 token, uint8 caller, bool isToSink) public {
        address to = isToSink ? address(0x51c) : accountAt(caller % 4);
        _callAt(caller % 4, 0, abi.encodeCall(ICredits.withdrawCredit, (tokenAt(token), to)));
    }

    function corruptToken(uint8 vice, uint8 account) public {
        _tokens[0].setAnswer(HostileToken.Answer(vice % 8 < 3 ? vice % 8 : 0));
        _tokens[0].setFee(vice % 8 == 3 ? 250 : 0);
        _tokens[0].setBlocked(accountAt(account % 4), vice % 8 == 4);
        for (uint256 t = 0; t < 2; ++t) _tokens[t].setHooks(accountAt(2), vice % 2 == 1);
        agents.wallet().setRefusing(vice % 3 == 0);
        withdrawCredit(vice, account, true);
    }

    /// @dev The third agent's account re-enters with these from inside the next payments to or from it.
    function planReentry(uint256 which) public {
        Tab memory tab = _tab(which);
        ReentrantWallet.PlannedCall[] memory plan = new ReentrantWallet.PlannedCall[](2);
        for (uint256 i = 0; i < plan.length; ++i) plan[i].target = address(tabs);
        plan[0].input = abi.encodeCall(ITabEscrow.startClose, (tab));
        plan[1].input = abi.encodeCall(ITabEscrow.close, (tab));
        reentryCount += agents.wallet().attemptCount();
        agents.wallet().setPlan(plan, false, false);
        close(which, 3);
    }

    function donate(uint8 token, uint16 amount) external {
        address given = tokenAt(token);
        donated[given] += amount;
        if (given == address(0)) vm.deal(address(tabs), address(tabs).balance + amount);
        else HostileToken(given).mint(address(tabs), amount);
        reopen(amount);
    }

    function passTime(uint16 secondsLater) public {
        _now += secondsLater;
        close(secondsLater, 3);
    }

    /// @dev 10: to just before, at, or just after a deadline of a tab.
    function passToDeadline(uint256 which, bool isExpiry, uint8 offset) public {
        Tab memory tab = _tab(which);
        uint256 deadline = isExpiry ? tab.expiry : _folds[StructHash.hash(tab)].closesAt;
        uint256 time = deadline + (offset % 3);
        if (time > _now) _now = time - 1;
        close(which, offset);
    }

    /// @dev Tokens become honest again, blocked accounts free; what was refused stays credited.
    function _heal() internal {
        for (uint256 t = 0; t < 2; ++t) {
            _tokens[t].setAnswer(HostileToken.Answer.True);
            _tokens[t].setFee(0);
            for (uint256 i = 0; i < 4; ++i) _tokens[t].setBlocked(accountAt(i), false);
        }
        agents.wallet().setPlan(new ReentrantWallet.PlannedCall[](0), false, false);
    }

    function _voucherOf(
        bytes32 tabId,
        TabFold memory fold,
        uint256 more,
        uint32 rating,
        uint256 flaw
    ) private view returns (Voucher memory voucher) {
        if (flaw == 3) return _claimed[tabId].tabId == 0 ? Voucher(tabId, 0, 0, 0, 0) : _claimed[tabId];
        uint256 left = fold.deposit - fold.paid;
        // Sometimes all that is left, sometimes one unit too much.
        uint256 paid =
            fold.paid +
                (
                    flaw == 6
                        ? left + 1
                        : flaw == 7
                            ? left
                            : (more % (left + 1))
                );
        voucher = Voucher(tabId, 1, uint96(paid), fold.satisfiedSum, fold.unsatisfiedSum);
        if (rating % 2 == 0) voucher.satisfied += rating;
        else voucher.unsatisfied += rating;
        if (flaw == 4 && voucher.satisfied != 0) voucher.satisfied = 0;
        if (flaw == 1) voucher.tabId = keccak256("another tab");
    }

    function _signVoucher(Tab memory tab, Voucher memory voucher, uint256 flaw) private view returns (bytes memory) {
        TabEscrow verifier = flaw == 2 ? otherTabs : tabs;
        bytes32 digest = verifier.digestOfStruct(StructHash.hash(voucher));
        return agents.sign(flaw == 0 ? agents.COUNT() : tab.clientAgentId - 1, digest);
    }

    function _claim(
        Tab memory tab,
        Voucher memory voucher,
        bytes memory signature,
        bool isLast,
        bool isRelayed
    ) private returns (bool) {
        bytes memory signer = abi.encodePacked(accountAt(tab.clientAgentId - 1));
        uint256 provider = tab.providerAgentId - 1;
        if (!isRelayed)
            return _callAt(provider, 0, abi.encodeCall(ITabEscrow.claim, (tab, voucher, signer, signature, isLast)));
        bytes32 structHash = StructHash.hash(TabClaim(StructHash.hash(tab), voucher.paid, isLast));
        IDealEscrow.Party memory consent = agents.consent(provider, tabs.digestOfStruct(structHash));
        return _callAt(3, 0, abi.encodeCall(ITabEscrow.claimFor, (tab, voucher, signer, signature, isLast, consent)));
    }

    function _isLive(TabState state) private pure returns (bool) {
        return state == TabState.Open || state == TabState.Closing;
    }

    function _tab(uint256 which) private view returns (Tab memory) {
        uint256 window = _tabs.length < WINDOW ? _tabs.length : WINDOW;
        return _tabs[_tabs.length - 1 - (which % window)];
    }

    function _callAt(uint256 index, uint256 value, bytes memory input) internal returns (bool isDone) {
        address account = accountAt(index);
        ++callCount;
        vm.warp(_now);
        vm.recordLogs();
        vm.prank(account);
        (isDone, ) = address(tabs).call{value: value, gas: CALL_GAS}(input);
        Log[] memory logs = vm.getRecordedLogs();
        // As in DealSteps: what is planned for inside a payment never reverts once it has emitted.
        for (uint256 i = 0; isDone && i < logs.length; ++i) if (logs[i].emitter == address(tabs)) _fold(logs[i]);
    }

    function _fold(Log memory log) private {
        bytes32 kind = log.topics[0];
        ++seen[kind];
        if (kind == ICredits.Credited.selector || kind == ICredits.CreditWithdrawn.selector) {
            _foldCredit(log);
            return;
        }
        require(kind != ITabEscrow.LocalTrustSkipped.selector, "the ledger refused a record");
        TabFold storage fold = _folds[log.topics[1]];
        if (kind == ITabEscrow.TabOpened.selector) {
            (address payer, uint256 deposit, Tab memory told) = abi.decode(log.data, (address, uint256, Tab));
            require(StructHash.hash(told) == log.topics[1], "TabOpened tells another tab");
            (fold.state, fold.payer, fold.deposit) = (TabState.Open, payer, deposit);
            ++fold.openCount;
        } else if (kind == ITabEscrow.TabToppedUp.selector) {
            (, fold.deposit) = abi.decode(log.data, (uint256, uint256));
        } else if (kind == ITabEscrow.TabCloseStarted.selector) {
            fold.closesAt = abi.decode(log.data, (uint48));
            fold.state = TabState.Closing;
        } else if (kind == ITabEscrow.TabClosed.selector) {
            fold.returned += abi.decode(log.data, (uint256));
            fold.state = TabState.Closed;
            ++fold.closeCount;
        } else {
            require(kind == ITabEscrow.TabClaimed.selector, "unknown event");
            _foldClaim(log, fold);
        }
    }

    function _foldClaim(Log memory log, TabFold storage fold) private {
        uint256 amount;
        uint24 more;
        uint24 less;
        uint256 before = fold.paid;
        (amount, fold.paid, , fold.satisfiedSum, fold.unsatisfiedSum, more, less) = abi.decode(
            log.data,
            (uint256, uint256, uint64, uint32, uint32, uint24, uint24)
        );
        require(fold.paid == before + amount && amount != 0, "a claim pays what it adds");
        uint256 epoch = (_now - ledger.genesis()) / EPOCH_LENGTH;
        if (fold.epoch != epoch) (fold.epoch, fold.points) = (epoch, 0);
        fold.points += uint256(more) + less;
        require(fold.points <= 100, "more than 100 points in an epoch");
        (uint256 client, uint256 provider) = _agentsOf(log.topics[1]);
        satisfied[client][provider] += more;
        unsatisfied[client][provider] += less;
    }

    function _agentsOf(bytes32 tabId) private view returns (uint256 client, uint256 provider) {
        for (uint256 k = _tabs.length; k > 0; --k) {
            Tab memory tab = _tabs[k - 1];
            if (StructHash.hash(tab) == tabId) return (tab.clientAgentId, tab.providerAgentId);
        }
        revert("a claim of an unknown tab");
    }

    function _foldCredit(Log memory log) private {
        address token = address(uint160(uint256(log.topics[1])));
        address account = address(uint160(uint256(log.topics[2])));
        uint256 amount = abi.decode(log.data, (uint256));
        if (log.topics[0] == ICredits.Credited.selector) credits[token][account] += amount;
        else credits[token][account] -= amount;
    }
}
