// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Who may act for an agent: the one question that other contracts ask the identity registry (ERC-8004 v2.0.0).
interface IAgentAuthority {
    /// @notice True if `spender` owns the agent or is approved for it; reverts for an agent that does not exist.
    function isAuthorizedOrOwner(address spender, uint256 agentId) external view returns (bool);
}
