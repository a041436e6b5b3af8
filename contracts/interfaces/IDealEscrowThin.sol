// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Deal} from "../libraries/Types.sol";
import {DealState} from "./IDealEscrow.sol";
import {IBindings} from "./IBindings.sol";
import {ITrustLedger} from "./ITrustLedger.sol";

/// @title One signed deal, opened and funded in one transaction
/// @notice Open -> Funded -> Submitted -> Completed; Funded -> Refunded when delivery is late; any live -> Cancelled by both.
/// Silence after submission pays the provider. Nobody but the parties' keys moves a deal; deadlines move it for anyone.
/// The caller presents the whole Deal each time; the chain keeps one slot, found by its hash.
interface IDealEscrowThin {
    /// @notice One side's consent.
    /// @param signer ERC-7913 bytes of a LOG signer of the agent, valid now
    /// @param signature the signer's over Deal or DealCancel; may be empty where the caller is the signer
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

    event DealFunded(
        bytes32 indexed dealId,
        uint256 indexed clientAgentId,
        uint256 indexed providerAgentId,
        address payer,
        Deal deal
    );
    event DealSubmitted(bytes32 indexed dealId, bytes32 deliverableHash, uint48 reviewUntil);
    /// @param rating -100..100 given by the client; 0 = none given, as when silence completes the deal
    event DealCompleted(bytes32 indexed dealId, address indexed payee, uint256 amount, int8 rating);
    event DealRefunded(bytes32 indexed dealId, address indexed payer, uint256 amount);
    event DealCancelled(bytes32 indexed dealId, address indexed payer, uint256 amount);
    /// @dev The ledger promises not to refuse a record; should it do so, the money moves all the same.
    event LocalTrustSkipped(bytes32 indexed dealId);
    event Credited(address indexed token, address indexed account, uint256 amount);
    event CreditWithdrawn(address indexed token, address indexed account, uint256 amount);

    error DealEscrowWrongState(bytes32 dealId, DealState current, DealState required);
    error DealEscrowNotLive(bytes32 dealId, DealState current);
    error DealEscrowSelfDeal(uint256 agentId);
    error DealEscrowAgentIdTooLarge(uint256 agentId, uint256 max);
    error DealEscrowUnsupportedTerm(bytes32 term);
    error DealEscrowInvalidSigner(uint256 agentId, bytes32 signerHash);
    error DealEscrowBadSignature(bytes32 dealId, uint256 agentId);
    error DealEscrowNotParty(bytes32 dealId, uint256 agentId, address caller);
    error DealEscrowTooLate(bytes32 dealId, uint256 deadline, uint256 now_);
    error DealEscrowTooEarly(bytes32 dealId, uint256 notBefore, uint256 now_);
    error DealEscrowBadReviewPeriod(uint32 given, uint32 max);
    error DealEscrowBadSubmitBy(uint48 given, uint256 min, uint256 max);
    error DealEscrowZeroPrice();
    error DealEscrowBadToken(address token);
    error DealEscrowShortfall(address token, uint256 expected, uint256 received);
    error DealEscrowBadRating(int8 rating);
    error DealEscrowZeroDeliverable(bytes32 dealId);
    error DealEscrowNoCredit(address token, address account);
    error DealEscrowLowGas(uint256 available, uint256 required);

    /// @notice Opens a deal that both sides signed; pulls the price from the caller by allowance.
    function open(Deal calldata deal, Party calldata client, Party calldata provider) external returns (bytes32 dealId);

    /// @notice The same, paid by an EIP-3009 authorization with nonce = dealId; anyone may relay it.
    function openWithAuthorization(
        Deal calldata deal,
        Party calldata client,
        Party calldata provider,
        Authorization calldata authorization
    ) external returns (bytes32 dealId);

    /// @notice The provider delivers, at submitBy at the latest. The caller speaks for the agent: a LOG signer valid now, its
    /// owner or an approved account.
    function submit(Deal calldata deal, bytes32 deliverableHash) external;

    /// @notice The client releases the price and rates the delivery, -100..100; 0 moves no local trust. The provider's agent
    /// wallet is paid, else its owner.
    function complete(Deal calldata deal, int8 rating) external;

    /// @notice From reviewUntil on, anyone pays the provider: silence is acceptance.
    function release(Deal calldata deal) external;

    /// @notice After submitBy without a submission, anyone refunds the payer. The provider's local trust falls by 100.
    function refund(Deal calldata deal) external;

    /// @notice Both sides cancel by signatures over DealCancel: before funding for ever, after it with everything returned to
    /// the payer.
    function cancel(Deal calldata deal, Party calldata client, Party calldata provider) external;

    /// @notice Before funding, either side takes its signature back for ever.
    function withdrawOffer(Deal calldata deal) external;

    /// @notice Pays out what a failed transfer left to the caller.
    function withdrawCredit(address token, address to) external returns (uint256 amount);

    function creditOf(address token, address account) external view returns (uint256);

    /// @notice State, payer, and the second (Unix) at which review ends (0 before submission).
    function dealOf(bytes32 dealId) external view returns (DealState state, address payer, uint48 reviewUntil);

    /// @notice EIP-712 struct hash of a deal.
    function hashDeal(Deal calldata deal) external pure returns (bytes32 dealId);

    /// @notice What both parties sign.
    function digestOf(Deal calldata deal) external view returns (bytes32);

    /// @notice The registry that knows the agents, their signers and their wallets.
    function registry() external view returns (IBindings);

    /// @notice Where settled deals move local trust.
    function ledger() external view returns (ITrustLedger);
}
