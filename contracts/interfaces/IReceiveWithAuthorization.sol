// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The one function of EIP-3009 that an escrow calls
/// @notice In the overload with a bytes signature (as USDC v2.2), so that ERC-1271 and EIP-7702 accounts pay as well.
interface IReceiveWithAuthorization {
    /// @notice Moves `value` to the caller, which has to be `to`, on the signature of `from`.
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external;
}
