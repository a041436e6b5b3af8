// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC7913P256Verifier} from "@openzeppelin/contracts/utils/cryptography/verifiers/ERC7913P256Verifier.sol";

/// @notice For tests: OpenZeppelin's verifier of P-256 keys, compiled here so that a test can deploy it.
contract P256Verifier is ERC7913P256Verifier {}
