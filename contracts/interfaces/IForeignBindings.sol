// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Bindings for agents of registries that we did not deploy
/// @notice Any ERC-721 whose ids are agents, ERC-8004's canonical registries first. An agent is adopted once and gets a number
/// here; under it, every function of IBindings works as for our own agents, in the name of whom the foreign registry calls
/// its owner.
/// @dev A foreign registry decides over its own agents and nothing else. It is asked with bounded gas, when something is to be
/// changed; what it said is kept. No view asks it, so that it can neither block nor change what was: an agent that changes hands
/// there changes them here when somebody asks next (`IBindings.observeOwner`).
interface IForeignBindings {
    event Adopted(uint256 indexed agentId, address indexed foreignRegistry, uint256 indexed foreignId);
    /// @param tenure how often the agent was seen to change hands; its signers of before end at `since`
    event OwnerObserved(uint256 indexed agentId, address indexed owner, uint24 tenure, uint48 since);

    error ForeignNotAContract(address foreignRegistry);
    error ForeignUnknownAgent(uint256 agentId);
    /// The registry reverted, ran out of its gas, or answered something other than one account.
    error ForeignNoOwner(address foreignRegistry, uint256 foreignId);
    error ForeignNotAuthorized(uint256 agentId, address account);

    /// @notice The number of a foreign agent, given now if it has none. Anybody may ask: adoption binds nothing.
    function adopt(address foreignRegistry, uint256 foreignId) external returns (uint256 agentId);

    /// @notice Number of a foreign agent; 0 = not adopted.
    function idOf(address foreignRegistry, uint256 foreignId) external view returns (uint256 agentId);

    /// @notice Where an adopted agent comes from; zero = no such number.
    function originOf(uint256 agentId) external view returns (address foreignRegistry, uint256 foreignId);

    /// @notice The owner as last observed. Reverts for an unknown number.
    function ownerOf(uint256 agentId) external view returns (address);

    /// @notice True if the account is the owner as last observed. Reverts for an unknown number.
    function isAuthorizedOrOwner(address account, uint256 agentId) external view returns (bool);

    /// @notice Where the agent is paid: its owner as last observed.
    function getAgentWallet(uint256 agentId) external view returns (address);

    /// @notice Twins by signature: see ISignedBindings. It alone may act in an owner's name (ERC-2771).
    function signedBindings() external view returns (address);
}
