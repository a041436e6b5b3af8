// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC7913P256Verifier} from "@openzeppelin/contracts/utils/cryptography/verifiers/ERC7913P256Verifier.sol";
import {ERC7913WebAuthnVerifier} from "@openzeppelin/contracts/utils/cryptography/verifiers/ERC7913WebAuthnVerifier.sol";

// OpenZeppelin's verifiers, stateless and nobody's, compiled here so that a deployment has them. A signer names its verifier:
// this address, then the key's 64 bytes (x, y).

/// @notice Bare P-256 signatures: 64 bytes (r, s), low s.
contract P256Verifier is ERC7913P256Verifier {}

/// @notice Passkeys: assertions of WebAuthn with user presence and user verification.
contract WebAuthnVerifier is ERC7913WebAuthnVerifier {}
