// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IEpochClock} from "./IEpochClock.sol";
import {IERC8004Identity} from "./IERC8004Identity.sol";

/// @title One accountability stake for each agent
/// @notice A pool that several uses lock parts of; locks never exceed the stake, a slash never exceeds its lock.
/// Double-buffered by epoch like the ledger: the stake at the close of the last epoch is the prior of reputation.
interface IStakeVault {
    event ModulesSet(address[] modules);
    event Staked(uint32 indexed agentId, address indexed from, uint256 amount, uint256 stake, uint256 epoch);
    event UnbondingStarted(uint32 indexed agentId, uint256 amount, uint48 withdrawableAt, uint256 stake, uint256 epoch);
    event Withdrawn(uint32 indexed agentId, address indexed to, uint256 amount);
    event Locked(uint32 indexed agentId, address indexed module, uint256 amount, uint256 locked);
    event Unlocked(uint32 indexed agentId, address indexed module, uint256 amount, uint256 locked);
    event Slashed(
        uint32 indexed agentId,
        address indexed module,
        address indexed reporter,
        uint256 amount,
        uint256 reward,
        uint256 stake,
        uint256 epoch
    );
    event Credited(address indexed account, uint256 amount);
    event CreditWithdrawn(address indexed account, address indexed to, uint256 amount);

    error StakeVaultNotModule(address caller);
    error StakeVaultNotDeployer(address caller);
    error StakeVaultModulesSet();
    error StakeVaultZeroAmount();
    error StakeVaultNotAuthorized(uint32 agentId, address caller);
    error StakeVaultUnknownAgent(uint256 agentId);
    error StakeVaultInsufficient(uint32 agentId, uint256 free, uint256 required);
    error StakeVaultExceedsLock(uint32 agentId, address module, uint256 locked, uint256 required);
    error StakeVaultTooEarly(uint32 agentId, uint48 withdrawableAt, uint256 now_);
    error StakeVaultNothingUnbonding(uint32 agentId);
    error StakeVaultTooMuch(uint32 agentId, uint256 amount, uint256 room);
    error StakeVaultNoCredit(address account);
    error StakeVaultShortfall(uint256 expected, uint256 received);
    error StakeVaultRewardTooHigh(uint256 reward, uint256 amount);

    /// @notice Names the contracts that may lock and slash: once, by the deployer, then never again.
    function setModules(address[] calldata modules) external;

    function isModule(address account) external view returns (bool);

    /// @notice The staked ERC-20.
    function token() external view returns (address);

    function clock() external view returns (IEpochClock);

    /// @notice Seconds between the start of unbonding and withdrawal; longer than every challenge period.
    function unbondingDelay() external view returns (uint48);

    /// @notice The registry that knows the agents and who may act for them.
    function registry() external view returns (IERC8004Identity);

    /// @notice Adds to an agent's stake; the caller pays by allowance. Anyone may; the agent exists.
    function stake(uint32 agentId, uint256 amount) external;

    /// @notice Takes free stake out of use at once; withdrawable after the delay. A second call adds and restarts the delay.
    /// The caller is the agent's owner or approved.
    function startUnbonding(uint32 agentId, uint256 amount) external;

    /// @notice Pays unbonded stake to the agent's owner. Anyone may call it.
    function withdraw(uint32 agentId) external returns (uint256 amount);

    /// @notice Locks free stake for the calling module.
    function lock(uint32 agentId, uint256 amount) external;

    function unlock(uint32 agentId, uint256 amount) external;

    /// @notice Takes `amount` out of the calling module's lock: `reward` goes to the reporter, the rest to 0x…dEaD. A transfer
    /// that fails is credited: no recipient blocks a slash.
    function slash(uint32 agentId, uint256 amount, uint256 reward, address reporter) external;

    /// @notice Stake, all locks together, and the amount unbonding, as they stand now.
    function stakeOf(
        uint32 agentId
    ) external view returns (uint256 staked, uint256 locked, uint256 unbonding, uint48 withdrawableAt);

    /// @notice Pays out what a failed transfer left to the caller.
    function withdrawCredit(address to) external returns (uint256 amount);

    function creditOf(address account) external view returns (uint256);

    function lockOf(uint32 agentId, address module) external view returns (uint256);

    /// @notice Stake at the close of the last epoch. What unbonds or is slashed during the running epoch still counts here.
    function stakeAt(uint32 agentId) external view returns (uint256);
}
