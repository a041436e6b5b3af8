// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICredentialVerifier} from "./ICredentialVerifier.sol";
import {IOperators} from "./IOperators.sol";

/// @title Who answers for an agent, in one scope
/// @notice A scope is one deployment of this contract: its issuers are named at deployment and never change. Whoever trusts other
/// issuers deploys another; nobody governs a list for all. An operator answers for one agent at a time.
interface ICredentials is IOperators {
    /// @notice An issuer that counts here.
    /// @param minLevel least level of a credential
    struct Source {
        ICredentialVerifier verifier;
        uint8 minLevel;
        bytes32 issuerId;
    }

    event SourceAccepted(uint256 indexed index, address indexed verifier, bytes32 indexed issuerId, uint8 minLevel);
    /// @param source index of the issuer in this scope
    event CredentialPresented(
        uint256 indexed agentId,
        bytes32 indexed operator,
        address owner,
        uint8 source,
        uint8 level,
        uint48 validUntil
    );
    event CredentialRenounced(uint256 indexed agentId, bytes32 indexed operator);

    error CredentialsBadSources(uint256 count, uint256 most);
    error CredentialsNoVerifier(address verifier);
    error CredentialsSourceTwice(address verifier, bytes32 issuerId);
    error CredentialsSourceNotAccepted(address verifier, bytes32 issuerId);
    error CredentialsNotOwner(uint256 agentId, address owner, address caller);
    error CredentialsAgentTooLarge(uint256 agentId, uint256 largest);
    error CredentialsLevelTooLow(uint8 level, uint8 least);
    error CredentialsExpired(uint48 validUntil, uint256 now_);
    error CredentialsOperatorBusy(bytes32 operator, uint256 agentId, uint48 validUntil);
    error CredentialsNotNewer(bytes32 operator, uint48 last, uint48 given);
    error CredentialsNone(uint256 agentId, address caller);

    /// @notice Presents a credential for the caller's agent. It counts once, and only while the caller owns the agent.
    /// @dev Refused while the same operator's credential for another agent runs, whatever became of that agent; a credential for the
    /// same agent renews it. Another operator's takes its place. The caller is the owner itself, not somebody approved.
    /// @param presentation what the verifier reads
    function present(
        uint256 agentId,
        ICredentialVerifier verifier,
        bytes32 issuerId,
        bytes calldata presentation
    ) external;

    /// @notice Ends the credential of the caller's agent now. The operator stays bound to this agent until it would have ended.
    function renounce(uint256 agentId) external;

    /// @notice The agent's last credential, and whether it counts now: not ended, not renounced, not revoked, same owner.
    function credentialOf(
        uint256 agentId
    ) external view returns (bytes32 operator, uint8 level, uint48 validUntil, uint8 source, bool isValid);

    /// @notice The agent for which an operator last presented, until when, and whose the agent was (zero = renounced).
    function holdingOf(bytes32 operator) external view returns (uint256 agentId, uint48 validUntil, address owner);

    /// @notice keccak256(abi.encode(chain id, this contract, the registry of agents)).
    function scope() external view returns (bytes32);

    function registry() external view returns (address);

    function sourceCount() external view returns (uint256);

    function sourceAt(uint256 index) external view returns (Source memory);
}
