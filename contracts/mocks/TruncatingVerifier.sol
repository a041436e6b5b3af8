// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice For tests: answers every call with its own selector, but in 4 bytes instead of 32. It would pass as a
/// verifier (ERC-7913) and as a wallet (ERC-1271) where somebody compares without looking at the length.
contract TruncatingVerifier {
    fallback(bytes calldata input) external returns (bytes memory) {
        return input[:4];
    }
}
