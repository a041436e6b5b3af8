// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Where a job stands, in ERC-8183's order.
enum JobStatus {
    Open,
    Funded,
    Submitted,
    Completed,
    Rejected,
    Expired
}

/// @title ERC-8183 (agentic commerce) with the ABI in use: one payment token, budget without a token argument
/// @notice Functions and events are those that clients speak today. Only the errors are ours.
interface IERC8183 {
    struct Job {
        uint256 id;
        address client;
        address provider;
        address evaluator;
        string description;
        uint256 budget;
        uint256 expiredAt;
        JobStatus status;
        address hook;
    }

    event JobCreated(
        uint256 indexed jobId,
        address indexed client,
        address indexed provider,
        address evaluator,
        uint256 expiredAt,
        address hook
    );
    event ProviderSet(uint256 indexed jobId, address indexed provider);
    event BudgetSet(uint256 indexed jobId, uint256 amount);
    event JobFunded(uint256 indexed jobId, address indexed client, uint256 amount);
    event JobSubmitted(uint256 indexed jobId, address indexed provider, bytes32 deliverable);
    event JobCompleted(uint256 indexed jobId, address indexed evaluator, bytes32 reason);
    event JobRejected(uint256 indexed jobId, address indexed rejector, bytes32 reason);
    event JobExpired(uint256 indexed jobId);
    event PaymentReleased(uint256 indexed jobId, address indexed provider, uint256 amount);
    event Refunded(uint256 indexed jobId, address indexed client, uint256 amount);

    /// @notice A job of the caller, without money.
    /// @param provider zero = named later by `setProvider`
    /// @param evaluator who alone completes a job, and may reject it once funded; not the provider
    /// @param expiredAt last second (Unix) before which work is handed in; over five minutes from now
    /// @param hook zero
    function createJob(
        address provider,
        address evaluator,
        uint256 expiredAt,
        string calldata description,
        address hook
    ) external returns (uint256 jobId);

    /// @notice Names the provider of a job that has none. The caller is the client.
    function setProvider(uint256 jobId, address provider) external;

    /// @notice Names the price. The caller is the client or the provider.
    function setBudget(uint256 jobId, uint256 amount, bytes calldata optParams) external;

    /// @notice The client pays the budget in.
    /// @param expectedBudget what the client read; another budget is refused
    function fund(uint256 jobId, uint256 expectedBudget, bytes calldata optParams) external;

    /// @notice The provider hands its work in, before `expiredAt`.
    function submit(uint256 jobId, bytes32 deliverable, bytes calldata optParams) external;

    /// @notice The evaluator pays the provider of a submitted job.
    function complete(uint256 jobId, bytes32 reason, bytes calldata optParams) external;

    /// @notice The client drops an open job; the evaluator refunds a funded or a submitted one.
    function reject(uint256 jobId, bytes32 reason, bytes calldata optParams) external;

    /// @notice From `expiredAt` on, anyone ends a job into which no work was handed in; what was paid in goes back.
    function claimRefund(uint256 jobId) external;

    /// @notice The job as it stands; an unknown one is all zero.
    function getJob(uint256 jobId) external view returns (Job memory);

    function paymentToken() external view returns (address);
}
