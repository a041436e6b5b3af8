// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Deal, SplitProposal} from "../libraries/Types.sol";
import {IArbitrator} from "./IArbitrator.sol";
import {ICredits} from "./ICredits.sol";
import {IDealEscrow} from "./IDealEscrow.sol";

/// @notice Where the fees of a dispute stand. None = no arbitrator that charges: the deal's arbiter rules by itself.
enum FeeStage {
    None,
    /// The client has deposited; the provider has until `feeBy`.
    ProviderOwes,
    /// The cost rose meanwhile: the client has until `feeBy` to add.
    ClientOwes,
    /// Both deposits cover the cost; the dispute is still to be created at the arbitrator.
    Paid,
    /// The arbitrator has the dispute.
    Created,
    /// The arbitrator has ruled.
    Ruled,
    /// Nothing is left here.
    Closed
}

/// @title Ends that need a judgment: by a split that both sides agree on, or by a ruling
/// @notice The client objects within the review period. Where the deal's arbiter answers `arbitrationCost("")` it is taken for
/// an ERC-792 arbitrator: both sides deposit its fee, the side that does not loses, the winner has its deposit back. Any other
/// arbiter rules by its own call. Without a ruling by arbiterDeadline the price is halved and both bonds return.
/// Rulings: 0 refused (halved), 1 for the client, 2 for the provider. Fees are in native value and never mix with a deal's money.
/// @dev Arbitrators get empty extra bytes: one that takes parameters stands behind a contract that fixes them.
interface IDealDisputes is ICredits {
    event FeeDeposited(
        bytes32 indexed dealId,
        bool indexed isClient,
        address from,
        uint256 amount,
        FeeStage stage,
        uint48 feeBy
    );
    event DisputeCreated(bytes32 indexed dealId, IArbitrator indexed arbitrator, uint256 disputeId, uint256 cost);
    event Ruled(bytes32 indexed dealId, address indexed arbiter, uint256 ruling);
    event FeesReturned(bytes32 indexed dealId, uint256 toClient, uint256 toProvider);
    event Appealed(bytes32 indexed dealId, uint256 indexed disputeId, address from, uint256 amount);
    /// @dev As Kleros v2's subgraph reads it.
    event DisputeRequest(
        IArbitrator indexed _arbitrator,
        uint256 indexed _arbitratorDisputeID,
        uint256 _externalDisputeID,
        uint256 _templateId,
        string _templateUri
    );

    error DealDisputesNotParty(bytes32 dealId, uint256 agentId, address caller);
    error DealDisputesNotArbiter(bytes32 dealId, address caller);
    error DealDisputesWrongStage(bytes32 dealId, FeeStage stage);
    error DealDisputesFeeTooLow(bytes32 dealId, uint256 given, uint256 required);
    error DealDisputesUnknownDispute(address arbitrator, uint256 disputeId);
    error DealDisputesTooEarly(bytes32 dealId, uint256 notBefore, uint256 now_);
    error DealDisputesTooLate(bytes32 dealId, uint256 deadline, uint256 now_);
    error DealDisputesBadRuling(bytes32 dealId, uint256 ruling);

    /// @notice The client objects to a delivery before reviewUntil, and deposits the arbitrator's fee, if there is one. What
    /// is sent beyond it is credited to the sender. The caller speaks for the client.
    function dispute(Deal calldata deal, bytes32 reasonHash) external payable;

    /// @notice The same by the client's signature over DealDispute; whoever relays it deposits the fee.
    function disputeFor(Deal calldata deal, bytes32 reasonHash, IDealEscrow.Party calldata client) external payable;

    /// @notice Both sides end a funded, submitted or disputed deal by a split that one proposed and the other accepts: both
    /// sign the proposal, and who sends it need not.
    function settle(
        Deal calldata deal,
        SplitProposal calldata proposal,
        IDealEscrow.Party calldata client,
        IDealEscrow.Party calldata provider
    ) external;

    /// @notice Deposits what the side that owes lacks of the arbitrator's present cost; anyone may.
    /// @param isCreating true: if this was the last deposit, the dispute is created with it, or the call fails
    function depositFee(Deal calldata deal, bool isCreating) external payable;

    /// @notice Creates a paid dispute at the arbitrator; anyone may. Fails where the arbitrator does: the deposits stay.
    function createDispute(Deal calldata deal) external;

    /// @notice Passes an appeal on to the arbitrator, with its whole value; anyone may.
    function appeal(Deal calldata deal, uint256 disputeId) external payable;

    /// @notice Evidence for the arbiter (ERC-1497), while the deal is disputed. The caller speaks for one of the sides.
    function submitEvidence(Deal calldata deal, string calldata evidence) external;

    /// @notice The ruling of an arbiter that is no ERC-792 arbitrator, at arbiterDeadline at the latest; settles the deal.
    function ruleAsArbiter(Deal calldata deal, uint256 ruling) external;

    /// @notice Settles a disputed deal whose ruling is there, whose fee was not matched in time, or whose arbiter let
    /// arbiterDeadline pass; returns the fees. Anyone may. Of a deal that both sides ended it returns the fees alone.
    function resolve(Deal calldata deal) external;

    /// @notice Fee deposits of both sides, the second until which the owing side may add, stage and ruling.
    function disputeOf(
        bytes32 dealId
    ) external view returns (uint96 clientFee, uint96 providerFee, uint48 feeBy, FeeStage stage, uint8 ruling);

    /// @notice The deal of an arbitrator's dispute; zero = unknown.
    function dealOfDispute(address arbitrator, uint256 disputeId) external view returns (bytes32 dealId);

    function escrow() external view returns (IDealEscrow);
}
