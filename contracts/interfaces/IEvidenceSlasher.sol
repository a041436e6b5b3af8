// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BatchHeader} from "../libraries/Types.sol";
import {ILogEvidence} from "./ILogEvidence.sol";

/// @notice What an agent was punished for.
enum Offence {
    Equivocation,
    DoubleSigning
}

/// @title Punishment by evidence that judges itself
/// @notice Two signatures of one key that exclude each other are proof enough: nobody has to be asked, so nobody can appeal, and a
/// false report reverts and costs its gas. Half of what is taken pays the reporter, if it reserved its report
/// (`IStakeVault.report`), the rest is burned; sent directly, all is burned.
/// Each offence costs `penalty` in all. What is out of reach when it is first reported (in other modules' locks, or not there) is
/// taken later, by the same evidence: an offender gains nothing by reporting itself while it is poor.
interface IEvidenceSlasher {
    /// @notice One batch header with a validator's signature: 65 bytes (r, s, v) or 64 (EIP-2098), low s.
    struct SignedBatch {
        BatchHeader header;
        bytes signature;
    }

    /// @param offenceId the fork of a log, or keccak256(abi.encode(topic, window, validator))
    event Punished(
        uint256 indexed agentId,
        bytes32 indexed offenceId,
        address indexed reporter,
        Offence offence,
        uint256 taken,
        uint256 takenInAll
    );

    error EvidenceSlasherPaid(bytes32 offenceId, uint256 penalty);
    error EvidenceSlasherZeroPenalty();
    error EvidenceSlasherOtherWindow(uint64 topic, uint48 window, uint64 otherTopic, uint48 otherWindow);
    error EvidenceSlasherSameHeader(bytes32 digest);
    error EvidenceSlasherOtherSigner(address signer, address otherSigner);
    error EvidenceSlasherNotAnswerable(address signer, uint256 agentId, uint256 time);
    error EvidenceSlasherTooLate(address signer, uint256 endedAt, uint256 latest);

    /// @notice Punishes the agent of a log for two headers of one seq. Judged by `evidence`.
    function reportEquivocation(
        ILogEvidence.SignedHeader calldata first,
        ILogEvidence.SignedHeader calldata second
    ) external returns (uint256 taken);

    /// @notice Punishes an agent whose LOG key signed two batch headers of one topic and window.
    function reportDoubleSigning(
        SignedBatch calldata first,
        SignedBatch calldata second
    ) external returns (uint256 taken);

    /// @notice What was taken for an offence so far.
    function takenOf(bytes32 offenceId) external view returns (uint256);

    /// @notice What one offence costs, in the stake token's smallest unit.
    function penalty() external view returns (uint256);

    /// @notice EIP-712 digest of a batch header under ("SuretyBatch", "1", chainId, registry).
    function digestOf(BatchHeader calldata header) external view returns (bytes32);

    /// @notice The judge of forked logs.
    function evidence() external view returns (ILogEvidence);
}
