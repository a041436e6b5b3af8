// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Who answers for an agent
/// @notice Two agents of one non-zero operator are one party: a ledger of trust counts no deal between them.
interface IOperators {
    /// @notice The operator's nullifier as of now; zero = no credential counts now.
    function operatorOf(uint256 agentId) external view returns (bytes32 nullifier);
}
