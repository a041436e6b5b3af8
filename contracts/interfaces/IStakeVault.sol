// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IEpochClock} from "./IEpochClock.sol";
import {IERC8004Identity} from "./IERC8004Identity.sol";

/// @title One accountability stake for each agent
/// @notice A pool that several uses lock parts of; locks never exceed the stake, a slash never exceeds its lock. What no
/// module has locked is within reach of evidence, also while it unbonds: a module seizes it where the evidence judges
/// itself, and freezes it first where somebody has to judge.
/// Double-buffered by epoch like the ledger: the stake at the close of the last epoch is the prior of reputation.
/// Reporters are paid for a call that they reserved in an earlier block by its hash, and through `report` only: nobody
/// gains by copying what waits to be mined.
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
    /// @notice What unbonded is stake again, because a module froze it. Its `Locked` follows.
    event Rebonded(uint32 indexed agentId, uint256 amount, uint256 stake, uint256 epoch);
    /// @param amount taken in all, `fromUnbonding` of it from what unbonded
    event Seized(
        uint32 indexed agentId,
        address indexed module,
        address indexed reporter,
        uint256 amount,
        uint256 fromUnbonding,
        uint256 reward,
        uint256 stake,
        uint256 epoch
    );
    event Reserved(bytes32 indexed commitment, address indexed by);
    event Reported(bytes32 indexed commitment, address indexed reporter, address indexed module);
    event Credited(address indexed account, uint256 amount);
    event CreditWithdrawn(address indexed account, address indexed to, uint256 amount);

    error StakeVaultNotModule(address caller);
    error StakeVaultShortDelay(uint48 given, uint256 min);
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
    error StakeVaultNothingToTake(uint32 agentId);
    error StakeVaultNotReserved(bytes32 commitment, uint256 reservedAt, uint256 blockNumber);
    error StakeVaultNestedReport(address reporter);

    /// @notice Names the contracts that may lock and slash: once, by the deployer, then never again.
    function setModules(address[] calldata modules) external;

    function isModule(address account) external view returns (bool);

    /// @notice The staked ERC-20.
    function token() external view returns (address);

    function clock() external view returns (IEpochClock);

    /// @notice Seconds between the start of unbonding and withdrawal: at least two epochs, the longest challenge period. Longer
    /// ones belong to modules that hold a lock meanwhile.
    function unbondingDelay() external view returns (uint48);

    /// @notice The registry that knows the agents and who may act for them.
    function registry() external view returns (IERC8004Identity);

    /// @notice Adds to an agent's stake; the caller pays by allowance. Anyone may; the agent exists.
    function stake(uint32 agentId, uint256 amount) external;

    /// @notice Takes free stake out of use at once; withdrawable after the delay. A second call adds and restarts the delay.
    /// The caller is the agent's owner or approved.
    /// Until it is withdrawn it can be frozen and seized.
    function startUnbonding(uint32 agentId, uint256 amount) external;

    /// @notice Pays unbonded stake to the agent's owner. Anyone may call it.
    function withdraw(uint32 agentId) external returns (uint256 amount);

    /// @notice Locks free stake for the calling module.
    function lock(uint32 agentId, uint256 amount) external;

    function unlock(uint32 agentId, uint256 amount) external;

    /// @notice Takes `amount` out of the calling module's lock: `reward` goes to the reporter, the rest to 0x…dEaD. A transfer
    /// that fails is credited: no recipient blocks a slash.
    function slash(uint32 agentId, uint256 amount, uint256 reward, address reporter_) external;

    /// @notice Locks for the calling module up to `amount` of what no module has locked: free stake first, then what
    /// unbonds, which is stake again and starts its delay anew once it is unlocked. Reverts if there is nothing.
    function freeze(uint32 agentId, uint256 amount) external returns (uint256 frozen);

    /// @notice Takes up to `amount` of what no module has locked: free stake first, then what unbonds. Half of it goes to the
    /// reporter, the rest to 0x…dEaD; all of it if the reporter is zero. Reverts if there is nothing.
    function seize(uint32 agentId, uint256 amount, address reporter_) external returns (uint256 seized);

    /// @notice Reserves a report, without showing it.
    /// @param commitment keccak256(abi.encode(reporter, module, keccak256(call), salt))
    function reserve(bytes32 commitment) external;

    /// @notice Calls a module with a report that the caller reserved in an earlier block. The caller's address follows the call
    /// (ERC-2771): the module takes it for the reporter, and pays it. Reverts with the module's reason; the reservation then stands.
    function report(address module, bytes calldata call, bytes32 salt) external;

    /// @notice Who reports, during a `report`; else zero.
    function reporter() external view returns (address);

    /// @notice Block of a reservation that was not used yet; 0 = none.
    function reservedAt(bytes32 commitment) external view returns (uint256 blockNumber);

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
