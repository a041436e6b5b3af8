// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Deal} from "../libraries/Types.sol";
import {IBindings} from "./IBindings.sol";
import {IBondCurve} from "./IBondCurve.sol";
import {ICredits} from "./ICredits.sol";
import {IDealDisputes} from "./IDealDisputes.sol";
import {ITrustLedger} from "./ITrustLedger.sol";

/// @notice Where a deal stands. Open = signed at most, unknown to the chain.
enum DealState {
    Open,
    Funded,
    Submitted,
    Completed,
    Refunded,
    Disputed,
    Resolved,
    Cancelled
}

/// @notice How a deal came to be Resolved. Even = the arbiter refused or let its deadline pass.
enum Resolution {
    Even,
    ForClient,
    ForProvider,
    Agreed
}

/// @title One signed deal, opened and funded in one transaction
/// @notice Open -> Funded -> Submitted -> Completed; Funded -> Refunded when delivery is late; Submitted -> Disputed ->
/// Resolved by an arbiter; any live -> Resolved by a split that both sign, or Cancelled by both. Silence after submission
/// pays the provider. Nobody but the parties' keys and their arbiter moves a deal; deadlines move it for anyone.
/// The caller presents the whole Deal each time; the chain keeps one slot, found by its hash.
/// Money: the payer brings price and client's bond, and gets back what returns to the client; the provider's bond comes from
/// the provider, and returns to where its agent is paid (agent wallet, else owner). Each ending's event names what the
/// named account gets; the other side's bond returns by the rule of that ending:
/// Completed: price rest + provider's bond to the payee, client's bond to the payer. Refunded: all to the payer.
/// Cancelled: price rest + client's bond to the payer, provider's bond to its payee. Resolved: as its event says.
interface IDealEscrow is ICredits {
    /// @notice One side's consent.
    /// @param signer ERC-7913 bytes of a LOG signer of the agent, valid now
    /// @param signature the signer's over what is asked for; may be empty where the caller is the signer
    struct Party {
        bytes signer;
        bytes signature;
    }

    /// @notice EIP-3009 authorization of the payer; its nonce is the dealId.
    struct Authorization {
        address payer;
        uint256 validAfter;
        uint256 validBefore;
        bytes signature;
    }

    /// @notice One leaf of `splitsRoot`: who gets which part of what the provider earns, in millionths. Leaf =
    /// keccak256(abi.encode(index, account, millionths)), node = keccak256 of two children in order; an odd last one goes up
    /// as it is.
    struct Share {
        address account;
        uint32 millionths;
    }

    event DealFunded(
        bytes32 indexed dealId,
        uint256 indexed clientAgentId,
        uint256 indexed providerAgentId,
        address payer,
        Deal deal
    );
    event DealSubmitted(bytes32 indexed dealId, bytes32 deliverableHash, uint48 reviewUntil);
    /// @param released all that the client has released so far, this part included
    event DealPartReleased(bytes32 indexed dealId, address indexed payee, uint256 amount, uint256 released);
    /// @param amount price rest and provider's bond; with splits the price rest waits for `distribute`
    /// @param rating -100..100 given by the client; 0 = none given, as when silence completes the deal
    event DealCompleted(bytes32 indexed dealId, address indexed payee, uint256 amount, int8 rating);
    event DealRefunded(bytes32 indexed dealId, address indexed payer, uint256 amount);
    event DealCancelled(bytes32 indexed dealId, address indexed payer, uint256 amount);
    event DealDisputed(bytes32 indexed dealId, address indexed arbiter, bytes32 reasonHash);
    /// @param toProvider to its payee, bonds included; with splits the price's part waits for `distribute`
    /// @param toClient to the payer, bonds included
    /// @param rating that moves local trust: of an agreed split the one that was signed, -100 of a ruling for the client
    event DealResolved(
        bytes32 indexed dealId,
        Resolution indexed resolution,
        address payee,
        uint256 toProvider,
        uint256 toClient,
        int8 rating
    );
    /// @notice What the provider earns waits to be distributed by its shares.
    event SplitPending(bytes32 indexed dealId, uint256 amount, uint256 pot);
    event ShareDistributed(bytes32 indexed dealId, address indexed account, uint256 amount);
    /// @dev The ledger promises not to refuse a record; should it do so, the money moves all the same.
    event LocalTrustSkipped(bytes32 indexed dealId);
    /// @notice Told of a used ticket: `FeedbackBacked` of this registry.
    event FeedbackRegistrySet(address indexed feedbackRegistry);
    event HookFailed(bytes32 indexed dealId, address indexed hook, bytes4 selector);

    error DealEscrowWrongState(bytes32 dealId, DealState current, DealState required);
    error DealEscrowNotLive(bytes32 dealId, DealState current);
    error DealEscrowSelfDeal(uint256 agentId);
    error DealEscrowAgentIdTooLarge(uint256 agentId, uint256 max);
    error DealEscrowAmountTooLarge(uint256 amount, uint256 max);
    error DealEscrowInvalidSigner(uint256 agentId, bytes32 signerHash);
    error DealEscrowBadSignature(bytes32 dealId, uint256 agentId);
    error DealEscrowNotParty(bytes32 dealId, uint256 agentId, address caller);
    error DealEscrowTooLate(bytes32 dealId, uint256 deadline, uint256 now_);
    error DealEscrowTooEarly(bytes32 dealId, uint256 notBefore, uint256 now_);
    error DealEscrowBadReviewPeriod(uint32 given, uint32 max);
    error DealEscrowBadSubmitBy(uint48 given, uint256 min, uint256 max);
    /// @dev Without an arbiter min and max are 0.
    error DealEscrowBadArbiterDeadline(uint48 given, uint256 min, uint256 max);
    error DealEscrowZeroPrice();
    error DealEscrowBadToken(address token);
    error DealEscrowWrongValue(uint256 expected, uint256 given);
    error DealEscrowShortfall(address token, uint256 expected, uint256 received);
    error DealEscrowBondTooLow(uint256 given, uint256 required);
    error DealEscrowBadRating(int8 rating);
    error DealEscrowZeroDeliverable(bytes32 dealId);
    /// @dev A part is above what is released already and below the price: the last part is `complete`.
    error DealEscrowBadPart(bytes32 dealId, uint256 given, uint256 min, uint256 max);
    error DealEscrowBadSplit(bytes32 dealId, uint256 given, uint256 max);
    error DealEscrowBadShares(bytes32 dealId, bytes32 root);
    error DealEscrowTooManyShares(uint256 count, uint256 max);
    error DealEscrowNothingToDistribute(bytes32 dealId);
    error DealEscrowNoArbiter(bytes32 dealId);
    error DealEscrowNotDisputes(address caller);
    /// @dev Neither the deployer, who names the feedback registry once, nor that registry.
    error DealEscrowNotNamed(address caller);
    error DealEscrowNotSettled(bytes32 dealId, DealState current);
    error DealEscrowTicketUsed(bytes32 dealId);
    error DealEscrowLowGas(uint256 available, uint256 required);

    /// @notice Opens a deal that both sides signed. Price and client's bond come from the caller, by allowance or as the call's
    /// value; the provider's bond from the account of the provider's signer, by allowance or, in native value, credit.
    function open(
        Deal calldata deal,
        Party calldata client,
        Party calldata provider
    ) external payable returns (bytes32 dealId);

    /// @notice The same, the client's part paid by an EIP-3009 authorization with nonce = dealId; anyone may relay it.
    function openWithAuthorization(
        Deal calldata deal,
        Party calldata client,
        Party calldata provider,
        Authorization calldata authorization
    ) external returns (bytes32 dealId);

    /// @notice `open` with the provider's score proof for IBondCurve; without one the score is zero.
    function openWithProof(
        Deal calldata deal,
        Party calldata client,
        Party calldata provider,
        bytes calldata scoreProof
    ) external payable returns (bytes32 dealId);

    /// @notice The caller pays all: price and both bonds, by allowance or as the call's value. Contracts that collect money in
    /// their own way open by this; see IDealFunding. @param payer gets back what returns to the client
    function openFor(
        Deal calldata deal,
        Party calldata client,
        Party calldata provider,
        address payer,
        bytes calldata scoreProof
    ) external payable returns (bytes32 dealId);

    /// @notice The provider delivers, at submitBy at the latest. The caller speaks for the agent: a LOG signer valid now, its
    /// owner or an approved account.
    function submit(Deal calldata deal, bytes32 deliverableHash) external;

    /// @notice The same by the provider's signature over DealSubmit.
    function submitFor(Deal calldata deal, bytes32 deliverableHash, Party calldata provider) external;

    /// @notice The client releases what is left of the price and rates the delivery, -100..100; 0 moves no local trust. The
    /// provider's agent wallet is paid, else its owner.
    function complete(Deal calldata deal, int8 rating) external;

    /// @notice The same by the client's signature over DealComplete.
    function completeFor(Deal calldata deal, int8 rating, Party calldata client) external;

    /// @notice The client pays a part of the price for good, before or after the submission. Metered work: the rest stays under
    /// the same rules. @param released all that is released with this part
    function releasePart(Deal calldata deal, uint256 released) external;

    /// @notice The same by the client's signature over DealPartRelease.
    function releasePartFor(Deal calldata deal, uint256 released, Party calldata client) external;

    /// @notice From reviewUntil on, anyone pays the provider: silence is acceptance.
    function release(Deal calldata deal) external;

    /// @notice After submitBy without a submission, anyone refunds the payer, who gets the provider's bond too. The provider's
    /// local trust falls by 100.
    function refund(Deal calldata deal) external;

    /// @notice Both sides cancel by signatures over DealCancel: before funding for ever, after it, and in a dispute, with
    /// everything that is still held returned to the side that brought it.
    function cancel(Deal calldata deal, Party calldata client, Party calldata provider) external;

    /// @notice Before funding, either side takes its signature back for ever.
    function withdrawOffer(Deal calldata deal) external;

    /// @notice The same by a signature over OfferWithdrawal of either side.
    function withdrawOfferFor(Deal calldata deal, Party calldata party) external;

    /// @notice Pays what a deal with `splitsRoot` has earned to its shares, once it has ended; anyone may. Each share is rounded down; what the
    /// shares leave, dust included, goes to the provider's payee.
    /// @param shares all leaves behind the root, in their order, at most MAX_SHARES; together at most 1,000,000 millionths
    function distribute(Deal calldata deal, Share[] calldata shares) external;

    /// @notice Adds native value to the caller's credit, out of which a provider's bond in native value is paid.
    function depositCredit() external payable;

    /// @notice Takes a submitted deal into dispute before reviewUntil. Only IDealDisputes, which has asked who calls.
    function markDisputed(Deal calldata deal, bytes32 reasonHash) external;

    /// @notice Ends a disputed deal by a ruling, or a live one by agreement. Only IDealDisputes, which has checked consents.
    /// @param toProvider of the price still held; only read of an agreement
    function resolve(Deal calldata deal, Resolution resolution, uint256 toProvider, int8 rating) external;

    /// @notice Names the registry of feedback. The deployer, once.
    function setFeedbackRegistry(address feedbackRegistry_) external;

    /// @notice Uses the one ticket of a deal that is Completed, Resolved or Refunded. Only the registry of feedback, which has
    /// asked who calls; its `FeedbackBacked` tells of it. A ticket stays used.
    function useTicket(bytes32 dealId) external;

    /// @notice Whether a deal's feedback was given.
    function isTicketUsed(bytes32 dealId) external view returns (bool);

    /// @notice State, payer, and the second (Unix) at which review ends (0 before submission).
    function dealOf(bytes32 dealId) external view returns (DealState state, address payer, uint48 reviewUntil);

    /// @notice What the client has released in parts.
    function releasedOf(bytes32 dealId) external view returns (uint256);

    /// @notice What waits for `distribute`.
    function potOf(bytes32 dealId) external view returns (uint256);

    /// @notice EIP-712 struct hash of a deal.
    function hashDeal(Deal calldata deal) external pure returns (bytes32 dealId);

    /// @notice What both parties sign.
    function digestOf(Deal calldata deal) external view returns (bytes32);

    /// @notice EIP-712 digest of any struct of this domain.
    function digestOfStruct(bytes32 structHash) external view returns (bytes32);

    /// @notice The registry that knows the agents, their signers and their wallets.
    function registry() external view returns (IBindings);

    /// @notice Where settled deals move local trust.
    function ledger() external view returns (ITrustLedger);

    /// @notice What prices the provider's bond; zero = nothing does.
    function bondCurve() external view returns (IBondCurve);

    /// @notice Who uses tickets; zero = nobody was named yet.
    function feedbackRegistry() external view returns (address);

    /// @notice Who takes deals into dispute and ends them by a ruling; made by this contract.
    function disputes() external view returns (IDealDisputes);
}
