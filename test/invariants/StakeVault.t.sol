// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IEpochClock} from "../../contracts/interfaces/IEpochClock.sol";
import {IERC8004Identity} from "../../contracts/interfaces/IERC8004Identity.sol";
import {IStakeVault} from "../../contracts/interfaces/IStakeVault.sol";
import {HostileToken} from "../../contracts/mocks/HostileToken.sol";
import {TrustLedger} from "../../contracts/reputation/TrustLedger.sol";
import {StakeVault} from "../../contracts/stake/StakeVault.sol";
import {Agents} from "./Agents.sol";
import {Log, vm} from "./Vm.sol";

/// @notice Stakes, unbonds, locks and slashes with a token whose vices come and go; folds the vault's events, and nothing
/// else, into a second state, and keeps what that held when the last epoch closed.
contract StakeVaultHandler {
    address private constant BURN = address(0xdEaD);

    struct Fold {
        uint256 staked;
        uint256 closed;
        uint256 unbonding;
        uint48 withdrawableAt;
        uint256[2] locks;
    }

    Agents public immutable agents;
    TrustLedger public immutable clock;
    HostileToken public immutable token;
    StakeVault public immutable vault;
    address[2] public modules = [address(0x1001), address(0x1002)];
    uint256 public donated;
    uint256 private _now;
    uint256 private _epoch = 1;
    mapping(uint32 agentId => Fold) private _folds;
    mapping(address account => uint256) public credits;
    /// @notice How often each kind of event was seen, by its selector.
    mapping(bytes32 selector => uint256) public seen;

    constructor() {
        _now = block.timestamp;
        agents = new Agents();
        clock = new TrustLedger(1 days, address(agents.registry()));
        token = new HostileToken();
        vault = new StakeVault(token, IERC8004Identity(address(agents.registry())), IEpochClock(clock), 3 days);
        address[] memory named = new address[](2);
        (named[0], named[1]) = (modules[0], modules[1]);
        vault.setModules(named);
        for (uint256 i = 0; i < agents.COUNT(); ++i) {
            address account = agents.accounts(i);
            token.mint(account, 1 << 120);
            vm.prank(account);
            token.approve(address(vault), type(uint256).max);
        }
    }

    function stake(uint8 agent, uint8 payer, uint40 amount) external {
        _call(agents.accounts(payer % 3), abi.encodeCall(IStakeVault.stake, (_agentId(agent), amount)));
    }

    /// @dev Reaches the bound of 112 bits.
    function stakeMuch(uint8 agent, uint112 amount) external {
        _call(agents.accounts(0), abi.encodeCall(IStakeVault.stake, (_agentId(agent), amount)));
    }

    function startUnbonding(uint8 agent, uint8 caller, uint40 amount) external {
        (, bool isFree) = _free(_agentId(agent), amount);
        bool isDone = _call(
            agents.accounts(caller % 3),
            abi.encodeCall(IStakeVault.startUnbonding, (_agentId(agent), amount))
        );
        require(!isDone || (isFree && caller % 3 == agent % 3), "unbonded what was not free, or not one's own");
    }

    function withdraw(uint8 agent) external {
        _call(address(this), abi.encodeCall(IStakeVault.withdraw, (_agentId(agent))));
    }

    function lock(uint8 agent, uint8 module, uint40 amount) external {
        (, bool isFree) = _free(_agentId(agent), amount);
        bool isDone = _call(modules[module % 2], abi.encodeCall(IStakeVault.lock, (_agentId(agent), amount)));
        require(!isDone || isFree, "locked more than is free");
    }

    function unlock(uint8 agent, uint8 module, uint40 amount) external {
        uint256 held = _folds[_agentId(agent)].locks[module % 2];
        bool isDone = _call(modules[module % 2], abi.encodeCall(IStakeVault.unlock, (_agentId(agent), amount)));
        require(isDone == (amount != 0 && amount <= held), "unlock");
    }

    /// @dev INVARIANT 13 and no recipient in the way: a slash succeeds exactly if it is within the lock.
    function slash(uint8 agent, uint8 module, uint40 amount, uint40 reward, uint8 reporter) external {
        uint32 agentId = _agentId(agent);
        uint256 held = _folds[agentId].locks[module % 2];
        if (amount > held && held != 0 && amount % 3 != 0) amount = uint40(1 + (amount % held));
        bool isDone = _call(
            modules[module % 2],
            abi.encodeCall(IStakeVault.slash, (agentId, amount, reward, agents.accounts(reporter % 3)))
        );
        require(isDone == (amount != 0 && amount <= held && reward <= amount), "slash");
    }

    /// @dev Takes what no module holds, to the unit, whether it is stake or unbonds; other modules' locks stay.
    function freeze(uint8 agent, uint8 module, uint40 amount) external {
        uint32 agentId = _agentId(agent);
        Fold memory before = _folds[agentId];
        uint256 reachable = _reachable(agentId, amount);
        // Unbonding stake comes back only as far as there is room in 112 bits.
        uint256 most = type(uint112).max - before.locks[0] - before.locks[1];
        if (reachable > most) reachable = most;
        uint256 lockedBefore = before.locks[module % 2];
        uint256 other = before.locks[1 - (module % 2)];
        bool isDone = _call(modules[module % 2], abi.encodeCall(IStakeVault.freeze, (agentId, amount)));
        require(isDone == (reachable != 0), "freeze");
        Fold storage fold = _folds[agentId];
        if (!isDone) return;
        require(fold.locks[module % 2] == lockedBefore + reachable, "froze another amount");
        require(fold.locks[1 - (module % 2)] == other, "froze what another module holds");
    }

    function seize(uint8 agent, uint8 module, uint40 amount, uint8 reporter) external {
        uint32 agentId = _agentId(agent);
        uint256 reachable = _reachable(agentId, amount);
        Fold memory before = _folds[agentId];
        address paid = reporter % 4 == 3 ? address(0) : agents.accounts(reporter % 4);
        bool isDone = _call(modules[module % 2], abi.encodeCall(IStakeVault.seize, (agentId, amount, paid)));
        require(isDone == (reachable != 0), "seize");
        Fold memory fold = _folds[agentId];
        if (!isDone) return;
        require(fold.staked + fold.unbonding + reachable == before.staked + before.unbonding, "seized another amount");
        require(fold.locks[0] == before.locks[0] && fold.locks[1] == before.locks[1], "seized a lock");
    }

    /// @dev Nobody but a module locks, unlocks or slashes.
    function intrude(uint8 agent, uint8 caller, uint40 amount) external {
        address account = agents.accounts(caller % 3);
        require(!_call(account, abi.encodeCall(IStakeVault.lock, (_agentId(agent), amount))), "intruder locked");
        require(!_call(account, abi.encodeCall(IStakeVault.unlock, (_agentId(agent), amount))), "intruder unlocked");
        bytes memory slashing = abi.encodeCall(IStakeVault.slash, (_agentId(agent), amount, amount, account));
        require(!_call(account, slashing), "intruder slashed");
        require(!_call(account, abi.encodeCall(IStakeVault.freeze, (_agentId(agent), amount))), "intruder froze");
        bytes memory seizing = abi.encodeCall(IStakeVault.seize, (_agentId(agent), amount, account));
        require(!_call(account, seizing), "intruder seized");
    }

    function withdrawCredit(uint8 caller) external {
        address account = agents.accounts(caller % 3);
        _call(account, abi.encodeCall(IStakeVault.withdrawCredit, (account)));
    }

    function donate(uint16 amount) external {
        token.mint(address(vault), amount);
        donated += amount;
    }

    function corrupt(uint8 vice, uint8 account) external {
        token.setAnswer(HostileToken.Answer(vice % 8 < 3 ? vice % 8 : 0));
        token.setFee(vice % 8 == 3 ? 250 : 0);
        token.setBlocked(agents.accounts(account % 3), vice % 8 == 4);
        token.setBlocked(BURN, vice % 8 == 5);
    }

    function passTime(uint24 secondsLater) external {
        _now += secondsLater % 2 days;
        vm.warp(_now);
        uint256 running = clock.epoch();
        if (running == _epoch) return;
        _epoch = running;
        for (uint32 id = 1; id <= 3; ++id) _folds[id].closed = _folds[id].staked;
    }

    function warp() external {
        vm.warp(_now);
    }

    function foldOf(uint32 agentId) external view returns (Fold memory) {
        return _folds[agentId];
    }

    function _call(address caller, bytes memory input) private returns (bool isDone) {
        vm.warp(_now);
        vm.recordLogs();
        vm.prank(caller);
        (isDone, ) = address(vault).call(input);
        Log[] memory logs = vm.getRecordedLogs();
        // The recorder keeps the logs of reverted calls.
        for (uint256 i = 0; isDone && i < logs.length; ++i) if (logs[i].emitter == address(vault)) _fold(logs[i]);
    }

    function _fold(Log memory log) private {
        bytes32 kind = log.topics[0];
        ++seen[kind];
        if (kind == IStakeVault.Credited.selector || kind == IStakeVault.CreditWithdrawn.selector) {
            address account = address(uint160(uint256(log.topics[1])));
            uint256 amount = abi.decode(log.data, (uint256));
            if (kind == IStakeVault.Credited.selector) credits[account] += amount;
            else credits[account] -= amount;
            return;
        }
        Fold storage fold = _folds[uint32(uint256(log.topics[1]))];
        if (kind == IStakeVault.Staked.selector) {
            (, fold.staked) = _checkedStake(log);
        } else if (kind == IStakeVault.UnbondingStarted.selector) {
            (uint256 amount, uint48 at, uint256 staked, uint256 epoch) = abi.decode(
                log.data,
                (uint256, uint48, uint256, uint256)
            );
            require(epoch == _epoch, "UnbondingStarted: epoch");
            (fold.staked, fold.withdrawableAt) = (staked, at);
            fold.unbonding += amount;
        } else if (kind == IStakeVault.Withdrawn.selector) {
            require(abi.decode(log.data, (uint256)) == fold.unbonding, "Withdrawn: amount");
            (fold.unbonding, fold.withdrawableAt) = (0, 0);
        } else if (kind == IStakeVault.Rebonded.selector) {
            (uint256 amount, uint256 staked) = _checkedStake(log);
            require(staked == fold.staked + amount, "Rebonded: stake");
            (fold.staked, fold.unbonding) = (staked, fold.unbonding - amount);
        } else if (kind == IStakeVault.Seized.selector) {
            (, uint256 fromUnbonding, , uint256 staked, uint256 epoch) = abi.decode(
                log.data,
                (uint256, uint256, uint256, uint256, uint256)
            );
            require(epoch == _epoch, "Seized: epoch");
            (fold.staked, fold.unbonding) = (staked, fold.unbonding - fromUnbonding);
        } else {
            _foldLock(log, fold);
        }
    }

    function _checkedStake(Log memory log) private view returns (uint256 amount, uint256 staked) {
        uint256 epoch;
        (amount, staked, epoch) = abi.decode(log.data, (uint256, uint256, uint256));
        require(epoch == _epoch, "Staked: epoch");
    }

    function _foldLock(Log memory log, Fold storage fold) private {
        uint256 module = address(uint160(uint256(log.topics[2]))) == modules[0] ? 0 : 1;
        if (log.topics[0] == IStakeVault.Slashed.selector) {
            (uint256 slashed, , uint256 staked, ) = abi.decode(log.data, (uint256, uint256, uint256, uint256));
            fold.staked = staked;
            fold.locks[module] -= slashed;
            return;
        }
        require(
            log.topics[0] == IStakeVault.Locked.selector || log.topics[0] == IStakeVault.Unlocked.selector,
            "unknown event"
        );
        (, fold.locks[module]) = abi.decode(log.data, (uint256, uint256));
    }

    /// @dev How much of `amount` freezing and seizing reach.
    function _reachable(uint32 agentId, uint256 amount) private view returns (uint256) {
        Fold storage fold = _folds[agentId];
        uint256 loose = fold.staked + fold.unbonding - fold.locks[0] - fold.locks[1];
        return amount < loose ? amount : loose;
    }

    function _free(uint32 agentId, uint256 amount) private view returns (uint256 free, bool isEnough) {
        Fold storage fold = _folds[agentId];
        free = fold.staked - fold.locks[0] - fold.locks[1];
        isEnough = amount <= free;
    }

    function _agentId(uint8 agent) private pure returns (uint32) {
        return (agent % 3) + 1;
    }
}

contract StakeVaultInvariants {
    StakeVaultHandler private _handler;
    StakeVault private _vault;

    function setUp() public {
        _handler = new StakeVaultHandler();
        _vault = _handler.vault();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    /// 1: balance = Σ stakes + Σ unbonding + Σ credits + what was donated; so it is never below what is owed.
    function invariant_BalanceIsStakesUnbondingCreditsAndDonations() public view {
        uint256 owed = _handler.donated() + _vault.creditOf(address(0xdEaD));
        for (uint32 id = 1; id <= 3; ++id) {
            (uint256 staked, , uint256 unbonding, ) = _vault.stakeOf(id);
            owed += staked + unbonding + _vault.creditOf(_handler.agents().accounts(id - 1));
        }
        require(_handler.token().balanceOf(address(_vault)) == owed, "balance");
    }

    /// 12: the locks of all modules together are the locked sum and never exceed the stake.
    function invariant_LocksNeverExceedTheStake() public view {
        for (uint32 id = 1; id <= 3; ++id) {
            (uint256 staked, uint256 locked, , ) = _vault.stakeOf(id);
            require(locked <= staked, "locked above stake");
            uint256 sum = _vault.lockOf(id, _handler.modules(0)) + _vault.lockOf(id, _handler.modules(1));
            require(sum == locked, "sum of locks");
        }
    }

    /// 14: the fold of the events is the storage, and the stake at the close of the last epoch is what the fold held then.
    function invariant_FoldedEventsAreTheStorage() public {
        _handler.warp();
        for (uint32 id = 1; id <= 3; ++id) {
            StakeVaultHandler.Fold memory fold = _handler.foldOf(id);
            (uint256 staked, uint256 locked, uint256 unbonding, uint48 withdrawableAt) = _vault.stakeOf(id);
            require(staked == fold.staked && locked == fold.locks[0] + fold.locks[1], "stake");
            require(unbonding == fold.unbonding && withdrawableAt == fold.withdrawableAt, "unbonding");
            require(_vault.stakeAt(id) == fold.closed, "stakeAt");
            require(_vault.creditOf(_handler.agents().accounts(id - 1)) == _credit(id), "credit");
            for (uint256 m = 0; m < 2; ++m) require(_vault.lockOf(id, _handler.modules(m)) == fold.locks[m], "lock");
        }
    }

    /// The handler reaches what the invariants speak of: each event of the vault, from a fixed walk of its functions.
    function test_HandlerReachesEveryEvent() public {
        for (uint8 i = 0; i < 12; ++i) {
            _handler.corrupt(0, 0);
            _handler.stake(i, i + 1, 1_000);
            _handler.lock(i, i, 600);
            _handler.unlock(i, i, 100);
            _handler.startUnbonding(i, i, 200);
            _handler.intrude(i, i, 1);
            _handler.corrupt(4 + (i % 2), i);
            _handler.slash(i, i, 300, 100, i);
            _handler.freeze(i, i + 1, 350);
            _handler.seize(i, i, 40, i);
            _handler.passTime(uint24(i) * 20_000);
            _handler.withdraw(i + 1);
            _handler.corrupt(0, i);
            _handler.withdrawCredit(i);
        }
        bytes32[10] memory kinds = [
            IStakeVault.Staked.selector,
            IStakeVault.UnbondingStarted.selector,
            IStakeVault.Withdrawn.selector,
            IStakeVault.Locked.selector,
            IStakeVault.Unlocked.selector,
            IStakeVault.Slashed.selector,
            IStakeVault.Rebonded.selector,
            IStakeVault.Seized.selector,
            IStakeVault.Credited.selector,
            IStakeVault.CreditWithdrawn.selector
        ];
        for (uint256 i = 0; i < kinds.length; ++i) require(_handler.seen(kinds[i]) != 0, "an event was not reached");
        invariant_BalanceIsStakesUnbondingCreditsAndDonations();
        invariant_LocksNeverExceedTheStake();
        invariant_FoldedEventsAreTheStorage();
    }

    function _credit(uint32 id) private view returns (uint256) {
        return _handler.credits(_handler.agents().accounts(id - 1));
    }
}
