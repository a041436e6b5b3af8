// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Which person stands behind an agent
/// @notice Two agents of one non-zero operator are one party: a ledger of trust counts no deal between them.
interface IOperators {
    /// @notice The operator of the last credential that was presented for the agent; zero = none ever was.
    /// @dev Outlives the credential's end, its move to another agent and a transfer of the agent, until another operator presents one:
    /// else whoever runs two agents would cut the tie by one transfer. It tells dependence; who answers now is `ICredentials.credentialOf`.
    function operatorOf(uint256 agentId) external view returns (bytes32 nullifier);
}
