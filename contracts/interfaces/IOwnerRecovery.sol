// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISignedOrders} from "./ISignedOrders.sol";

/// @title A lost agent gets a new owner
/// @notice The RECOVERY signers of an agent are its guardians: so many as its owner asked for start a change of owner, the
/// owner can cancel it in the delay, and after it anybody can execute it. What an owner set ends with its tenure, as
/// its signers do.
interface IOwnerRecovery is ISignedOrders {
    /// @param signer ERC-7913 bytes of a RECOVERY signer valid now; a multi-signer account counts once
    /// @param signature over OwnerChange
    struct Vote {
        bytes signer;
        bytes signature;
    }

    event RecoverySet(uint256 indexed agentId, uint24 tenure, uint8 threshold, uint32 delay);
    event RecoveryStarted(
        uint256 indexed agentId,
        address indexed newOwner,
        uint64 attempt,
        uint24 tenure,
        uint48 executableAt
    );
    event RecoveryCancelled(uint256 indexed agentId, address indexed newOwner);
    event RecoveryExecuted(uint256 indexed agentId, address indexed oldOwner, address indexed newOwner);

    error RecoveryNotAuthorized(uint256 agentId, address account);
    error RecoveryBadThreshold(uint8 threshold, uint8 max);
    error RecoveryBadDelay(uint32 delay, uint32 min, uint32 max);
    /// The present owner asked for no recovery.
    error RecoveryNotSet(uint256 agentId);
    error RecoveryBadNewOwner(uint256 agentId, address newOwner);
    error RecoveryExpired(uint48 deadline, uint256 now_);
    error RecoveryTooFewVotes(uint256 agentId, uint256 given, uint256 needed);
    /// Votes come in ascending order of their signers' hashes, so that nobody votes twice.
    error RecoveryVotesUnordered(bytes32 previous, bytes32 next);
    error RecoveryNotGuardian(uint256 agentId, bytes32 signerHash);
    error RecoveryBadVote(uint256 agentId, bytes32 signerHash);
    error RecoveryNotStarted(uint256 agentId);
    error RecoveryTooEarly(uint256 agentId, uint48 executableAt, uint256 now_);

    /// @notice Asks for so many guardians and seconds. The caller is the owner or approved.
    /// @param threshold 1 to 32; 0 = no recovery, the delay is then 0 too
    /// @param delay a day to 90 days
    function setRecovery(uint256 agentId, uint8 threshold, uint32 delay) external;

    /// @notice Twin of `setRecovery`: RecoverySetting, signed by the owner.
    function setRecoveryWithSignature(
        uint256 agentId,
        uint8 threshold,
        uint32 delay,
        Consent calldata consent
    ) external;

    /// @notice Starts a change of owner, from anybody, with exactly as many votes as asked for. A later start replaces an
    /// earlier one, and begins the delay anew.
    /// @param deadline last second (Unix) of the votes
    function startRecovery(uint256 agentId, address newOwner, uint48 deadline, Vote[] calldata votes) external;

    /// @notice Ends what the guardians started. The caller is the owner or approved, at any time before the execution.
    function cancelRecovery(uint256 agentId) external;

    /// @notice Twin of `cancelRecovery`: RecoveryCancel, signed by the owner.
    function cancelRecoveryWithSignature(uint256 agentId, Consent calldata consent) external;

    /// @notice Hands the agent over, once the delay has passed. Its signers end as with every transfer.
    function executeRecovery(uint256 agentId) external;

    /// @return threshold 0 = no recovery
    /// @return delay in seconds
    /// @return attempt recoveries started so far: the one that guardians sign next
    function recoveryOf(uint256 agentId) external view returns (uint8 threshold, uint32 delay, uint64 attempt);

    /// @return newOwner zero = none is under way
    /// @return executableAt first second (Unix) of execution
    function pendingOf(uint256 agentId) external view returns (address newOwner, uint48 executableAt);
}
