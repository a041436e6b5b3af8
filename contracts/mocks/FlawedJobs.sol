// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @title A job board with three flaws of job boards. TEST ONLY.
/// @notice The control of the known failures: an attack that fails here is no attack. Its flaws: a budget counts as money
/// although nobody paid it in; funding binds the amount and not the token; an evaluator's silence repays the client.
contract FlawedJobs {
    using SafeERC20 for IERC20;

    struct Job {
        address client;
        address provider;
        address evaluator;
        IERC20 token;
        uint256 budget;
        uint256 expiredAt;
        uint8 status;
    }

    uint256 public jobCount;
    mapping(uint256 jobId => Job) public jobs;

    error FlawedJobsRefused(uint256 jobId);

    function createJob(address provider, address evaluator, uint256 expiredAt) external returns (uint256 jobId) {
        jobId = ++jobCount;
        (jobs[jobId].client, jobs[jobId].provider) = (msg.sender, provider);
        (jobs[jobId].evaluator, jobs[jobId].expiredAt) = (evaluator, expiredAt);
    }

    function setBudget(uint256 jobId, IERC20 token, uint256 amount) external {
        Job storage job = jobs[jobId];
        if (job.status != 0 || (msg.sender != job.client && msg.sender != job.provider))
            revert FlawedJobsRefused(jobId);
        (job.token, job.budget) = (token, amount);
    }

    function fund(uint256 jobId, uint256 expectedBudget) external {
        Job storage job = jobs[jobId];
        if (job.status != 0 || msg.sender != job.client || job.budget != expectedBudget)
            revert FlawedJobsRefused(jobId);
        job.status = 1;
        job.token.safeTransferFrom(msg.sender, address(this), job.budget);
    }

    function submit(uint256 jobId) external {
        Job storage job = jobs[jobId];
        if (job.status != 1 || msg.sender != job.provider) revert FlawedJobsRefused(jobId);
        job.status = 2;
    }

    function claimRefund(uint256 jobId) external {
        Job storage job = jobs[jobId];
        if (job.status > 2 || block.timestamp < job.expiredAt) revert FlawedJobsRefused(jobId);
        job.status = 5;
        job.token.safeTransfer(job.client, job.budget);
    }
}
