// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {MultiSignerERC7913} from "@openzeppelin/contracts/utils/cryptography/signers/MultiSignerERC7913.sol";

/// @notice For tests: an account of several ERC-7913 keys and a threshold, as OpenZeppelin builds them.
contract MultiSigner is IERC1271, MultiSignerERC7913 {
    constructor(bytes[] memory signers, uint64 threshold) MultiSignerERC7913(signers, threshold) {}

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        bool isValid = _rawSignatureValidation(digest, signature);
        return isValid ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }
}
