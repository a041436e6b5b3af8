// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ICredentialVerifier} from "../../interfaces/ICredentialVerifier.sol";
import {IIssuerCredentials} from "../../interfaces/IIssuerCredentials.sol";
import {Signatures} from "../../libraries/Signatures.sol";
import {StructHash} from "../../libraries/StructHash.sol";
import {CredentialRevocation, IssuerCredential} from "../../libraries/Types.sol";
import {Operators} from "./Operators.sol";

/// @title Credentials that an issuer signs
/// @notice It knows no list of issuers: `Credentials` names those that count in its scope.
contract IssuerCredentials is IIssuerCredentials, EIP712 {
    /// @dev Bytes before the issuer in a presentation: nullifier, level, validUntil and the issuer's length, one word each.
    uint256 private constant HEAD_LENGTH = 128;
    /// @dev An ERC-7913 signer begins with an address.
    uint256 private constant LEAST_ISSUER_LENGTH = 20;

    /// @inheritdoc ICredentialVerifier
    mapping(bytes32 operator => bool) public isRevoked;

    constructor() EIP712("SuretyCredentials", "1") {}

    /// @inheritdoc ICredentialVerifier
    /// @dev Presentation: nullifier, level, validUntil, length of the issuer (a word each), issuer, signature over IssuerCredential.
    function verifyCredential(
        bytes32 issuerId,
        Subject calldata subject,
        bytes calldata presentation
    ) external view returns (bytes32 nullifier, uint8 level, uint48 validUntil) {
        uint256 end = _endOfIssuer(presentation);
        bytes calldata issuer = presentation[HEAD_LENGTH:end];
        _requireIssuer(issuerId, issuer);
        IssuerCredential memory credential = _read(issuerId, subject, presentation);
        _requireStanding(credential);
        _requireSigned(issuerId, issuer, StructHash.hash(credential), presentation[end:]);
        return (credential.nullifier, credential.level, credential.validUntil);
    }

    /// @inheritdoc IIssuerCredentials
    function revoke(bytes calldata issuer, bytes32 scope, bytes32 nullifier, bytes calldata signature) external {
        bytes32 issuerId = keccak256(issuer);
        _requireIssuer(issuerId, issuer);
        bytes32 operator = Operators.idOf(scope, address(this), issuerId, nullifier);
        if (isRevoked[operator]) revert CredentialRevoked(operator);
        CredentialRevocation memory revocation = CredentialRevocation(scope, issuerId, nullifier);
        _requireSigned(issuerId, issuer, StructHash.hash(revocation), signature);

        isRevoked[operator] = true;

        emit CredentialRevocationRecorded(issuerId, scope, nullifier, operator);
    }

    /// @return end where the issuer ends and the signature begins
    function _endOfIssuer(bytes calldata presentation) private pure returns (uint256 end) {
        uint256 length = presentation.length;
        if (length < HEAD_LENGTH) revert CredentialMalformed(length, HEAD_LENGTH);
        uint256 issuerLength = uint256(bytes32(presentation[96:128]));
        if (issuerLength > length - HEAD_LENGTH) revert CredentialMalformed(length, HEAD_LENGTH);
        return HEAD_LENGTH + issuerLength;
    }

    function _read(
        bytes32 issuerId,
        Subject calldata subject,
        bytes calldata presentation
    ) private pure returns (IssuerCredential memory) {
        uint256 level = uint256(bytes32(presentation[32:64]));
        uint256 validUntil = uint256(bytes32(presentation[64:96]));
        if (level > type(uint8).max || validUntil > type(uint48).max) {
            revert CredentialMalformed(presentation.length, HEAD_LENGTH);
        }
        return
            IssuerCredential({
                scope: subject.scope,
                issuerId: issuerId,
                nullifier: bytes32(presentation[0:32]),
                agentId: subject.agentId,
                owner: subject.owner,
                level: uint8(level),
                validUntil: uint48(validUntil)
            });
    }

    function _requireStanding(IssuerCredential memory credential) private view {
        bytes32 nullifier = credential.nullifier;
        if (nullifier == bytes32(0)) revert CredentialZeroNullifier();
        bytes32 operator = Operators.idOf(credential.scope, address(this), credential.issuerId, nullifier);
        // INVARIANT: a revocation is final, and no later credential of that person counts.
        if (isRevoked[operator]) revert CredentialRevoked(operator);
    }

    function _requireIssuer(bytes32 issuerId, bytes calldata issuer) private pure {
        if (issuer.length < LEAST_ISSUER_LENGTH) revert IssuerCredentialsMalformedIssuer(issuer.length);
        bytes32 given = keccak256(issuer);
        if (given != issuerId) revert IssuerCredentialsOtherIssuer(issuerId, given);
    }

    function _requireSigned(
        bytes32 issuerId,
        bytes calldata issuer,
        bytes32 structHash,
        bytes calldata signature
    ) private view {
        // INVARIANT: no credential and no revocation without the issuer's signature.
        if (!Signatures.isValid(issuer, _hashTypedDataV4(structHash), signature)) {
            revert IssuerCredentialsBadSignature(issuerId);
        }
    }
}
