// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IERC8183, JobStatus} from "../interfaces/IERC8183.sol";
import {ICredits} from "../interfaces/ICredits.sol";
import {IJobEscrow} from "../interfaces/IJobEscrow.sol";
import {CodeStorage, IContentSource} from "../libraries/CodeStorage.sol";

/// @notice See IJobEscrow. Invariants are numbered in PROPERTIES.md; why this contract holds its money stands in the folder's
/// README.
/// @dev Every function goes checks, effects, events, calls. Only `fund` measures a balance, and carries a re-entry guard.
contract JobEscrow is IJobEscrow, IContentSource, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @dev Three slots; a step of the job's life touches the first alone.
    struct Terms {
        address client;
        uint40 expiredAt;
        uint40 reviewUntil;
        JobStatus status;
        address provider;
        uint96 budget;
        address evaluator;
    }

    /// @dev ERC-8183: at least that far ahead.
    uint256 private constant MIN_DELIVERY = 5 minutes;
    /// @dev Bounds how long money can stay without anybody's consent, as in DealEscrow.
    uint256 private constant MAX_DELIVERY = 366 days;
    /// @dev What an evaluator has after the latest delivery: work handed in at the last block leaves it a day all the same.
    uint256 private constant REVIEW_PERIOD = 1 days;

    IERC20 private immutable _token;

    mapping(uint256 jobId => Terms) private _jobs;
    mapping(address client => uint256) private _jobCounts;
    mapping(address account => uint256) private _credits;

    constructor(IERC20 token) {
        if (address(token).code.length == 0) revert JobEscrowBadToken(address(token));
        _token = token;
    }

    /// @inheritdoc IERC8183
    function createJob(
        address provider,
        address evaluator,
        uint256 expiredAt,
        string calldata description,
        address hook
    ) external returns (uint256 jobId) {
        if (evaluator == address(0)) revert JobEscrowZeroEvaluator();
        if (provider == evaluator) revert JobEscrowProviderIsEvaluator(provider);
        uint256 min = block.timestamp + MIN_DELIVERY + 1;
        uint256 max = block.timestamp + MAX_DELIVERY;
        if (expiredAt < min || expiredAt > max) revert JobEscrowBadExpiry(expiredAt, min, max);
        // A hook could block; ERC-8183 lets a kernel have none, and a client that counts on one has to know.
        if (hook != address(0)) revert JobEscrowHookUnsupported(hook);

        uint256 nonce = _jobCounts[msg.sender]++;
        jobId = _idOf(msg.sender, nonce, provider, evaluator, expiredAt, description);
        Terms storage job = _jobs[jobId];
        job.client = msg.sender;
        job.expiredAt = uint40(expiredAt);
        job.evaluator = evaluator;
        if (provider != address(0)) job.provider = provider;
        emit JobCreated(jobId, msg.sender, provider, evaluator, expiredAt, hook);
        CodeStorage.write(bytes32(jobId), bytes(description));
    }

    /// @inheritdoc IERC8183
    function setProvider(uint256 jobId, address provider) external {
        Terms storage job = _requireStatus(jobId, JobStatus.Open);
        if (msg.sender != job.client) revert JobEscrowUnauthorized(jobId, msg.sender);
        if (job.provider != address(0)) revert JobEscrowProviderTaken(jobId, job.provider);
        if (provider == address(0)) revert JobEscrowZeroProvider(jobId);
        if (provider == job.evaluator) revert JobEscrowProviderIsEvaluator(provider);

        job.provider = provider;
        emit ProviderSet(jobId, provider);
    }

    /// @inheritdoc IERC8183
    function setBudget(uint256 jobId, uint256 amount, bytes calldata) external {
        Terms storage job = _requireStatus(jobId, JobStatus.Open);
        if (msg.sender != job.provider && msg.sender != job.client) revert JobEscrowUnauthorized(jobId, msg.sender);
        if (amount > type(uint96).max) revert JobEscrowBudgetTooLarge(amount, type(uint96).max);

        job.budget = uint96(amount);
        emit BudgetSet(jobId, amount);
    }

    /// @inheritdoc IERC8183
    function fund(uint256 jobId, uint256 expectedBudget, bytes calldata) external nonReentrant {
        Terms storage job = _requireStatus(jobId, JobStatus.Open);
        if (msg.sender != job.client) revert JobEscrowUnauthorized(jobId, msg.sender);
        if (job.provider == address(0)) revert JobEscrowZeroProvider(jobId);
        uint256 budget = job.budget;
        // INVARIANT 6: what the client read is what it pays; the token is this contract's only one.
        if (budget != expectedBudget) revert JobEscrowBudgetMismatch(jobId, budget, expectedBudget);
        if (budget == 0) revert JobEscrowZeroBudget(jobId);
        if (block.timestamp >= job.expiredAt) revert JobEscrowTooLate(jobId, job.expiredAt, block.timestamp);

        job.status = JobStatus.Funded;
        emit JobFunded(jobId, msg.sender, budget);
        uint256 balanceBefore = _token.balanceOf(address(this));
        _token.safeTransferFrom(msg.sender, address(this), budget);
        uint256 balance = _token.balanceOf(address(this));
        uint256 received = balance > balanceBefore ? balance - balanceBefore : 0;
        // INVARIANT 8: what the job promises has arrived, to the unit.
        if (received != budget) revert JobEscrowShortfall(budget, received);
    }

    /// @inheritdoc IERC8183
    function submit(uint256 jobId, bytes32 deliverable, bytes calldata) external {
        // INVARIANT 2: only a funded job can be delivered, so that no delivery is for nothing.
        Terms storage job = _requireStatus(jobId, JobStatus.Funded);
        address provider = job.provider;
        if (msg.sender != provider) revert JobEscrowUnauthorized(jobId, msg.sender);
        if (deliverable == 0) revert JobEscrowZeroDeliverable(jobId);
        uint256 expiredAt = job.expiredAt;
        if (block.timestamp >= expiredAt) revert JobEscrowTooLate(jobId, expiredAt, block.timestamp);

        uint256 reviewed = block.timestamp + REVIEW_PERIOD;
        job.status = JobStatus.Submitted;
        job.reviewUntil = uint40(reviewed > expiredAt ? reviewed : expiredAt);
        emit JobSubmitted(jobId, provider, deliverable);
    }

    /// @inheritdoc IERC8183
    function complete(uint256 jobId, bytes32 reason, bytes calldata) external {
        Terms storage job = _requireStatus(jobId, JobStatus.Submitted);
        if (msg.sender != job.evaluator) revert JobEscrowUnauthorized(jobId, msg.sender);
        _complete(jobId, job, reason);
    }

    /// @inheritdoc IJobEscrow
    function release(uint256 jobId) external {
        Terms storage job = _requireStatus(jobId, JobStatus.Submitted);
        // INVARIANT 4: once delivered, the provider needs nobody to be paid.
        if (block.timestamp < job.reviewUntil) revert JobEscrowTooEarly(jobId, job.reviewUntil, block.timestamp);
        _complete(jobId, job, 0);
    }

    /// @inheritdoc IERC8183
    function reject(uint256 jobId, bytes32 reason, bytes calldata) external {
        Terms storage job = _requireKnown(jobId);
        JobStatus status = job.status;
        if (status > JobStatus.Submitted) revert JobEscrowWrongStatus(jobId, status, JobStatus.Submitted);
        address judge = status == JobStatus.Open ? job.client : job.evaluator;
        if (msg.sender != judge) revert JobEscrowUnauthorized(jobId, msg.sender);

        job.status = JobStatus.Rejected;
        emit JobRejected(jobId, msg.sender, reason);
        _refund(jobId, job, status);
    }

    /// @inheritdoc IERC8183
    function claimRefund(uint256 jobId) external {
        Terms storage job = _requireKnown(jobId);
        JobStatus status = job.status;
        // Delivered work is judged or, in silence, paid: waiting wins an evaluator nothing.
        if (status > JobStatus.Funded) revert JobEscrowWrongStatus(jobId, status, JobStatus.Funded);
        // INVARIANT 4: without delivery, the client needs nobody to be repaid.
        if (block.timestamp < job.expiredAt) revert JobEscrowTooEarly(jobId, job.expiredAt, block.timestamp);

        job.status = JobStatus.Expired;
        emit JobExpired(jobId);
        _refund(jobId, job, status);
    }

    /// @inheritdoc ICredits
    function withdrawCredit(address token, address to) external returns (uint256 amount) {
        amount = creditOf(token, msg.sender);
        if (amount == 0) revert CreditsNone(token, msg.sender);

        _credits[msg.sender] = 0;
        emit CreditWithdrawn(token, msg.sender, amount);
        _token.safeTransfer(to, amount);
    }

    /// @inheritdoc ICredits
    function creditOf(address token, address account) public view returns (uint256) {
        return token == address(_token) ? _credits[account] : 0;
    }

    /// @inheritdoc IERC8183
    function getJob(uint256 jobId) external view returns (Job memory) {
        Terms memory job = _jobs[jobId];
        return
            Job({
                id: job.client == address(0) ? 0 : jobId,
                client: job.client,
                provider: job.provider,
                evaluator: job.evaluator,
                description: string(CodeStorage.read(bytes32(jobId))),
                budget: job.budget,
                expiredAt: job.expiredAt,
                status: job.status,
                hook: address(0)
            });
    }

    /// @inheritdoc IJobEscrow
    function reviewUntilOf(uint256 jobId) external view returns (uint256) {
        return _jobs[jobId].reviewUntil;
    }

    /// @inheritdoc IJobEscrow
    function nextJobId(
        address client,
        address provider,
        address evaluator,
        uint256 expiredAt,
        string calldata description
    ) external view returns (uint256 jobId) {
        return _idOf(client, _jobCounts[client], provider, evaluator, expiredAt, description);
    }

    /// @inheritdoc IERC8183
    function paymentToken() external view returns (address) {
        return address(_token);
    }

    /// @inheritdoc IContentSource
    function contentInTransit() external view returns (bytes memory) {
        return CodeStorage.inTransit();
    }

    function _complete(uint256 jobId, Terms storage job, bytes32 reason) private {
        address provider = job.provider;
        uint256 budget = job.budget;

        job.status = JobStatus.Completed;
        emit JobCompleted(jobId, msg.sender, reason);
        emit PaymentReleased(jobId, provider, budget);
        _pay(provider, budget);
    }

    /// @param from the status that ended. INVARIANT 2: an open job holds no money, whatever its budget says.
    function _refund(uint256 jobId, Terms storage job, JobStatus from) private {
        if (from == JobStatus.Open) return;
        address client = job.client;
        uint256 budget = job.budget;
        emit Refunded(jobId, client, budget);
        _pay(client, budget);
    }

    /// @dev INVARIANT 7: who cannot be paid is credited, and blocks nobody. All gas is forwarded, as in DealEscrow.
    function _pay(address to, uint256 amount) private {
        if (_token.trySafeTransfer(to, amount)) return;
        _credits[to] += amount;
        emit Credited(address(_token), to, amount);
    }

    function _requireKnown(uint256 jobId) private view returns (Terms storage job) {
        job = _jobs[jobId];
        if (job.client == address(0)) revert JobEscrowUnknown(jobId);
    }

    /// @dev INVARIANT 1, 3: every movement of money names the status it starts from.
    function _requireStatus(uint256 jobId, JobStatus required) private view returns (Terms storage job) {
        job = _requireKnown(jobId);
        if (job.status != required) revert JobEscrowWrongStatus(jobId, job.status, required);
    }

    /// @dev INVARIANT 5: chain, escrow, client, its count of jobs and every term: no reorg gives an id other terms, nobody can
    /// take another's id.
    function _idOf(
        address client,
        uint256 nonce,
        address provider,
        address evaluator,
        uint256 expiredAt,
        string calldata description
    ) private view returns (uint256 jobId) {
        bytes32 content = keccak256(bytes(description));
        return
            uint256(
                keccak256(
                    abi.encode(block.chainid, address(this), client, nonce, provider, evaluator, expiredAt, content)
                )
            );
    }
}
