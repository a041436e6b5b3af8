// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IArbitrable, IArbitrator, IEvidence} from "../interfaces/IArbitrator.sol";
import {IBindings} from "../interfaces/IBindings.sol";
import {FeeStage, IDealDisputes} from "../interfaces/IDealDisputes.sol";
import {DealState, IDealEscrow, Resolution} from "../interfaces/IDealEscrow.sol";
import {StructHash} from "../libraries/StructHash.sol";
import {Deal, DealDispute, SplitProposal} from "../libraries/Types.sol";
import {Credits} from "./Credits.sol";
import {Consent, Parties} from "./Parties.sol";

/// @notice See IDealDisputes. Made by the escrow, which alone moves a deal's money; here are only the arbitrators' fees.
contract DealDisputes is IDealDisputes, IArbitrable, IEvidence, Credits {
    /// @dev One slot a dispute. A fee fits 96 bits: there is less native value than that. From creation on both fees are what
    /// the arbitrator got, and `feeBy` is the deal's arbiterDeadline.
    struct Fees {
        uint96 clientFee;
        uint96 providerFee;
        uint48 feeBy;
        FeeStage stage;
        uint8 ruling;
    }

    /// @dev Refused (0), for the client (1), for the provider (2).
    uint256 private constant CHOICES = 2;
    int8 private constant MAX_RATING = 100;
    uint8 private constant FOR_CLIENT = 1;
    uint8 private constant FOR_PROVIDER = 2;
    /// @dev The side that owes has this part of the time that is left for a ruling.
    uint48 private constant FEE_TIME_DIVISOR = 4;
    /// @dev What an arbitrator may take to name its cost. Whoever calls has to bring it, lest a client makes an arbitrator look
    /// like an account that charges nothing.
    uint256 private constant COST_GAS = 200_000;
    uint256 private constant COST_GAS_REQUIRED = (COST_GAS * 64) / 63 + 10_000;

    /// @inheritdoc IDealDisputes
    IDealEscrow public immutable escrow;
    IBindings private immutable REGISTRY;

    mapping(bytes32 dealId => Fees) private _disputes;
    /// @inheritdoc IDealDisputes
    mapping(address arbitrator => mapping(uint256 disputeId => bytes32 dealId)) public dealOfDispute;

    constructor(IBindings registry) {
        escrow = IDealEscrow(msg.sender);
        REGISTRY = registry;
    }

    /// @inheritdoc IDealDisputes
    function dispute(Deal calldata deal, bytes32 reasonHash) external payable {
        bytes32 dealId = StructHash.hashCalldata(deal);
        if (!Parties.speaksFor(REGISTRY, deal.clientAgentId, msg.sender))
            revert DealDisputesNotParty(dealId, deal.clientAgentId, msg.sender);
        _dispute(dealId, deal, reasonHash);
    }

    /// @inheritdoc IDealDisputes
    function disputeFor(Deal calldata deal, bytes32 reasonHash, IDealEscrow.Party calldata client) external payable {
        bytes32 dealId = StructHash.hashCalldata(deal);
        bytes32 digest = escrow.digestOfStruct(StructHash.hash(DealDispute(dealId, reasonHash)));
        _requireConsent(dealId, digest, deal.clientAgentId, client);
        _dispute(dealId, deal, reasonHash);
    }

    /// @inheritdoc IDealDisputes
    function settle(
        Deal calldata deal,
        SplitProposal calldata proposal,
        IDealEscrow.Party calldata client,
        IDealEscrow.Party calldata provider
    ) external {
        bytes32 dealId = StructHash.hashCalldata(deal);
        if (block.timestamp > proposal.validUntil)
            revert DealDisputesTooLate(dealId, proposal.validUntil, block.timestamp);
        if (proposal.rating < -MAX_RATING || proposal.rating > MAX_RATING)
            revert IDealEscrow.DealEscrowBadRating(proposal.rating);
        // INVARIANT 5: a proposal of another deal has another hash; of this one it works once, as the deal ends with it.
        SplitProposal memory signed = SplitProposal(dealId, proposal.toProvider, proposal.rating, proposal.validUntil);
        bytes32 digest = escrow.digestOfStruct(StructHash.hash(signed));
        _requireConsent(dealId, digest, deal.clientAgentId, client);
        _requireConsent(dealId, digest, deal.providerAgentId, provider);

        Fees memory current = _close(dealId);
        escrow.resolve(deal, Resolution.Agreed, signed.toProvider, signed.rating);
        _returnFees(dealId, deal, current, Resolution.Agreed);
    }

    /// @inheritdoc IDealDisputes
    function depositFee(Deal calldata deal, bool isCreating) external payable {
        bytes32 dealId = _requireDisputed(deal);
        Fees memory current = _disputes[dealId];
        bool isClient = current.stage == FeeStage.ClientOwes;
        if (!isClient && current.stage != FeeStage.ProviderOwes) revert DealDisputesWrongStage(dealId, current.stage);
        if (block.timestamp > current.feeBy) revert DealDisputesTooLate(dealId, current.feeBy, block.timestamp);
        (uint256 own, uint256 other) = isClient
            ? (current.clientFee, current.providerFee)
            : (current.providerFee, current.clientFee);
        uint256 cost = _costOr(deal.arbiter, other);
        uint256 owed = cost > own ? cost - own : 0;
        if (msg.value < owed) revert DealDisputesFeeTooLow(dealId, msg.value, owed);

        if (isClient) current.clientFee += uint96(owed);
        else current.providerFee += uint96(owed);
        current.stage =
            other >= cost
                ? FeeStage.Paid
                : isClient
                    ? FeeStage.ProviderOwes
                    : FeeStage.ClientOwes;
        if (current.stage != FeeStage.Paid) current.feeBy = _feeBy(deal);
        _disputes[dealId] = current;
        emit FeeDeposited(dealId, isClient, msg.sender, owed, current.stage, current.feeBy);
        if (msg.value > owed) _credit(address(0), msg.sender, msg.value - owed);
        if (isCreating && current.stage == FeeStage.Paid) _create(dealId, deal);
    }

    /// @inheritdoc IDealDisputes
    function createDispute(Deal calldata deal) external {
        bytes32 dealId = _requireDisputed(deal);
        FeeStage stage = _disputes[dealId].stage;
        if (stage != FeeStage.Paid) revert DealDisputesWrongStage(dealId, stage);
        if (block.timestamp > deal.arbiterDeadline)
            revert DealDisputesTooLate(dealId, deal.arbiterDeadline, block.timestamp);
        _create(dealId, deal);
    }

    /// @inheritdoc IDealDisputes
    function appeal(Deal calldata deal, uint256 disputeId) external payable {
        bytes32 dealId = _requireDisputed(deal);
        if (dealOfDispute[deal.arbiter][disputeId] != dealId)
            revert DealDisputesUnknownDispute(deal.arbiter, disputeId);
        emit Appealed(dealId, disputeId, msg.sender, msg.value);
        IArbitrator(deal.arbiter).appeal{value: msg.value}(disputeId, "");
    }

    /// @inheritdoc IDealDisputes
    function submitEvidence(Deal calldata deal, string calldata evidence) external {
        bytes32 dealId = _requireDisputed(deal);
        if (
            !Parties.speaksFor(REGISTRY, deal.clientAgentId, msg.sender) &&
            !Parties.speaksFor(REGISTRY, deal.providerAgentId, msg.sender)
        ) revert DealDisputesNotParty(dealId, deal.clientAgentId, msg.sender);
        emit Evidence(IArbitrator(deal.arbiter), uint256(dealId), msg.sender, evidence);
    }

    /// @inheritdoc IArbitrable
    /// @dev Only kept: `resolve` presents the deal and pays. Nothing that a recipient does can block an arbitrator.
    function rule(uint256 disputeId, uint256 ruling) external {
        bytes32 dealId = dealOfDispute[msg.sender][disputeId];
        if (dealId == 0) revert DealDisputesUnknownDispute(msg.sender, disputeId);
        Fees storage current = _disputes[dealId];
        if (current.stage != FeeStage.Created) revert DealDisputesWrongStage(dealId, current.stage);
        if (block.timestamp > current.feeBy) revert DealDisputesTooLate(dealId, current.feeBy, block.timestamp);

        current.stage = FeeStage.Ruled;
        current.ruling = ruling <= CHOICES ? uint8(ruling) : 0;
        emit Ruling(IArbitrator(msg.sender), disputeId, ruling);
        emit Ruled(dealId, msg.sender, ruling);
    }

    /// @inheritdoc IDealDisputes
    function ruleAsArbiter(Deal calldata deal, uint256 ruling) external {
        bytes32 dealId = StructHash.hashCalldata(deal);
        if (msg.sender != deal.arbiter) revert DealDisputesNotArbiter(dealId, msg.sender);
        FeeStage stage = _disputes[dealId].stage;
        if (stage != FeeStage.None) revert DealDisputesWrongStage(dealId, stage);
        if (block.timestamp > deal.arbiterDeadline)
            revert DealDisputesTooLate(dealId, deal.arbiterDeadline, block.timestamp);
        if (ruling > CHOICES) revert DealDisputesBadRuling(dealId, ruling);

        emit Ruled(dealId, msg.sender, ruling);
        _end(deal, _resolutionOf(uint8(ruling)));
    }

    /// @inheritdoc IDealDisputes
    function resolve(Deal calldata deal) external {
        bytes32 dealId = StructHash.hashCalldata(deal);
        Fees memory current = _disputes[dealId];
        (DealState state, , ) = escrow.dealOf(dealId);
        if (state != DealState.Disputed) {
            // Both sides ended the deal, or nothing was ever disputed here.
            if (current.stage == FeeStage.None || current.stage == FeeStage.Closed)
                revert DealDisputesWrongStage(dealId, current.stage);
            _returnFees(dealId, deal, _close(dealId), Resolution.Agreed);
            return;
        }
        Resolution resolution = Resolution.Even;
        bool isOwed = current.stage == FeeStage.ProviderOwes || current.stage == FeeStage.ClientOwes;
        if (current.stage == FeeStage.Ruled) {
            resolution = _resolutionOf(current.ruling);
        } else {
            // INVARIANT 4: no arbiter and no counterparty can hold a dispute beyond these seconds.
            uint256 last = isOwed ? current.feeBy : deal.arbiterDeadline;
            if (block.timestamp <= last) revert DealDisputesTooEarly(dealId, last + 1, block.timestamp);
            if (isOwed)
                resolution = current.stage == FeeStage.ProviderOwes ? Resolution.ForClient : Resolution.ForProvider;
        }
        // The deal ends before anybody is paid: a recipient that re-enters finds nothing left to end.
        _close(dealId);
        _end(deal, resolution);
        _returnFees(dealId, deal, current, resolution);
    }

    /// @inheritdoc IDealDisputes
    function disputeOf(
        bytes32 dealId
    ) external view returns (uint96 clientFee, uint96 providerFee, uint48 feeBy, FeeStage stage, uint8 ruling) {
        Fees memory current = _disputes[dealId];
        return (current.clientFee, current.providerFee, current.feeBy, current.stage, current.ruling);
    }

    function _dispute(bytes32 dealId, Deal calldata deal, bytes32 reasonHash) private {
        escrow.markDisputed(deal, reasonHash);
        (bool isArbitrator, uint256 cost) = _costOf(deal.arbiter);
        if (!isArbitrator) cost = 0;
        if (msg.value < cost) revert DealDisputesFeeTooLow(dealId, msg.value, cost);
        if (msg.value > cost) _credit(address(0), msg.sender, msg.value - cost);
        if (!isArbitrator) return;

        FeeStage stage = cost == 0 ? FeeStage.Paid : FeeStage.ProviderOwes;
        uint48 feeBy = _feeBy(deal);
        _disputes[dealId] = Fees(uint96(cost), 0, feeBy, stage, 0);
        emit FeeDeposited(dealId, true, msg.sender, cost, stage, feeBy);
    }

    /// @dev INVARIANT 7: an arbitrator that takes no dispute blocks nothing: the deposits stay, anyone may try again, and
    /// arbiterDeadline ends it.
    function _create(bytes32 dealId, Deal calldata deal) private {
        IArbitrator arbitrator = IArbitrator(deal.arbiter);
        Fees memory before = _disputes[dealId];
        uint256 cost = _costOr(deal.arbiter, type(uint256).max);
        uint256 least = before.clientFee < before.providerFee ? before.clientFee : before.providerFee;
        if (least < cost) revert DealDisputesFeeTooLow(dealId, least, cost);
        // Before the call: an arbitrator that re-enters finds a dispute that is created already.
        _disputes[dealId] = Fees(uint96(cost), uint96(cost), deal.arbiterDeadline, FeeStage.Created, 0);

        uint256 disputeId = arbitrator.createDispute{value: cost}(CHOICES, "");
        // INVARIANT: an arbitrator's dispute belongs to one deal for ever.
        if (dealOfDispute[deal.arbiter][disputeId] != 0) revert DealDisputesUnknownDispute(deal.arbiter, disputeId);
        // INVARIANT 14: what an arbitrator ends from inside would be told before its beginning.
        FeeStage stage = _disputes[dealId].stage;
        if (stage != FeeStage.Created) revert DealDisputesWrongStage(dealId, stage);
        dealOfDispute[deal.arbiter][disputeId] = dealId;
        emit DisputeCreated(dealId, arbitrator, disputeId, cost);
        emit Dispute(arbitrator, disputeId, 0, uint256(dealId));
        emit DisputeRequest(arbitrator, disputeId, uint256(dealId), 0, "");
        // What was deposited beyond the cost, which has fallen, goes back.
        _payAgent(deal.clientAgentId, before.clientFee - cost);
        _payAgent(deal.providerAgentId, before.providerFee - cost);
    }

    /// @return current what was there; where there was nothing, nothing is written
    function _close(bytes32 dealId) private returns (Fees memory current) {
        current = _disputes[dealId];
        if (current.stage != FeeStage.None) _disputes[dealId] = Fees(0, 0, 0, FeeStage.Closed, current.ruling);
    }

    /// @dev Before creation each side has its own back. After it one fee is spent and one is left: the winner's, or half each,
    /// the odd wei to the provider.
    function _returnFees(bytes32 dealId, Deal calldata deal, Fees memory current, Resolution resolution) private {
        if (current.stage == FeeStage.None) return;
        (uint256 toClient, uint256 toProvider) = (current.clientFee, current.providerFee);
        if (current.stage == FeeStage.Created || current.stage == FeeStage.Ruled) {
            uint256 left = toClient;
            if (resolution == Resolution.ForClient) toClient = left;
            else if (resolution == Resolution.ForProvider) toClient = 0;
            else toClient = left / 2;
            toProvider = left - toClient;
        }
        emit FeesReturned(dealId, toClient, toProvider);
        _payAgent(deal.clientAgentId, toClient);
        _payAgent(deal.providerAgentId, toProvider);
    }

    function _payAgent(uint256 agentId, uint256 amount) private {
        if (amount != 0) _pay(address(0), Parties.payeeOf(REGISTRY, agentId), amount);
    }

    function _requireDisputed(Deal calldata deal) private view returns (bytes32 dealId) {
        dealId = StructHash.hashCalldata(deal);
        (DealState state, , ) = escrow.dealOf(dealId);
        if (state != DealState.Disputed) revert IDealEscrow.DealEscrowWrongState(dealId, state, DealState.Disputed);
    }

    /// @dev A ruling for the client is a bad mark; one for the provider is none, for nobody is made to praise.
    function _end(Deal calldata deal, Resolution resolution) private {
        escrow.resolve(deal, resolution, 0, resolution == Resolution.ForClient ? -MAX_RATING : int8(0));
    }

    function _requireConsent(
        bytes32 dealId,
        bytes32 digest,
        uint256 agentId,
        IDealEscrow.Party calldata party
    ) private view {
        Consent consent = Parties.consentOf(REGISTRY, agentId, digest, party);
        if (consent == Consent.InvalidSigner)
            revert IDealEscrow.DealEscrowInvalidSigner(agentId, keccak256(party.signer));
        if (consent == Consent.BadSignature) revert IDealEscrow.DealEscrowBadSignature(dealId, agentId);
    }

    /// @dev True for a contract that answers `arbitrationCost("")` with one word.
    function _costOf(address arbiter) private view returns (bool isArbitrator, uint256 cost) {
        if (arbiter.code.length == 0) return (false, 0);
        if (gasleft() < COST_GAS_REQUIRED) revert IDealEscrow.DealEscrowLowGas(gasleft(), COST_GAS_REQUIRED);
        bytes memory input = abi.encodeCall(IArbitrator.arbitrationCost, (""));
        assembly ("memory-safe") {
            isArbitrator := staticcall(COST_GAS, arbiter, add(input, 0x20), mload(input), 0, 0x20)
            isArbitrator := and(isArbitrator, gt(returndatasize(), 0x1f))
            cost := mload(0)
        }
    }

    /// @dev An arbitrator that names no cost any more costs what the other side has deposited: nobody loses by its silence.
    function _costOr(address arbiter, uint256 otherwise) private view returns (uint256) {
        (bool isArbitrator, uint256 cost) = _costOf(arbiter);
        return isArbitrator ? cost : otherwise;
    }

    function _feeBy(Deal calldata deal) private view returns (uint48) {
        uint48 now_ = uint48(block.timestamp);
        // Both the beginning of a dispute and every deposit come before arbiterDeadline.
        return now_ + (deal.arbiterDeadline - now_) / FEE_TIME_DIVISOR;
    }

    function _resolutionOf(uint8 ruling) private pure returns (Resolution) {
        if (ruling == FOR_CLIENT) return Resolution.ForClient;
        return ruling == FOR_PROVIDER ? Resolution.ForProvider : Resolution.Even;
    }
}
