// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Identity registry of ERC-8004, v2.0.0
/// @notice Functions, events and struct are the standard's to the letter; with ERC-721, its metadata extension,
/// ERC-4906 and ERC-5267 they are the surface that today's agents, SDKs and explorers speak. Only the errors are ours:
/// the reference reverts with strings.
interface IERC8004Identity {
    struct MetadataEntry {
        string metadataKey;
        bytes metadataValue;
    }

    event Registered(uint256 indexed agentId, string agentURI, address indexed owner);
    event MetadataSet(
        uint256 indexed agentId,
        string indexed indexedMetadataKey,
        string metadataKey,
        bytes metadataValue
    );
    event URIUpdated(uint256 indexed agentId, string newURI, address indexed updatedBy);

    error IdentityURITooLong(uint256 length, uint256 maxLength);
    error IdentityReservedKey(uint256 agentId, string metadataKey);
    error IdentityZeroWallet(uint256 agentId);
    error IdentityExpired(uint256 deadline, uint256 now_);
    error IdentityDeadlineTooFar(uint256 deadline, uint256 latest);
    error IdentityBadWalletSignature(uint256 agentId, address newWallet);

    /// @notice Mints an agent to the caller. Its wallet is the caller; ids are given in order from 1.
    /// @dev Events: Transfer, Registered, MetadataSet (agentWallet, then each entry); the receiver's hook comes last.
    function register() external returns (uint256 agentId);

    /// @notice As `register()`, with the URI of the registration file.
    function register(string calldata agentURI) external returns (uint256 agentId);

    /// @notice As `register(string)`, with metadata; the key "agentWallet" is reserved.
    function register(string calldata agentURI, MetadataEntry[] calldata metadata) external returns (uint256 agentId);

    /// @notice Replaces the URI of the registration file. The caller is the owner or approved.
    function setAgentURI(uint256 agentId, string calldata newURI) external;

    /// @notice Value of a metadata key; empty if there is none. "agentWallet" answers 20 bytes, or none when cleared.
    function getMetadata(uint256 agentId, string calldata metadataKey) external view returns (bytes memory);

    /// @notice Sets a metadata key other than "agentWallet". The caller is the owner or approved.
    function setMetadata(uint256 agentId, string calldata metadataKey, bytes calldata metadataValue) external;

    /// @notice Where the agent is paid: the registrant until set, unset or transferred; zero = none.
    function getAgentWallet(uint256 agentId) external view returns (address);

    /// @notice Sets the wallet with its consent. The caller is the owner or approved.
    /// @param deadline last second (Unix) of the consent, at most five minutes from now
    /// @param signature the new wallet's over AgentWalletSet: ECDSA (EIP-7702 accounts included), else ERC-1271
    function setAgentWallet(uint256 agentId, address newWallet, uint256 deadline, bytes calldata signature) external;

    /// @notice Clears the wallet, as every transfer does. The caller is the owner or approved.
    function unsetAgentWallet(uint256 agentId) external;

    /// @notice True if the account is the owner or approved. Reverts for an unknown agent.
    function isAuthorizedOrOwner(address spender, uint256 agentId) external view returns (bool);

    /// @notice Version of the reference whose surface this is.
    function getVersion() external pure returns (string memory);
}
