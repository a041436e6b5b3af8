// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICredentialVerifier} from "./ICredentialVerifier.sol";

/// @title Credentials that show membership in an issuer's group, and not whose (Semaphore 4)
/// @notice An issuer is an account; its group is the one whose roots it publishes, and issuerId is its address as a word.
interface ISemaphoreCredentials is ICredentialVerifier {
    event RootPublished(address indexed issuer, uint256 indexed root, uint256 indexed previous);
    event OperatorBanned(address indexed issuer, bytes32 indexed scope, bytes32 indexed nullifier, bytes32 operator);

    error SemaphoreZeroRoot(address issuer);
    error SemaphoreRootUnchanged(address issuer, uint256 root);
    error SemaphoreUnknownRoot(bytes32 issuerId, uint256 root);
    error SemaphoreStaleRoot(bytes32 issuerId, uint256 root, uint48 supersededAt, uint256 now_);
    error SemaphoreTooLong(uint48 validUntil, uint256 latest);
    error SemaphoreBadProof(bytes32 issuerId, bytes32 nullifier);

    /// @notice Computes once what a scope adds to every proof in it, for anybody and as often as one likes: 2,000 gas less a proof.
    function prepareScope(bytes32 scope) external;

    /// @notice Names the root of the caller's group of verified people; the one before counts for `rootWindow` seconds more.
    function publishRoot(uint256 root) external;

    /// @notice Takes the caller's word back for one nullifier in one scope, for ever, without learning whose it is.
    function ban(bytes32 scope, bytes32 nullifier) external;

    /// @notice The current root of an issuer's group; 0 = none.
    function rootOf(address issuer) external view returns (uint256);

    /// @notice Second (Unix) at which another root took the place of this one; 0 = never.
    function supersededAt(address issuer, uint256 root) external view returns (uint48);

    /// @notice Seconds for which a superseded root still counts, so that a new member does not spoil the proofs under way.
    function rootWindow() external view returns (uint48);

    /// @notice Most seconds for which one proof of membership counts: who has left a group counts no longer than this and a window.
    function lifetime() external view returns (uint48);
}
