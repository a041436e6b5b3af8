// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// @notice One rule for every signature that the registry accepts.
library Signatures {
    /// @notice ECDSA first, then ERC-1271, as ERC-8004 asks: an EIP-7702 account has code and still signs with its key.
    function isValid(address signer, bytes32 digest, bytes calldata signature) internal view returns (bool) {
        (address recovered, ECDSA.RecoverError err, ) = ECDSA.tryRecoverCalldata(digest, signature);
        if (err == ECDSA.RecoverError.NoError && recovered == signer) return true;
        return SignatureChecker.isValidERC1271SignatureNowCalldata(signer, digest, signature);
    }

    /// @notice The same for ERC-7913 bytes: an account of 20 bytes, or a verifier of 20 bytes and its key.
    function isValid(bytes calldata signer, bytes32 digest, bytes calldata signature) internal view returns (bool) {
        if (signer.length == 20) return isValid(address(bytes20(signer)), digest, signature);
        return SignatureChecker.isValidSignatureNow(signer, digest, signature);
    }

    /// @notice Key of a log's signature, 65 bytes (r, s, v) or 64 (EIP-2098), low s; zero = none. Only a plain key's signature
    /// can be judged later: what a contract says of one may change.
    function recoverKey(bytes32 digest, bytes calldata signature) internal pure returns (address key) {
        if (signature.length == 64) {
            (key, , ) = ECDSA.tryRecover(digest, bytes32(signature[:32]), bytes32(signature[32:]));
        } else {
            (key, , ) = ECDSA.tryRecoverCalldata(digest, signature);
        }
    }
}
