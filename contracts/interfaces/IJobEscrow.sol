// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICredits} from "./ICredits.sol";
import {IERC8183, JobStatus} from "./IERC8183.sol";

/// @title ERC-8183 under the money rules of DealEscrow
/// @notice What was not funded never pays; the token is the contract's, for ever; silence after delivery pays the provider;
/// nobody who is paid can block anybody else; the id binds parties and terms.
interface IJobEscrow is IERC8183, ICredits {
    error JobEscrowBadToken(address token);
    error JobEscrowUnknown(uint256 jobId);
    error JobEscrowWrongStatus(uint256 jobId, JobStatus current, JobStatus required);
    error JobEscrowUnauthorized(uint256 jobId, address caller);
    error JobEscrowZeroEvaluator();
    error JobEscrowZeroProvider(uint256 jobId);
    error JobEscrowProviderIsEvaluator(address account);
    error JobEscrowProviderTaken(uint256 jobId, address provider);
    error JobEscrowBadExpiry(uint256 given, uint256 min, uint256 max);
    error JobEscrowHookUnsupported(address hook);
    error JobEscrowZeroBudget(uint256 jobId);
    error JobEscrowBudgetTooLarge(uint256 given, uint256 max);
    error JobEscrowBudgetMismatch(uint256 jobId, uint256 budget, uint256 expected);
    error JobEscrowTooLate(uint256 jobId, uint256 deadline, uint256 now_);
    error JobEscrowTooEarly(uint256 jobId, uint256 notBefore, uint256 now_);
    error JobEscrowShortfall(uint256 expected, uint256 received);
    error JobEscrowZeroDeliverable(uint256 jobId);

    /// @notice From `reviewUntil` on, anyone pays the provider of a submitted job: silence is acceptance.
    function release(uint256 jobId) external;

    /// @notice Second (Unix) from which silence pays the provider; 0 before submission.
    function reviewUntilOf(uint256 jobId) external view returns (uint256);

    /// @notice The id that the client's next job with these terms gets.
    function nextJobId(
        address client,
        address provider,
        address evaluator,
        uint256 expiredAt,
        string calldata description
    ) external view returns (uint256 jobId);
}
