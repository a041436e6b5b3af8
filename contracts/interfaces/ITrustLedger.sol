// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IEpochClock} from "./IEpochClock.sol";
import {IOperators} from "./IOperators.sol";

/// @title Local trust by (topic, client, provider), double-buffered by epoch
/// @notice During epoch s + 1 the state at the close of epoch s is readable on chain. Written by the settlement contracts
/// only. Recording saturates and never reverts for what a stranger can cause: settlement must not block.
/// Weight of a pair w = max(satisfied - unsatisfied, 0); row sum W = Σ w over the client's pairs, at most 2^24. What would
/// lift W above that bound is taken off `satisfied`, so that both equations always hold of what is stored.
/// Seats are dense per topic, from 1, in order of first appearance (the client before the provider); seat 0 is dust.
interface ITrustLedger is IEpochClock {
    event RecordersSet(address[] recorders);
    event OperatorsSet(IOperators operators);
    event Seated(uint64 indexed topic, uint32 indexed agentId, uint32 seat, uint256 epoch);
    /// @dev Sums after the record; `weight` = max(satisfied - unsatisfied, 0) after saturation. The provider's in-edges are
    /// listed in the order in which their weight first exceeded 0, and stay listed.
    event Recorded(
        uint64 indexed topic,
        uint32 indexed client,
        uint32 indexed provider,
        uint48 satisfied,
        uint48 unsatisfied,
        uint48 weight,
        uint256 epoch
    );

    error TrustLedgerNotRecorder(address caller);
    error TrustLedgerNotDeployer(address caller);
    error TrustLedgerRecordersSet();
    error TrustLedgerOperatorsSet();
    error TrustLedgerNoOperators(IOperators operators);
    error TrustLedgerZeroEpochLength();
    error TrustLedgerZeroTopic();
    error TrustLedgerNotAuthorized(uint32 agentId, address caller);

    /// @notice Names the contracts that may record: once, by the deployer, then never again.
    function setRecorders(address[] calldata recorders) external;

    function isRecorder(address account) external view returns (bool);

    /// @notice Names the contract that knows who answers for an agent: once, by the deployer, then never again.
    function setOperators(IOperators operators) external;

    /// @notice Zero = none named: every pair counts.
    function operators() external view returns (IOperators);

    /// @notice Adds one settled rating. Ignored for topic 0, zero agents, client = provider, or two agents of one non-zero operator. The
    /// operators are asked with a pair's first rating of an epoch: a credential counts for a known pair from the next epoch on.
    /// Operators that fail, or take more than 50,000 gas, are taken for unknown: they stop no settlement.
    function record(uint64 topic, uint32 client, uint32 provider, uint24 satisfied, uint24 unsatisfied) external;

    /// @notice Takes a seat in a topic without a deal. The caller is authorized for the agent in the identity registry.
    function join(uint64 topic, uint32 agentId) external;

    /// @notice Seat (0 = none), row sum W and in-degree of an agent at the close of the last epoch.
    /// @dev A seat that was taken during the running epoch is not below `seatsAt` yet.
    function nodeAt(uint64 topic, uint32 agentId) external view returns (uint32 seat, uint48 rowSum, uint32 inDegree);

    /// @notice Number of seats, dust seat included, at the close of the last epoch; 0 = the topic did not exist.
    function seatsAt(uint64 topic) external view returns (uint32);

    /// @notice Seat and in-degree of an agent, and its in-edges [from, min(to, inDegree)), at the close of the last epoch.
    /// @dev An edge is seat << 48 | weight, in the order of listing; a weight may be 0.
    function rowAt(
        uint64 topic,
        uint32 agentId,
        uint256 from,
        uint256 to
    ) external view returns (uint32 seat, uint32 inDegree, uint256[] memory edges);

    /// @notice Satisfied and unsatisfied sums as they stand now.
    function pairOf(
        uint64 topic,
        uint32 client,
        uint32 provider
    ) external view returns (uint48 satisfied, uint48 unsatisfied);
}
