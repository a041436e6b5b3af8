// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IArbitrator} from "../interfaces/IArbitrator.sol";
import {IBindings} from "../interfaces/IBindings.sol";
import {FeeStage, IDealDisputes} from "../interfaces/IDealDisputes.sol";
import {Accused, IRulingSlasher} from "../interfaces/IRulingSlasher.sol";
import {IStakeVault} from "../interfaces/IStakeVault.sol";
import {Forwarded} from "../libraries/Forwarded.sol";
import {StructHash} from "../libraries/StructHash.sol";
import {Deal} from "../libraries/Types.sol";
import {Credits} from "../settlement/Credits.sol";
import {Parties} from "../settlement/Parties.sol";

/// @notice See IRulingSlasher.
contract RulingSlasher is IRulingSlasher, Credits, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @dev Two slots: the vault holds no stake, and so no penalty, above 112 bits.
    struct Accusation {
        address accuser;
        uint32 agentId;
        uint48 until;
        Accused stage;
        uint128 frozen;
        uint128 bond;
    }

    /// @dev As DealDisputes counts rulings.
    uint256 private constant FOR_CLIENT = 1;
    uint256 private constant FOR_PROVIDER = 2;
    /// @dev No agent has more stake.
    uint256 private constant MAX_AMOUNT = type(uint112).max;

    /// @inheritdoc IRulingSlasher
    IDealDisputes public immutable disputes;
    /// @inheritdoc IRulingSlasher
    IArbitrator public immutable arbitrator;
    /// @inheritdoc IRulingSlasher
    uint256 public immutable penalty;
    /// @inheritdoc IRulingSlasher
    uint256 public immutable accuserBond;
    IStakeVault private immutable VAULT;
    IERC20 private immutable TOKEN;
    IBindings private immutable REGISTRY;

    mapping(bytes32 dealId => Accusation) private _accusations;

    constructor(
        IStakeVault vault,
        IDealDisputes disputes_,
        IArbitrator arbitrator_,
        uint256 penalty_,
        uint256 accuserBond_
    ) {
        // An accusation that costs nothing would freeze anybody's stake for the asking.
        require(
            penalty_ != 0 && penalty_ <= MAX_AMOUNT && accuserBond_ != 0 && accuserBond_ <= MAX_AMOUNT,
            RulingSlasherBadTerms(penalty_, accuserBond_)
        );
        VAULT = vault;
        TOKEN = IERC20(vault.token());
        REGISTRY = disputes_.escrow().registry();
        disputes = disputes_;
        arbitrator = arbitrator_;
        penalty = penalty_;
        accuserBond = accuserBond_;
    }

    /// @inheritdoc IRulingSlasher
    function accuse(Deal calldata deal, uint256 disputeId) external nonReentrant returns (uint256 frozen) {
        bytes32 dealId = _requireUnaccused(deal);
        require(
            disputes.dealOfDispute(address(arbitrator), disputeId) == dealId,
            RulingSlasherUnknownDispute(dealId, disputeId)
        );
        // INVARIANT: a freeze rests on a ruling that exists; only its being final is open.
        IArbitrator.DisputeStatus status = arbitrator.disputeStatus(disputeId);
        require(status == IArbitrator.DisputeStatus.Appealable, RulingSlasherNotAppealable(dealId, status));
        uint256 ruling = arbitrator.currentRuling(disputeId);
        require(ruling == FOR_CLIENT, RulingSlasherOtherRuling(dealId, ruling));

        uint32 agentId = SafeCast.toUint32(deal.providerAgentId);
        // The vault and its token call nobody else before the record stands; the guard covers what they would.
        uint256 bond;
        (frozen, bond) = priceOf(deal);
        frozen = VAULT.freeze(agentId, frozen);
        _accusations[dealId] = Accusation({
            accuser: msg.sender,
            agentId: agentId,
            until: deal.arbiterDeadline,
            stage: Accused.Frozen,
            frozen: uint128(frozen),
            bond: uint128(bond)
        });
        emit AccusationMade(dealId, agentId, msg.sender, disputeId, frozen, bond);
        uint256 balanceBefore = TOKEN.balanceOf(address(this));
        TOKEN.safeTransferFrom(msg.sender, address(this), bond);
        uint256 received = TOKEN.balanceOf(address(this)) - balanceBefore;
        // INVARIANT 8: what a wrong accusation will cost has arrived, to the unit.
        require(received == bond, RulingSlasherShortfall(bond, received));
    }

    /// @inheritdoc IRulingSlasher
    function conclude(bytes32 dealId) external nonReentrant {
        Accusation memory accusation = _accusations[dealId];
        require(accusation.stage == Accused.Frozen, RulingSlasherWrongStage(dealId, accusation.stage));
        (bool isFinal, uint256 ruling) = _rulingOf(dealId);
        // INVARIANT 4: no arbitrator keeps stake frozen: after the deadline no ruling is taken any more.
        require(
            isFinal || block.timestamp > accusation.until,
            RulingSlasherNotFinal(dealId, accusation.until, block.timestamp)
        );

        address bondTo = accusation.accuser;
        Accused outcome = Accused.Lifted;
        if (ruling == FOR_CLIENT) {
            outcome = Accused.Slashed;
        } else if (ruling == FOR_PROVIDER) {
            (outcome, bondTo) = (Accused.Acquitted, Parties.payeeOf(REGISTRY, accusation.agentId));
        }
        _accusations[dealId].stage = outcome;
        emit AccusationEnded(dealId, accusation.agentId, outcome, accusation.frozen, bondTo);
        if (outcome == Accused.Slashed) {
            VAULT.slash(accusation.agentId, accusation.frozen, accusation.frozen / 2, accusation.accuser);
        } else {
            VAULT.unlock(accusation.agentId, accusation.frozen);
        }
        _pay(address(TOKEN), bondTo, accusation.bond);
    }

    /// @inheritdoc IRulingSlasher
    function punish(Deal calldata deal) external nonReentrant returns (uint256 taken) {
        bytes32 dealId = _requireUnaccused(deal);
        (bool isFinal, uint256 ruling) = _rulingOf(dealId);
        require(isFinal, RulingSlasherNotFinal(dealId, deal.arbiterDeadline, block.timestamp));
        require(ruling == FOR_CLIENT, RulingSlasherOtherRuling(dealId, ruling));

        uint32 agentId = SafeCast.toUint32(deal.providerAgentId);
        // Who comes with a reserved report comes through the vault.
        address reporter = msg.sender == address(VAULT) ? Forwarded.sender() : address(0);
        _accusations[dealId] = Accusation(reporter, agentId, 0, Accused.Slashed, 0, 0);
        (taken, ) = priceOf(deal);
        taken = VAULT.seize(agentId, taken, reporter);
        emit RulingPunished(dealId, agentId, reporter, taken);
    }

    /// @inheritdoc IRulingSlasher
    function accusationOf(
        bytes32 dealId
    )
        external
        view
        returns (Accused stage, address accuser, uint32 agentId, uint48 until, uint256 frozen, uint256 bond)
    {
        Accusation memory found = _accusations[dealId];
        return (found.stage, found.accuser, found.agentId, found.until, found.frozen, found.bond);
    }

    /// @inheritdoc IRulingSlasher
    function priceOf(Deal calldata deal) public view returns (uint256 stake, uint256 bond) {
        // INVARIANT: a ruling brings its reporter less than the deal had at stake, so that no small deal is opened to be disputed. What
        // is paid in another token has no price here.
        uint256 most = deal.token == address(TOKEN) ? deal.price + deal.providerBond : type(uint256).max;
        return (Math.min(penalty, most), Math.min(accuserBond, most));
    }

    /// @dev INVARIANT: a deal's ruling is paid for once.
    function _requireUnaccused(Deal calldata deal) private view returns (bytes32 dealId) {
        dealId = StructHash.hashCalldata(deal);
        require(deal.arbiter == address(arbitrator), RulingSlasherNotArbitrator(deal.arbiter));
        Accused stage = _accusations[dealId].stage;
        require(stage == Accused.Not, RulingSlasherWrongStage(dealId, stage));
    }

    /// @dev What the arbitrator has delivered. It stays on record when both sides settle after it: a client that is paid to be silent
    /// takes no ruling back. Closed without a ruling reads as 0, for neither.
    function _rulingOf(bytes32 dealId) private view returns (bool isFinal, uint256 ruling) {
        (, , , FeeStage stage, uint8 given) = disputes.disputeOf(dealId);
        isFinal = stage == FeeStage.Ruled || stage == FeeStage.Closed;
        ruling = isFinal ? given : 0;
    }
}
