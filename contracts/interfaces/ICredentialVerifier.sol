// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title One way to show that a person answers for an agent
interface ICredentialVerifier {
    error CredentialMalformed(uint256 length, uint256 leastLength);
    error CredentialZeroNullifier();
    /// @param operator see `Operators.idOf`
    error CredentialRevoked(bytes32 operator);

    /// @notice For what a credential is presented.
    /// @param scope where it counts: two scopes never see the same nullifier of one person
    /// @param owner the agent's owner, who presents it
    struct Subject {
        bytes32 scope;
        uint256 agentId;
        address owner;
    }

    /// @notice Reverts with a named error unless the issuer's credential holds now, for exactly this subject.
    /// @param issuerId how this verifier names an issuer; the caller decides which issuers count
    /// @return nullifier the person's pseudonym, one in each scope and issuer
    /// @return level what the issuer says it checked; larger = more
    /// @return validUntil first second (Unix) at which the credential does not count; the caller compares it with the time
    function verifyCredential(
        bytes32 issuerId,
        Subject calldata subject,
        bytes calldata presentation
    ) external view returns (bytes32 nullifier, uint8 level, uint48 validUntil);

    /// @notice True if the issuer has taken its word back for this operator, for ever.
    function isRevoked(bytes32 operator) external view returns (bool);
}
