// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The one function of RISC Zero's verifiers and routers that an adapter needs
interface IRiscZeroVerifier {
    /// @notice Reverts unless `seal` proves that the guest `imageId` put out a journal of this SHA-256 digest.
    function verify(bytes calldata seal, bytes32 imageId, bytes32 journalDigest) external view;
}
