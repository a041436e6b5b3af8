// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IBindings} from "../interfaces/IBindings.sol";
import {IBondCurve} from "../interfaces/IBondCurve.sol";
import {IDealDisputes} from "../interfaces/IDealDisputes.sol";
import {DealState, IDealEscrow, Resolution} from "../interfaces/IDealEscrow.sol";
import {IDealHook} from "../interfaces/IDealHook.sol";
import {IReceiveWithAuthorization} from "../interfaces/IReceiveWithAuthorization.sol";
import {ITrustLedger} from "../interfaces/ITrustLedger.sol";
import {StructHash} from "../libraries/StructHash.sol";
import {Deal, DealCancel, DealComplete, DealPartRelease, DealSubmit, OfferWithdrawal} from "../libraries/Types.sol";
import {DealDisputes} from "./DealDisputes.sol";
import {DealEnds} from "./DealEnds.sol";
import {DealMoney} from "./DealMoney.sol";
import {DealNotices} from "./DealNotices.sol";
import {DealTerms} from "./DealTerms.sol";
import {DealTickets} from "./DealTickets.sol";
import {Consent, Parties} from "./Parties.sol";

/// @notice See IDealEscrow. Invariants are numbered in PROPERTIES.md and in the folder's README.
/// @dev Every function goes checks, effects, event, calls. Only what measures a balance carries a re-entry guard: between its
/// two readings no other deal may bring money in, and one that takes money out makes it revert.
contract DealEscrow is DealMoney, DealTickets, EIP712, ReentrancyGuardTransient {
    int8 internal constant MAX_RATING = 100;
    /// @dev What a late refund is to local trust.
    int8 internal constant FAULT_RATING = -100;

    /// @inheritdoc IDealEscrow
    IBondCurve public immutable bondCurve;
    /// @inheritdoc IDealEscrow
    IDealDisputes public immutable disputes;

    /// @param bondCurve_ zero = no bond is ever required
    constructor(
        IBindings registry_,
        ITrustLedger ledger_,
        IBondCurve bondCurve_
    ) DealEnds(registry_) DealNotices(ledger_) EIP712("SuretyDealEscrow", "1") {
        bondCurve = bondCurve_;
        disputes = new DealDisputes(registry_);
    }

    /// @inheritdoc IDealEscrow
    function open(
        Deal calldata deal,
        Party calldata client,
        Party calldata provider
    ) external payable nonReentrant returns (bytes32 dealId) {
        dealId = _fund(deal, client, provider, msg.sender, msg.data[:0]);
        _bring(deal, provider);
        _tellFunded(dealId, deal, msg.sender);
    }

    /// @inheritdoc IDealEscrow
    function openWithProof(
        Deal calldata deal,
        Party calldata client,
        Party calldata provider,
        bytes calldata scoreProof
    ) external payable nonReentrant returns (bytes32 dealId) {
        dealId = _fund(deal, client, provider, msg.sender, scoreProof);
        _bring(deal, provider);
        _tellFunded(dealId, deal, msg.sender);
    }

    /// @inheritdoc IDealEscrow
    function openWithAuthorization(
        Deal calldata deal,
        Party calldata client,
        Party calldata provider,
        Authorization calldata authorization
    ) external nonReentrant returns (bytes32 dealId) {
        dealId = _fund(deal, client, provider, authorization.payer, msg.data[:0]);
        uint256 amount = deal.price + deal.clientBond;
        uint256 balanceBefore = IERC20(deal.token).balanceOf(address(this));
        // INVARIANT 5: the token spends the nonce, which is the dealId, and pays nobody but the caller.
        IReceiveWithAuthorization(deal.token).receiveWithAuthorization(
            authorization.payer,
            address(this),
            amount,
            authorization.validAfter,
            authorization.validBefore,
            dealId,
            authorization.signature
        );
        _requireReceived(deal.token, balanceBefore, amount + _bringBond(deal, provider));
        _tellFunded(dealId, deal, authorization.payer);
    }

    /// @inheritdoc IDealEscrow
    function openFor(
        Deal calldata deal,
        Party calldata client,
        Party calldata provider,
        address payer,
        bytes calldata scoreProof
    ) external payable nonReentrant returns (bytes32 dealId) {
        dealId = _fund(deal, client, provider, payer, scoreProof);
        _bringFromCaller(deal, deal.price + deal.clientBond + deal.providerBond);
        _tellFunded(dealId, deal, payer);
    }

    /// @inheritdoc IDealEscrow
    function submit(Deal calldata deal, bytes32 deliverableHash) external {
        (bytes32 dealId, Progress storage progress) = _submittable(deal, deliverableHash);
        _requireSpeaker(dealId, deal.providerAgentId);
        _submit(dealId, deal, progress, deliverableHash);
    }

    /// @inheritdoc IDealEscrow
    function submitFor(Deal calldata deal, bytes32 deliverableHash, Party calldata provider) external {
        (bytes32 dealId, Progress storage progress) = _submittable(deal, deliverableHash);
        bytes32 structHash = StructHash.hash(DealSubmit(dealId, deliverableHash));
        _requireConsent(dealId, _hashTypedDataV4(structHash), deal.providerAgentId, provider);
        _submit(dealId, deal, progress, deliverableHash);
    }

    /// @inheritdoc IDealEscrow
    function complete(Deal calldata deal, int8 rating) external {
        (bytes32 dealId, Progress storage progress) = _completable(deal, rating);
        _requireSpeaker(dealId, deal.clientAgentId);
        _complete(dealId, deal, progress, rating);
    }

    /// @inheritdoc IDealEscrow
    function completeFor(Deal calldata deal, int8 rating, Party calldata client) external {
        (bytes32 dealId, Progress storage progress) = _completable(deal, rating);
        bytes32 structHash = StructHash.hash(DealComplete(dealId, rating));
        _requireConsent(dealId, _hashTypedDataV4(structHash), deal.clientAgentId, client);
        _complete(dealId, deal, progress, rating);
    }

    /// @inheritdoc IDealEscrow
    function releasePart(Deal calldata deal, uint256 released) external {
        bytes32 dealId = _releasable(deal);
        _requireSpeaker(dealId, deal.clientAgentId);
        _releasePart(dealId, deal, released);
    }

    /// @inheritdoc IDealEscrow
    function releasePartFor(Deal calldata deal, uint256 released, Party calldata client) external {
        bytes32 dealId = _releasable(deal);
        bytes32 structHash = StructHash.hash(DealPartRelease(dealId, released));
        _requireConsent(dealId, _hashTypedDataV4(structHash), deal.clientAgentId, client);
        _releasePart(dealId, deal, released);
    }

    /// @inheritdoc IDealEscrow
    function release(Deal calldata deal) external {
        bytes32 dealId = StructHash.hashCalldata(deal);
        Progress storage progress = _requireState(dealId, DealState.Submitted);
        // INVARIANT 4: once delivered, the provider needs nobody to be paid.
        uint48 reviewUntil = progress.reviewUntil;
        if (block.timestamp < reviewUntil) revert DealEscrowTooEarly(dealId, reviewUntil, block.timestamp);

        _complete(dealId, deal, progress, 0);
    }

    /// @inheritdoc IDealEscrow
    function refund(Deal calldata deal) external {
        bytes32 dealId = StructHash.hashCalldata(deal);
        // INVARIANT 2: only a funded deal is in this state, whatever its age.
        Progress storage progress = _requireState(dealId, DealState.Funded);
        // INVARIANT 4: without delivery, the payer needs nobody to be repaid.
        if (block.timestamp <= deal.submitBy)
            revert DealEscrowTooEarly(dealId, uint256(deal.submitBy) + 1, block.timestamp);

        Ending memory ending;
        ending.payer = progress.payer;
        ending.toPayer = _heldOf(dealId, deal, progress) + deal.clientBond + deal.providerBond;
        ending.rating = FAULT_RATING;
        progress.state = DealState.Refunded;
        emit DealRefunded(dealId, ending.payer, ending.toPayer);
        _end(dealId, deal, DealState.Refunded, ending);
    }

    /// @inheritdoc IDealEscrow
    function cancel(Deal calldata deal, Party calldata client, Party calldata provider) external {
        bytes32 dealId = StructHash.hashCalldata(deal);
        Progress storage progress = _progress[dealId];
        DealState state = progress.state;
        // INVARIANT 3: a settled deal stays as it is.
        if (state != DealState.Open) _requireLive(dealId, state);
        _requireConsents(dealId, StructHash.hash(DealCancel(dealId)), deal, client, provider);

        progress.state = DealState.Cancelled;
        if (state == DealState.Open) {
            // INVARIANT 2: what was not funded returns nothing.
            emit DealCancelled(dealId, address(0), 0);
            return;
        }
        Ending memory ending;
        ending.payer = progress.payer;
        ending.toPayer = _heldOf(dealId, deal, progress) + deal.clientBond;
        ending.bonds = deal.providerBond;
        emit DealCancelled(dealId, ending.payer, ending.toPayer);
        if (ending.bonds != 0) ending.payee = _payeeOf(deal);
        _end(dealId, deal, DealState.Cancelled, ending);
    }

    /// @inheritdoc IDealEscrow
    function withdrawOffer(Deal calldata deal) external {
        bytes32 dealId = StructHash.hashCalldata(deal);
        Progress storage progress = _requireState(dealId, DealState.Open);
        if (
            !Parties.speaksFor(registry, deal.clientAgentId, msg.sender) &&
            !Parties.speaksFor(registry, deal.providerAgentId, msg.sender)
        ) revert DealEscrowNotParty(dealId, deal.clientAgentId, msg.sender);

        progress.state = DealState.Cancelled;
        emit DealCancelled(dealId, address(0), 0);
    }

    /// @inheritdoc IDealEscrow
    function withdrawOfferFor(Deal calldata deal, Party calldata party) external {
        bytes32 dealId = StructHash.hashCalldata(deal);
        Progress storage progress = _requireState(dealId, DealState.Open);
        bytes32 digest = _hashTypedDataV4(StructHash.hash(OfferWithdrawal(dealId)));
        if (Parties.consentOf(registry, deal.providerAgentId, digest, party) != Consent.Valid)
            _requireConsent(dealId, digest, deal.clientAgentId, party);

        progress.state = DealState.Cancelled;
        emit DealCancelled(dealId, address(0), 0);
    }

    /// @inheritdoc IDealEscrow
    function depositCredit() external payable {
        if (msg.value != 0) _credit(address(0), msg.sender, msg.value);
    }

    /// @inheritdoc IDealEscrow
    function markDisputed(Deal calldata deal, bytes32 reasonHash) external {
        _requireDisputes();
        bytes32 dealId = StructHash.hashCalldata(deal);
        Progress storage progress = _requireState(dealId, DealState.Submitted);
        if (deal.arbiter == address(0)) revert DealEscrowNoArbiter(dealId);
        uint48 reviewUntil = progress.reviewUntil;
        if (block.timestamp >= reviewUntil) revert DealEscrowTooLate(dealId, reviewUntil, block.timestamp);

        progress.state = DealState.Disputed;
        emit DealDisputed(dealId, deal.arbiter, reasonHash);
        if (deal.hook != address(0))
            _tell(dealId, deal.hook, abi.encodeCall(IDealHook.onDisputed, (dealId, deal, reasonHash)));
    }

    /// @inheritdoc IDealEscrow
    function resolve(Deal calldata deal, Resolution resolution, uint256 toProvider, int8 rating) external {
        _requireDisputes();
        bytes32 dealId = StructHash.hashCalldata(deal);
        Progress storage progress = _progress[dealId];
        if (resolution == Resolution.Agreed) _requireLive(dealId, progress.state);
        else _requireState(dealId, DealState.Disputed);
        uint256 held = _heldOf(dealId, deal, progress);

        Ending memory ending;
        ending.payee = _payeeOf(deal);
        ending.payer = progress.payer;
        ending.rating = rating;
        if (resolution == Resolution.Agreed) {
            if (toProvider > held) revert DealEscrowBadSplit(dealId, toProvider, held);
            ending.earned = toProvider;
        } else if (resolution == Resolution.ForProvider) {
            ending.earned = held;
        } else if (resolution == Resolution.Even) {
            // INVARIANT 9: the odd unit is the provider's.
            ending.earned = held - held / 2;
        }
        ending.toPayer = held - ending.earned;
        // Who lost a dispute loses its bond to the other side.
        if (resolution == Resolution.ForClient) ending.toPayer += deal.providerBond;
        else ending.bonds = deal.providerBond;
        if (resolution == Resolution.ForProvider) ending.bonds += deal.clientBond;
        else ending.toPayer += deal.clientBond;

        progress.state = DealState.Resolved;
        emit DealResolved(dealId, resolution, ending.payee, ending.earned + ending.bonds, ending.toPayer, rating);
        _end(dealId, deal, DealState.Resolved, ending);
    }

    /// @inheritdoc IDealEscrow
    function digestOf(Deal calldata deal) external view returns (bytes32) {
        return _hashTypedDataV4(StructHash.hashCalldata(deal));
    }

    /// @inheritdoc IDealEscrow
    function digestOfStruct(bytes32 structHash) external view returns (bytes32) {
        return _hashTypedDataV4(structHash);
    }

    /// @inheritdoc IDealEscrow
    function hashDeal(Deal calldata deal) external pure returns (bytes32 dealId) {
        return StructHash.hashCalldata(deal);
    }

    /// @dev Checks, effect and event of every way to open; the caller brings the money in.
    function _fund(
        Deal calldata deal,
        Party calldata client,
        Party calldata provider,
        address payer,
        bytes calldata scoreProof
    ) private returns (bytes32 dealId) {
        dealId = StructHash.hashCalldata(deal);
        // INVARIANT 5: a dealId leaves Open once, so that neither signature works twice or after a cancel.
        Progress storage progress = _requireState(dealId, DealState.Open);
        DealTerms.check(deal);
        _requireConsents(dealId, dealId, deal, client, provider);
        if (deal.topic != 0 && address(bondCurve) != address(0)) {
            uint256 required = bondCurve.requiredProviderBond(deal, scoreProof);
            if (deal.providerBond < required) revert DealEscrowBondTooLow(deal.providerBond, required);
        }

        // The rest is zero; a struct at once would be written in four parts.
        progress.payer = payer;
        progress.state = DealState.Funded;
        _emitFunded(dealId, deal, payer);
    }

    function _submittable(
        Deal calldata deal,
        bytes32 deliverableHash
    ) private view returns (bytes32 dealId, Progress storage progress) {
        dealId = StructHash.hashCalldata(deal);
        progress = _requireState(dealId, DealState.Funded);
        if (deliverableHash == 0) revert DealEscrowZeroDeliverable(dealId);
        if (block.timestamp > deal.submitBy) revert DealEscrowTooLate(dealId, deal.submitBy, block.timestamp);
    }

    function _submit(bytes32 dealId, Deal calldata deal, Progress storage progress, bytes32 deliverableHash) private {
        uint48 reviewUntil = uint48(block.timestamp) + deal.reviewPeriod;
        progress.state = DealState.Submitted;
        progress.reviewUntil = reviewUntil;
        emit DealSubmitted(dealId, deliverableHash, reviewUntil);
        if (deal.hook != address(0))
            _tell(dealId, deal.hook, abi.encodeCall(IDealHook.onSubmitted, (dealId, deal, deliverableHash)));
    }

    function _completable(
        Deal calldata deal,
        int8 rating
    ) private view returns (bytes32 dealId, Progress storage progress) {
        dealId = StructHash.hashCalldata(deal);
        progress = _requireState(dealId, DealState.Submitted);
        _requireRating(rating);
    }

    function _complete(bytes32 dealId, Deal calldata deal, Progress storage progress, int8 rating) private {
        address payee = _payeeOf(deal);
        uint256 held = _heldOf(dealId, deal, progress);
        address payer = progress.payer;

        progress.state = DealState.Completed;
        emit DealCompleted(dealId, payee, held + deal.providerBond, rating);
        _end(dealId, deal, DealState.Completed, Ending(payee, held, deal.providerBond, payer, deal.clientBond, rating));
    }

    function _releasable(Deal calldata deal) private view returns (bytes32 dealId) {
        dealId = StructHash.hashCalldata(deal);
        DealState state = _progress[dealId].state;
        // What is disputed is the arbiter's.
        if (state != DealState.Funded && state != DealState.Submitted) revert DealEscrowNotLive(dealId, state);
    }

    function _releasePart(bytes32 dealId, Deal calldata deal, uint256 released) private {
        uint256 before = releasedOf[dealId];
        // INVARIANT 5: the sum only grows, so that a signature over it works once.
        if (released <= before || released >= deal.price)
            revert DealEscrowBadPart(dealId, released, before + 1, deal.price - 1);
        address payee = _payeeOf(deal);

        releasedOf[dealId] = released;
        _progress[dealId].hasParts = true;
        emit DealPartReleased(dealId, payee, released - before, released);
        _payEarned(dealId, deal, payee, released - before, 0);
    }

    function _requireDisputes() private view {
        if (msg.sender != address(disputes)) revert DealEscrowNotDisputes(msg.sender);
    }

    function _requireRating(int8 rating) private pure {
        if (rating < -MAX_RATING || rating > MAX_RATING) revert DealEscrowBadRating(rating);
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
        Consent consent = Parties.consentOf(registry, agentId, digest, party);
        if (consent == Consent.Valid) return;
        if (consent == Consent.InvalidSigner) revert DealEscrowInvalidSigner(agentId, keccak256(party.signer));
        revert DealEscrowBadSignature(dealId, agentId);
    }

    function _requireSpeaker(bytes32 dealId, uint256 agentId) private view {
        if (!Parties.speaksFor(registry, agentId, msg.sender)) revert DealEscrowNotParty(dealId, agentId, msg.sender);
    }
}
