// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRiscZeroVerifier} from "../interfaces/IRiscZeroVerifier.sol";

/// @title A stand-in for a RISC Zero verifier: accepts one (seal, image, journal digest), refuses all others
/// @notice For tests of the adapter only. It proves nothing.
contract OneProofVerifier is IRiscZeroVerifier {
    error VerificationFailed();

    bytes32 private immutable _accepted;

    constructor(bytes memory seal, bytes32 imageId, bytes32 journalDigest) {
        _accepted = keccak256(abi.encode(seal, imageId, journalDigest));
    }

    /// @inheritdoc IRiscZeroVerifier
    function verify(bytes calldata seal, bytes32 imageId, bytes32 journalDigest) external view {
        if (keccak256(abi.encode(seal, imageId, journalDigest)) != _accepted) revert VerificationFailed();
    }
}
