// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILogEvidence} from "./ILogEvidence.sol";

/// @title Punishment by evidence that judges itself
/// @notice Two signatures of one key that exclude each other are proof enough: nobody has to be asked, so nobody can appeal, and a
/// false report reverts and costs its gas. Half of what is taken pays the reporter, if it reserved its report
/// (`IStakeVault.report`), the rest is burned; sent directly, all is burned.
/// Each offence costs `penalty` in all. What is out of reach when it is first reported (in other modules' locks, or not there) is
/// taken later, by the same evidence: an offender gains nothing by reporting itself while it is poor.
interface IEvidenceSlasher {
    /// @param offenceId the fork of a log
    event Punished(
        uint256 indexed agentId,
        bytes32 indexed offenceId,
        address indexed reporter,
        uint256 taken,
        uint256 takenInAll
    );

    error EvidenceSlasherPaid(bytes32 offenceId, uint256 penalty);
    error EvidenceSlasherZeroPenalty();

    /// @notice Punishes the agent of a log for two headers of one seq. Judged as `evidence` judges.
    function reportEquivocation(
        ILogEvidence.SignedHeader calldata first,
        ILogEvidence.SignedHeader calldata second
    ) external returns (uint256 taken);

    /// @notice What was taken for an offence so far.
    function takenOf(bytes32 offenceId) external view returns (uint256);

    /// @notice What one offence costs, in the stake token's smallest unit.
    function penalty() external view returns (uint256);

    /// @notice The judge of forked logs.
    function evidence() external view returns (ILogEvidence);
}
