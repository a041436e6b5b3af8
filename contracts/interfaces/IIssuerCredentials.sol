// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICredentialVerifier} from "./ICredentialVerifier.sol";

/// @title Credentials that an issuer signs
/// @notice The issuer is ERC-7913 bytes: a key, an ERC-1271 account, or a verifier and its key. issuerId = keccak256 of them.
interface IIssuerCredentials is ICredentialVerifier {
    event CredentialRevocationRecorded(
        bytes32 indexed issuerId,
        bytes32 indexed scope,
        bytes32 indexed nullifier,
        bytes32 operator
    );

    error IssuerCredentialsOtherIssuer(bytes32 expected, bytes32 given);
    error IssuerCredentialsMalformedIssuer(uint256 length);
    error IssuerCredentialsBadSignature(bytes32 issuerId);

    /// @notice Takes the issuer's word back for one person in one scope, for ever. Anyone may relay it.
    /// @param signature the issuer's over CredentialRevocation
    function revoke(bytes calldata issuer, bytes32 scope, bytes32 nullifier, bytes calldata signature) external;
}
