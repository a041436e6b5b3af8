// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ERC721Holder} from "@openzeppelin/contracts/token/ERC721/utils/ERC721Holder.sol";
import {SignerP256} from "@openzeppelin/contracts/utils/cryptography/signers/SignerP256.sol";
import {SignerWebAuthn} from "@openzeppelin/contracts/utils/cryptography/signers/SignerWebAuthn.sol";

/// @notice For tests: an account whose only key is a passkey, as OpenZeppelin builds it. It sends nothing itself.
contract PasskeyAccount is IERC1271, ERC721Holder, SignerWebAuthn {
    constructor(bytes32 qx, bytes32 qy) SignerP256(qx, qy) {}

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        bool isValid = _rawSignatureValidation(digest, signature);
        return isValid ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }
}
