// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IEpochClock} from "../interfaces/IEpochClock.sol";
import {IERC8004Identity} from "../interfaces/IERC8004Identity.sol";
import {IStakeVault} from "../interfaces/IStakeVault.sol";
import {StakeModules} from "./StakeModules.sol";

/// @notice See IStakeVault. Invariants are numbered in PROPERTIES.md and in the folder's README.
contract StakeVault is StakeModules, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @dev One slot, double-buffered: `current` is the stake since `epoch`, `previous` the stake before it.
    struct Stake {
        uint32 epoch;
        uint112 current;
        uint112 previous;
    }

    struct Unbonding {
        uint208 amount;
        uint48 withdrawableAt;
    }

    /// @dev Burning is a transfer to an account without a key: every ERC-20 has transfer, few have burn, and most refuse
    /// the zero address.
    address internal constant BURN_ACCOUNT = address(0xdEaD);

    uint256 internal constant CHALLENGED_EPOCHS = 2;

    IERC20 private immutable _token;
    /// @inheritdoc IStakeVault
    IERC8004Identity public immutable registry;
    /// @inheritdoc IStakeVault
    IEpochClock public immutable clock;
    /// @inheritdoc IStakeVault
    uint48 public immutable unbondingDelay;
    /// @dev The clock's, which never change, without asking it each time.
    uint256 private immutable _genesis;
    uint256 private immutable _epochLength;

    mapping(uint32 agentId => Stake) private _stakes;
    mapping(uint32 agentId => Unbonding) private _unbondings;
    mapping(uint32 agentId => uint256) private _locked;
    mapping(uint32 agentId => mapping(address module => uint256)) private _locks;
    mapping(address account => uint256) private _credits;

    constructor(IERC20 token_, IERC8004Identity registry_, IEpochClock clock_, uint48 unbondingDelay_) {
        // INVARIANT: stake stays within reach for as long as any false root can be refuted: epoch s is challenged until s + 1 ends.
        uint256 delayMin = CHALLENGED_EPOCHS * clock_.epochLength();
        require(unbondingDelay_ >= delayMin, StakeVaultShortDelay(unbondingDelay_, delayMin));
        _genesis = clock_.genesis();
        _epochLength = clock_.epochLength();
        _token = token_;
        registry = registry_;
        clock = clock_;
        unbondingDelay = unbondingDelay_;
    }

    /// @inheritdoc IStakeVault
    function stake(uint32 agentId, uint256 amount) external nonReentrant {
        require(amount != 0, StakeVaultZeroAmount());
        _ownerOf(agentId);
        uint256 staked = _stakes[agentId].current;
        // A stake above its 112 bits is refused, never saturated: the vault would owe less than it holds.
        uint256 room = type(uint112).max - staked;
        require(amount <= room, StakeVaultTooMuch(agentId, amount, room));

        staked += amount;
        uint256 epoch = _setStake(agentId, staked);
        emit Staked(agentId, msg.sender, amount, staked, epoch);
        uint256 balanceBefore = _token.balanceOf(address(this));
        _token.safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = _token.balanceOf(address(this)) - balanceBefore;
        // INVARIANT 8: what is counted as stake has arrived, to the unit.
        require(received == amount, StakeVaultShortfall(amount, received));
    }

    /// @inheritdoc IStakeVault
    function startUnbonding(uint32 agentId, uint256 amount) external nonReentrant {
        require(amount != 0, StakeVaultZeroAmount());
        _ownerOf(agentId);
        require(registry.isAuthorizedOrOwner(msg.sender, agentId), StakeVaultNotAuthorized(agentId, msg.sender));
        _requireFree(agentId, amount);

        uint256 staked = _stakes[agentId].current - amount;
        uint256 epoch = _setStake(agentId, staked);
        uint48 withdrawableAt = uint48(block.timestamp) + unbondingDelay;
        Unbonding storage unbonding = _unbondings[agentId];
        // Fits: each addend is below 2^112, and nobody can make 2^96 of them.
        unbonding.amount += uint208(amount);
        unbonding.withdrawableAt = withdrawableAt;
        emit UnbondingStarted(agentId, amount, withdrawableAt, staked, epoch);
    }

    /// @inheritdoc IStakeVault
    function withdraw(uint32 agentId) external nonReentrant returns (uint256 amount) {
        Unbonding memory unbonding = _unbondings[agentId];
        amount = unbonding.amount;
        require(amount != 0, StakeVaultNothingUnbonding(agentId));
        require(
            block.timestamp >= unbonding.withdrawableAt,
            StakeVaultTooEarly(agentId, unbonding.withdrawableAt, block.timestamp)
        );
        address owner = _ownerOf(agentId);

        delete _unbondings[agentId];
        emit Withdrawn(agentId, owner, amount);
        _token.safeTransfer(owner, amount);
    }

    /// @inheritdoc IStakeVault
    function lock(uint32 agentId, uint256 amount) external onlyModule nonReentrant {
        require(amount != 0, StakeVaultZeroAmount());
        // INVARIANT 12: locks never exceed the stake.
        _requireFree(agentId, amount);

        _addLock(agentId, amount);
    }

    /// @inheritdoc IStakeVault
    function freeze(uint32 agentId, uint256 amount) external onlyModule nonReentrant returns (uint256 frozen) {
        uint256 staked = _stakes[agentId].current;
        (uint256 fromStake, uint256 fromUnbonding) = _reach(agentId, staked, amount);
        // Stake that came after the unbonding may have filled the 112 bits: what has no room stays where it is.
        uint256 room = type(uint112).max - staked;
        if (fromUnbonding > room) fromUnbonding = room;
        frozen = fromStake + fromUnbonding;
        require(frozen != 0, StakeVaultNothingToTake(agentId));

        if (fromUnbonding != 0) {
            _unbondings[agentId].amount -= uint208(fromUnbonding);
            uint256 epoch = _setStake(agentId, staked + fromUnbonding);
            emit Rebonded(agentId, fromUnbonding, staked + fromUnbonding, epoch);
        }
        _addLock(agentId, frozen);
    }

    /// @inheritdoc IStakeVault
    function seize(
        uint32 agentId,
        uint256 amount,
        address reporter_
    ) external onlyModule nonReentrant returns (uint256 seized) {
        Stake memory entry = _stakes[agentId];
        uint256 staked = entry.current;
        // INVARIANT 13: no module's lock is touched but by its own slash.
        (uint256 fromStake, uint256 fromUnbonding) = _reach(agentId, staked, amount);
        seized = fromStake + fromUnbonding;
        require(seized != 0, StakeVaultNothingToTake(agentId));

        if (fromUnbonding != 0) _unbondings[agentId].amount -= uint208(fromUnbonding);
        staked -= fromStake;
        uint256 epoch = _setStake(agentId, entry, staked);
        uint256 reward = reporter_ == address(0) ? 0 : seized / 2;
        emit Seized(agentId, msg.sender, reporter_, seized, fromUnbonding, reward, staked, epoch);
        _pay(reporter_, reward);
        _pay(BURN_ACCOUNT, seized - reward);
    }

    /// @inheritdoc IStakeVault
    function unlock(uint32 agentId, uint256 amount) external onlyModule nonReentrant {
        uint256 locked = _takeLock(agentId, amount);
        emit Unlocked(agentId, msg.sender, amount, locked);
    }

    /// @inheritdoc IStakeVault
    function slash(uint32 agentId, uint256 amount, uint256 reward, address reporter_) external onlyModule nonReentrant {
        require(reward <= amount, StakeVaultRewardTooHigh(reward, amount));
        // INVARIANT 13: a slash never exceeds the lock.
        _takeLock(agentId, amount);

        uint256 staked = _stakes[agentId].current - amount;
        uint256 epoch = _setStake(agentId, staked);
        emit Slashed(agentId, msg.sender, reporter_, amount, reward, staked, epoch);
        _pay(reporter_, reward);
        _pay(BURN_ACCOUNT, amount - reward);
    }

    /// @inheritdoc IStakeVault
    function withdrawCredit(address to) external nonReentrant returns (uint256 amount) {
        amount = _credits[msg.sender];
        require(amount != 0, StakeVaultNoCredit(msg.sender));

        _credits[msg.sender] = 0;
        emit CreditWithdrawn(msg.sender, to, amount);
        _token.safeTransfer(to, amount);
    }

    /// @inheritdoc IStakeVault
    function token() external view returns (address) {
        return address(_token);
    }

    /// @inheritdoc IStakeVault
    function stakeOf(
        uint32 agentId
    ) external view returns (uint256 staked, uint256 locked, uint256 unbonding, uint48 withdrawableAt) {
        Unbonding memory pending = _unbondings[agentId];
        return (_stakes[agentId].current, _locked[agentId], pending.amount, pending.withdrawableAt);
    }

    /// @inheritdoc IStakeVault
    function lockOf(uint32 agentId, address module) external view returns (uint256) {
        return _locks[agentId][module];
    }

    /// @inheritdoc IStakeVault
    function stakeAt(uint32 agentId) external view returns (uint256) {
        Stake memory entry = _stakes[agentId];
        return entry.epoch == _epoch() ? entry.previous : entry.current;
    }

    /// @inheritdoc IStakeVault
    function creditOf(address account) external view returns (uint256) {
        return _credits[account];
    }

    /// @dev The first change in an epoch moves the stake at the last close into `previous`. An epoch number fits 32 bits
    /// for 136 years of one-second epochs.
    function _setStake(uint32 agentId, uint256 staked) private returns (uint256 epoch) {
        return _setStake(agentId, _stakes[agentId], staked);
    }

    function _setStake(uint32 agentId, Stake memory entry, uint256 staked) private returns (uint256 epoch) {
        epoch = _epoch();
        uint112 previous = entry.epoch == epoch ? entry.previous : entry.current;
        _stakes[agentId] = Stake(uint32(epoch), uint112(staked), previous);
    }

    function _epoch() private view returns (uint256) {
        return (block.timestamp - _genesis) / _epochLength + 1;
    }

    function _addLock(uint32 agentId, uint256 amount) private {
        _locked[agentId] += amount;
        uint256 locked = _locks[agentId][msg.sender] += amount;
        emit Locked(agentId, msg.sender, amount, locked);
    }

    function _takeLock(uint32 agentId, uint256 amount) private returns (uint256 locked) {
        require(amount != 0, StakeVaultZeroAmount());
        locked = _locks[agentId][msg.sender];
        require(amount <= locked, StakeVaultExceedsLock(agentId, msg.sender, locked, amount));

        locked -= amount;
        _locks[agentId][msg.sender] = locked;
        _locked[agentId] -= amount;
    }

    /// @dev As in DealEscrow: a recipient that cannot be paid is credited, and blocks nobody.
    function _pay(address to, uint256 amount) private {
        if (amount == 0 || _token.trySafeTransfer(to, amount)) return;
        _credits[to] += amount;
        emit Credited(to, amount);
    }

    /// @dev How much of `amount` free stake covers, and how much of the rest is unbonding.
    function _reach(
        uint32 agentId,
        uint256 staked,
        uint256 amount
    ) private view returns (uint256 fromStake, uint256 fromUnbonding) {
        fromStake = Math.min(amount, staked - _locked[agentId]);
        if (fromStake < amount) fromUnbonding = Math.min(amount - fromStake, _unbondings[agentId].amount);
    }

    function _requireFree(uint32 agentId, uint256 amount) private view {
        uint256 free = _stakes[agentId].current - _locked[agentId];
        require(amount <= free, StakeVaultInsufficient(agentId, free, amount));
    }

    function _ownerOf(uint32 agentId) private view returns (address) {
        try IERC721(address(registry)).ownerOf(agentId) returns (address owner) {
            return owner;
        } catch {
            revert StakeVaultUnknownAgent(agentId);
        }
    }
}
