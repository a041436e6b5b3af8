// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Orders of owners that anybody may deliver
/// @notice Each order is an EIP-712 struct of Types.sol under the domain of the registry whose agent it is about, with a
/// nonce that its signer uses once, in any order, and a deadline.
interface ISignedOrders {
    /// @notice Who ordered, and the proof.
    /// @param signer ERC-7913 bytes: the owner's address, or an OPERATOR signer of the agent where the order allows one
    /// @param nonce any number that this signer has not used here; 256 consecutive ones share a storage slot
    /// @param deadline last second (Unix) at which the order may be executed
    struct Consent {
        bytes signer;
        uint256 nonce;
        uint48 deadline;
        bytes signature;
    }

    event NonceUsed(bytes32 indexed signerHash, uint256 nonce);

    error SignedOrdersExpired(uint48 deadline, uint256 now_);
    error SignedOrdersNonceUsed(bytes32 signerHash, uint256 nonce);
    /// The signer is neither the owner nor, where the order allows one, an OPERATOR signer valid now.
    error SignedOrdersNotAuthorized(uint256 agentId, bytes32 signerHash);
    error SignedOrdersBadSignature(uint256 agentId, bytes32 signerHash);

    /// @notice Takes back whatever the calling account signed with this nonce.
    function cancelNonce(uint256 nonce) external;

    /// @param signerHash keccak256 of the ERC-7913 bytes; an account's are its 20 address bytes
    function isNonceUsed(bytes32 signerHash, uint256 nonce) external view returns (bool);

    /// @notice The registry whose agents the orders are about, and which executes them in the owner's name.
    function registry() external view returns (address);
}
