// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Signers} from "../identity/Signers.sol";
import {IBindings} from "../interfaces/IBindings.sol";
import {DealState} from "../interfaces/IDealEscrow.sol";
import {IDealEscrowThin as IDealEscrow} from "../interfaces/IDealEscrowThin.sol";
import {IERC8004Identity} from "../interfaces/IERC8004Identity.sol";
import {IReceiveWithAuthorization} from "../interfaces/IReceiveWithAuthorization.sol";
import {ITrustLedger} from "../interfaces/ITrustLedger.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {StructHash} from "../libraries/StructHash.sol";
import {Deal, DealCancel} from "../libraries/Types.sol";

/// @notice See IDealEscrow. Invariants are numbered in PROPERTIES.md and in the folder's README.
/// @dev Every function goes checks, effects, event, calls. Only the two that measure a balance carry a re-entry guard:
/// between their two readings no other deal may bring money in, and one that takes money out makes them revert.
contract DealEscrow is IDealEscrow, EIP712, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @dev One storage slot a deal; everything else is in the Deal, which the caller presents and the dealId binds.
    struct Progress {
        address payer;
        DealState state;
        uint48 reviewUntil;
    }

    /// @dev Longest silence that a provider can sign up to.
    uint32 internal constant MAX_REVIEW_PERIOD = 30 days;
    /// @dev Longest delivery: with MAX_REVIEW_PERIOD it bounds how long money can stay without anybody's consent.
    uint48 internal constant MAX_DELIVERY = 366 days;
    int8 internal constant MAX_RATING = 100;
    /// @dev What a late refund adds to the unsatisfied sum: a rating of -100.
    uint24 internal constant LATE_UNSATISFIED = 100;
    /// @dev What the ledger gets for one record: above its worst case (two new seats, a new pair, a new row word).
    uint256 internal constant RECORD_GAS = 300_000;
    /// @dev Before the call there must be more than RECORD_GAS · 64/63 (EIP-150), plus what the call itself costs.
    uint256 internal constant RECORD_GAS_REQUIRED = (RECORD_GAS * 64) / 63 + 10_000;

    /// @inheritdoc IDealEscrow
    IBindings public immutable registry;
    /// @inheritdoc IDealEscrow
    ITrustLedger public immutable ledger;

    mapping(bytes32 dealId => Progress) private _progress;
    mapping(address token => mapping(address account => uint256)) private _credits;

    constructor(IBindings registry_, ITrustLedger ledger_) EIP712("SuretyDealEscrow", "1") {
        registry = registry_;
        ledger = ledger_;
    }

    /// @inheritdoc IDealEscrow
    function open(
        Deal calldata deal,
        Party calldata client,
        Party calldata provider
    ) external nonReentrant returns (bytes32 dealId) {
        dealId = _fund(deal, client, provider, msg.sender);
        uint256 balanceBefore = IERC20(deal.token).balanceOf(address(this));
        IERC20(deal.token).safeTransferFrom(msg.sender, address(this), deal.price);
        _requireReceived(deal, balanceBefore);
    }

    /// @inheritdoc IDealEscrow
    function openWithAuthorization(
        Deal calldata deal,
        Party calldata client,
        Party calldata provider,
        Authorization calldata authorization
    ) external nonReentrant returns (bytes32 dealId) {
        dealId = _fund(deal, client, provider, authorization.payer);
        uint256 balanceBefore = IERC20(deal.token).balanceOf(address(this));
        // INVARIANT 5: the token spends the nonce, which is the dealId, and pays nobody but the caller.
        IReceiveWithAuthorization(deal.token).receiveWithAuthorization(
            authorization.payer,
            address(this),
            deal.price,
            authorization.validAfter,
            authorization.validBefore,
            dealId,
            authorization.signature
        );
        _requireReceived(deal, balanceBefore);
    }

    /// @inheritdoc IDealEscrow
    function submit(Deal calldata deal, bytes32 deliverableHash) external {
        bytes32 dealId = _hash(deal);
        Progress storage progress = _requireState(dealId, DealState.Funded);
        if (deliverableHash == 0) revert DealEscrowZeroDeliverable(dealId);
        if (block.timestamp > deal.submitBy) revert DealEscrowTooLate(dealId, deal.submitBy, block.timestamp);
        _requireSpeaker(dealId, deal.providerAgentId);

        uint48 reviewUntil = uint48(block.timestamp) + deal.reviewPeriod;
        progress.state = DealState.Submitted;
        progress.reviewUntil = reviewUntil;
        emit DealSubmitted(dealId, deliverableHash, reviewUntil);
    }

    /// @inheritdoc IDealEscrow
    function complete(Deal calldata deal, int8 rating) external {
        bytes32 dealId = _hash(deal);
        Progress storage progress = _requireState(dealId, DealState.Submitted);
        if (rating < -MAX_RATING || rating > MAX_RATING) revert DealEscrowBadRating(rating);
        _requireSpeaker(dealId, deal.clientAgentId);

        _complete(dealId, deal, progress, rating);
    }

    /// @inheritdoc IDealEscrow
    function release(Deal calldata deal) external {
        bytes32 dealId = _hash(deal);
        Progress storage progress = _requireState(dealId, DealState.Submitted);
        // INVARIANT 4: once delivered, the provider needs nobody to be paid.
        uint48 reviewUntil = progress.reviewUntil;
        if (block.timestamp < reviewUntil) revert DealEscrowTooEarly(dealId, reviewUntil, block.timestamp);

        _complete(dealId, deal, progress, 0);
    }

    /// @inheritdoc IDealEscrow
    function refund(Deal calldata deal) external {
        bytes32 dealId = _hash(deal);
        // INVARIANT 2: only a funded deal is in this state, whatever its age.
        Progress storage progress = _requireState(dealId, DealState.Funded);
        // INVARIANT 4: without delivery, the payer needs nobody to be repaid.
        if (block.timestamp <= deal.submitBy)
            revert DealEscrowTooEarly(dealId, uint256(deal.submitBy) + 1, block.timestamp);

        progress.state = DealState.Refunded;
        emit DealRefunded(dealId, progress.payer, deal.price);
        _record(dealId, deal, 0, LATE_UNSATISFIED);
        _pay(deal.token, progress.payer, deal.price);
    }

    /// @inheritdoc IDealEscrow
    function cancel(Deal calldata deal, Party calldata client, Party calldata provider) external {
        bytes32 dealId = _hash(deal);
        Progress storage progress = _progress[dealId];
        DealState state = progress.state;
        // INVARIANT 3: a settled deal stays as it is.
        if (state > DealState.Submitted) revert DealEscrowNotLive(dealId, state);
        _requireConsents(dealId, StructHash.hash(DealCancel(dealId)), deal, client, provider);

        address payer = progress.payer;
        // INVARIANT 2: what was not funded returns nothing.
        uint256 amount = state == DealState.Open ? 0 : deal.price;
        progress.state = DealState.Cancelled;
        emit DealCancelled(dealId, payer, amount);
        if (amount != 0) _pay(deal.token, payer, amount);
    }

    /// @inheritdoc IDealEscrow
    function withdrawOffer(Deal calldata deal) external {
        bytes32 dealId = _hash(deal);
        Progress storage progress = _requireState(dealId, DealState.Open);
        if (!_speaksFor(deal.clientAgentId) && !_speaksFor(deal.providerAgentId))
            revert DealEscrowNotParty(dealId, deal.clientAgentId, msg.sender);

        progress.state = DealState.Cancelled;
        emit DealCancelled(dealId, address(0), 0);
    }

    /// @inheritdoc IDealEscrow
    function withdrawCredit(address token, address to) external returns (uint256 amount) {
        amount = _credits[token][msg.sender];
        if (amount == 0) revert DealEscrowNoCredit(token, msg.sender);

        _credits[token][msg.sender] = 0;
        emit CreditWithdrawn(token, msg.sender, amount);
        IERC20(token).safeTransfer(to, amount);
    }

    /// @inheritdoc IDealEscrow
    function creditOf(address token, address account) external view returns (uint256) {
        return _credits[token][account];
    }

    /// @inheritdoc IDealEscrow
    function dealOf(bytes32 dealId) external view returns (DealState state, address payer, uint48 reviewUntil) {
        Progress storage progress = _progress[dealId];
        return (progress.state, progress.payer, progress.reviewUntil);
    }

    /// @inheritdoc IDealEscrow
    function digestOf(Deal calldata deal) external view returns (bytes32) {
        return _hashTypedDataV4(_hash(deal));
    }

    /// @inheritdoc IDealEscrow
    function hashDeal(Deal calldata deal) external pure returns (bytes32 dealId) {
        return _hash(deal);
    }

    /// @dev Checks, effect and event of both ways to open; the caller pulls the price.
    function _fund(
        Deal calldata deal,
        Party calldata client,
        Party calldata provider,
        address payer
    ) private returns (bytes32 dealId) {
        dealId = _hash(deal);
        // INVARIANT 5: a dealId leaves Open once, so that neither signature works twice or after a cancel.
        _requireState(dealId, DealState.Open);
        _requireTerms(deal);
        _requireConsents(dealId, dealId, deal, client, provider);

        _progress[dealId] = Progress({payer: payer, state: DealState.Funded, reviewUntil: 0});
        emit DealFunded(dealId, deal.clientAgentId, deal.providerAgentId, payer, deal);
    }

    function _complete(bytes32 dealId, Deal calldata deal, Progress storage progress, int8 rating) private {
        address payee = _payeeOf(deal.providerAgentId);

        progress.state = DealState.Completed;
        emit DealCompleted(dealId, payee, deal.price, rating);
        int256 value = rating;
        if (rating > 0) _record(dealId, deal, uint24(uint256(value)), 0);
        if (rating < 0) _record(dealId, deal, 0, uint24(uint256(-value)));
        _pay(deal.token, payee, deal.price);
    }

    /// @dev INVARIANT 11: called in the one transaction that takes the deal to its terminal state. Before the payment, so
    /// that a token which burns its gas cannot starve it.
    function _record(bytes32 dealId, Deal calldata deal, uint24 satisfied, uint24 unsatisfied) private {
        if (deal.topic == 0) return;
        // A caller who gives too little gas would otherwise settle a deal and lose its rating.
        if (gasleft() < RECORD_GAS_REQUIRED) revert DealEscrowLowGas(gasleft(), RECORD_GAS_REQUIRED);
        // INVARIANT 7: whatever the ledger does, the money moves. _requireTerms made the ids fit.
        try
            ledger.record{gas: RECORD_GAS}(
                deal.topic,
                uint32(deal.clientAgentId),
                uint32(deal.providerAgentId),
                satisfied,
                unsatisfied
            )
        {} catch {
            emit LocalTrustSkipped(dealId);
        }
    }

    /// @dev INVARIANT 7: a recipient that cannot be paid is credited, and blocks nobody. All gas is forwarded: a transfer that
    /// runs out of it leaves a 64th, and a credit costs over 22,000, so no caller can turn a payment into a credit by
    /// giving little gas, unless the transfer itself needs over a million.
    function _pay(address token, address to, uint256 amount) private {
        if (IERC20(token).trySafeTransfer(to, amount)) return;
        _credits[token][to] += amount;
        emit Credited(token, to, amount);
    }

    function _requireReceived(Deal calldata deal, uint256 balanceBefore) private view {
        uint256 balance = IERC20(deal.token).balanceOf(address(this));
        uint256 received = balance > balanceBefore ? balance - balanceBefore : 0;
        // INVARIANT 8: what the deal promises has arrived, to the unit.
        if (received != deal.price) revert DealEscrowShortfall(deal.token, deal.price, received);
    }

    /// @dev INVARIANT 1, 3: every movement of money names the one state it starts from.
    function _requireState(bytes32 dealId, DealState required) private view returns (Progress storage progress) {
        progress = _progress[dealId];
        if (progress.state != required) revert DealEscrowWrongState(dealId, progress.state, required);
    }

    function _requireTerms(Deal calldata deal) private view {
        if (deal.price == 0) revert DealEscrowZeroPrice();
        if (deal.token.code.length == 0) revert DealEscrowBadToken(deal.token);
        if (deal.submitBy <= block.timestamp || deal.submitBy > block.timestamp + MAX_DELIVERY)
            revert DealEscrowBadSubmitBy(deal.submitBy, block.timestamp + 1, block.timestamp + MAX_DELIVERY);
        if (deal.reviewPeriod > MAX_REVIEW_PERIOD)
            revert DealEscrowBadReviewPeriod(deal.reviewPeriod, MAX_REVIEW_PERIOD);
        if (deal.clientAgentId == deal.providerAgentId) revert DealEscrowSelfDeal(deal.clientAgentId);
        if (deal.topic != 0) {
            // The ledger's seats hold 32 bits of an agent id.
            _requireLedgerId(deal.clientAgentId);
            _requireLedgerId(deal.providerAgentId);
        }
        if (deal.providerBond != 0) revert DealEscrowUnsupportedTerm("providerBond");
        if (deal.clientBond != 0) revert DealEscrowUnsupportedTerm("clientBond");
        if (deal.arbiter != address(0)) revert DealEscrowUnsupportedTerm("arbiter");
        if (deal.arbiterDeadline != 0) revert DealEscrowUnsupportedTerm("arbiterDeadline");
        if (deal.splitsRoot != 0) revert DealEscrowUnsupportedTerm("splitsRoot");
        if (deal.hook != address(0)) revert DealEscrowUnsupportedTerm("hook");
    }

    function _requireLedgerId(uint256 agentId) private pure {
        if (agentId > type(uint32).max) revert DealEscrowAgentIdTooLarge(agentId, type(uint32).max);
    }

    /// @dev INVARIANT 5: the digest binds chain and escrow; INVARIANT 6: and every term.
    function _requireConsents(
        bytes32 dealId,
        bytes32 structHash,
        Deal calldata deal,
        Party calldata client,
        Party calldata provider
    ) private view {
        bytes32 digest = _hashTypedDataV4(structHash);
        _requireConsent(dealId, digest, deal.clientAgentId, client);
        _requireConsent(dealId, digest, deal.providerAgentId, provider);
    }

    function _requireConsent(bytes32 dealId, bytes32 digest, uint256 agentId, Party calldata party) private view {
        bytes32 signerHash = keccak256(party.signer);
        if (!registry.isSignerValidAt(agentId, signerHash, Signers.LOG, block.timestamp))
            revert DealEscrowInvalidSigner(agentId, signerHash);
        // The caller's own transaction carries the same terms under its own key.
        bool isCaller = party.signature.length == 0 && signerHash == keccak256(abi.encodePacked(msg.sender));
        if (isCaller || Signatures.isValid(party.signer, digest, party.signature)) return;
        revert DealEscrowBadSignature(dealId, agentId);
    }

    function _requireSpeaker(bytes32 dealId, uint256 agentId) private view {
        if (!_speaksFor(agentId)) revert DealEscrowNotParty(dealId, agentId, msg.sender);
    }

    /// @dev The usual caller, a LOG signer, is asked for first. An unknown agent has no speaker.
    function _speaksFor(uint256 agentId) private view returns (bool) {
        bytes32 signerHash = keccak256(abi.encodePacked(msg.sender));
        if (registry.isSignerValidAt(agentId, signerHash, Signers.LOG, block.timestamp)) return true;
        try IERC8004Identity(address(registry)).isAuthorizedOrOwner(msg.sender, agentId) returns (bool isAuthorized) {
            return isAuthorized;
        } catch {
            return false;
        }
    }

    function _payeeOf(uint256 agentId) private view returns (address) {
        address wallet = IERC8004Identity(address(registry)).getAgentWallet(agentId);
        return wallet == address(0) ? IERC721(address(registry)).ownerOf(agentId) : wallet;
    }

    /// @dev All fields are static, so the calldata words are the EIP-712 encoding.
    function _hash(Deal calldata deal) private pure returns (bytes32 dealId) {
        bytes32 typehash = StructHash.DEAL_TYPEHASH;
        assembly ("memory-safe") {
            let encoding := mload(0x40)
            mstore(encoding, typehash)
            calldatacopy(add(encoding, 0x20), deal, 0x240)
            dealId := keccak256(encoding, 0x260)
        }
    }
}
