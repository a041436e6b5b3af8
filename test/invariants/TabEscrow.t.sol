// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICredits} from "../../contracts/interfaces/ICredits.sol";
import {ITabEscrow, TabState} from "../../contracts/interfaces/ITabEscrow.sol";
import {StructHash} from "../../contracts/libraries/StructHash.sol";
import {Tab} from "../../contracts/libraries/Types.sol";
import {HostileToken} from "../../contracts/mocks/HostileToken.sol";
import {TabEscrow} from "../../contracts/settlement/TabEscrow.sol";
import {TabFold, TabSteps} from "./tabs/TabSteps.sol";

/// @notice What the fuzzer calls, and the way out of everything.
contract TabHandler is TabSteps {
    address private immutable _owner = msg.sender;

    constructor() {
        open(0, 0, 0, 1_000, 4_000, 1);
    }

    /// @notice 4, 7: once every tab has expired a stranger closes them all, whatever tokens and payers do; then everybody takes what is
    /// credited to it.
    function drain() external {
        if (msg.sender != _owner) return;
        _now += 30 days;
        for (uint256 i = 0; i < _tabs.length; ++i) {
            TabState state = _folds[StructHash.hash(_tabs[i])].state;
            if (state != TabState.Open && state != TabState.Closing) continue;
            require(_callAt(3, 0, abi.encodeCall(ITabEscrow.close, (_tabs[i]))), "an expired tab does not close");
        }
        _heal();
        for (uint8 i = 0; i < 4; ++i) for (uint8 t = 0; t < TOKENS; ++t) withdrawCredit(t, i, true);
    }

    /// @notice A fixed walk through one tab, so that what the invariants speak of is reached for certain.
    function walk(uint256 seed) external {
        corruptToken(0, 0);
        open(uint8(seed), uint8(seed >> 8), uint8(seed >> 16), uint24(seed >> 24) | 1, 4_000, 1);
        topUp(0, uint24(seed >> 48), uint8(seed >> 72));
        for (uint256 k = 0; k < 3; ++k) {
            claim(0, uint24(seed >> (80 + k)), uint8(seed >> (100 + k)), uint8(seed >> (110 + 4 * k)), false, k == 1);
        }
        corruptToken(uint8(seed >> 130), uint8(seed >> 138));
        planReentry(1);
        startClose(0, uint8(seed >> 146), seed % 3 == 0);
        claim(0, 1, 6, 7, seed % 2 == 0, seed % 4 == 0);
        if (seed % 3 == 1) passTime(1_000);
        close(0, 3);
        closeFor(1, seed % 2 == 0);
        close(2, uint8(seed >> 154));
        withdrawCredit(uint8(seed >> 160), uint8(seed >> 168), seed % 2 == 0);
    }
}

/// @notice The books of tabs, after every call of the handler.
contract TabEscrowInvariants {
    TabHandler private _handler;
    TabEscrow private _escrow;

    function setUp() public {
        _handler = new TabHandler();
        _escrow = _handler.tabs();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    /// 1: per token, balance = Σ (deposit − paid) of live tabs + Σ credits + what was donated.
    function invariant_BalanceIsLiveTabsCreditsAndDonations() public view {
        for (uint256 t = 0; t < _handler.TOKENS(); ++t) {
            address token = _handler.tokenAt(t);
            uint256 owed = _handler.donated(token);
            for (uint256 i = 0; i < 4; ++i) owed += _escrow.creditOf(token, _handler.accountAt(i));
            for (uint256 i = 0; i < _handler.tabCount(); ++i) {
                (bytes32 tabId, Tab memory tab, ) = _handler.tabAt(i);
                (TabState state, , , uint96 deposit, uint96 paid, , ) = _escrow.tabOf(tabId);
                if (tab.token == token && (state == TabState.Open || state == TabState.Closing)) owed += deposit - paid;
            }
            require(_balanceOf(token) == owed, "balance");
        }
    }

    /// 2, 3: a tab opens and closes at most once, and pays out what it took in: what was claimed, and the rest to its payer.
    function invariant_OneEndAndPayoutsAreDeposits() public view {
        for (uint256 i = 0; i < _handler.tabCount(); ++i) {
            (, , TabFold memory fold) = _handler.tabAt(i);
            require(fold.openCount <= 1 && fold.closeCount <= fold.openCount, "twice");
            require(fold.paid <= fold.deposit, "paid");
            require(fold.returned == (fold.closeCount == 0 ? 0 : fold.deposit - fold.paid), "returned");
        }
    }

    /// 14: the fold of the events is the storage.
    function invariant_FoldedEventsAreTheStorage() public view {
        for (uint256 i = 0; i < _handler.tabCount(); ++i) {
            (bytes32 tabId, , TabFold memory fold) = _handler.tabAt(i);
            _requireSame(tabId, fold);
        }
        for (uint256 i = 0; i < 4; ++i) {
            for (uint256 t = 0; t < _handler.TOKENS(); ++t) {
                (address token, address account) = (_handler.tokenAt(t), _handler.accountAt(i));
                require(_escrow.creditOf(token, account) == _handler.credits(token, account), "credit");
            }
        }
    }

    /// 11: the ledger holds what the claims told, at most 100 points a tab and epoch, and nothing else.
    function invariant_LocalTrustIsTheSumOfClaims() public view {
        for (uint32 client = 1; client <= 3; ++client) {
            for (uint32 provider = 1; provider <= 3; ++provider) {
                (uint48 satisfied, uint48 unsatisfied) = _handler.ledger().pairOf(_handler.TOPIC(), client, provider);
                require(satisfied == _handler.satisfied(client, provider), "satisfied");
                require(unsatisfied == _handler.unsatisfied(client, provider), "unsatisfied");
            }
        }
    }

    /// 4, 7: from wherever the calls have led, time and a stranger close every tab, and nothing is left but donations.
    function afterInvariant() public {
        _handler.drain();
        require(_handler.callCount() >= 100, "too few calls");
        for (uint256 t = 0; t < _handler.TOKENS(); ++t) {
            address token = _handler.tokenAt(t);
            require(_balanceOf(token) == _handler.donated(token), "money is left");
        }
    }

    /// The handler reaches what the invariants speak of: each event, from a fixed walk of its functions.
    function test_HandlerReachesEveryEvent() public {
        for (uint256 i = 0; i < 40; ++i) _handler.walk(uint256(keccak256(abi.encode(i))));
        require(_handler.seen(ITabEscrow.TabOpened.selector) != 0, "TabOpened");
        require(_handler.seen(ITabEscrow.TabToppedUp.selector) != 0, "TabToppedUp");
        require(_handler.seen(ITabEscrow.TabClaimed.selector) != 0, "TabClaimed");
        require(_handler.seen(ITabEscrow.TabCloseStarted.selector) != 0, "TabCloseStarted");
        require(_handler.seen(ITabEscrow.TabClosed.selector) != 0, "TabClosed");
        require(_handler.seen(ICredits.Credited.selector) != 0, "Credited");
        require(_handler.seen(ICredits.CreditWithdrawn.selector) != 0, "CreditWithdrawn");
        require(_handler.reentryCount() != 0, "re-entry");
        invariant_BalanceIsLiveTabsCreditsAndDonations();
        invariant_OneEndAndPayoutsAreDeposits();
        invariant_FoldedEventsAreTheStorage();
        invariant_LocalTrustIsTheSumOfClaims();
        afterInvariant();
    }

    function _requireSame(bytes32 tabId, TabFold memory fold) private view {
        (
            TabState state,
            address payer,
            uint48 closesAt,
            uint96 deposit,
            uint96 paid,
            uint32 satisfiedSum,
            uint32 unsatisfiedSum
        ) = _escrow.tabOf(tabId);
        require(state == fold.state && payer == fold.payer && closesAt == fold.closesAt, "tab");
        require(deposit == fold.deposit && paid == fold.paid, "money");
        require(satisfiedSum == fold.satisfiedSum && unsatisfiedSum == fold.unsatisfiedSum, "ratings");
    }

    function _balanceOf(address token) private view returns (uint256) {
        return token == address(0) ? address(_escrow).balance : HostileToken(token).balanceOf(address(_escrow));
    }
}
