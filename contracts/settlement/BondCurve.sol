// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IBondCurve} from "../interfaces/IBondCurve.sol";
import {IEpochClock} from "../interfaces/IEpochClock.sol";
import {IERC8004Identity} from "../interfaces/IERC8004Identity.sol";
import {IReputationEpochs} from "../interfaces/IReputationEpochs.sol";
import {Deal} from "../libraries/Types.sol";

/// @notice See IBondCurve.
contract BondCurve is IBondCurve {
    uint256 private constant ONE = 1 << 16;
    /// @dev 64 times the floor: a governor cannot shut newcomers out of a topic by an absurd factor.
    uint256 private constant MAX_FACTOR = 1 << 22;
    /// @dev Gains above it are refused: then no product here can exceed a word.
    uint256 private constant MAX_GAIN = 1 << 160;
    /// @dev What is set in epoch e counts from e + NOTICE on: at least one whole epoch to see it come.
    uint256 private constant NOTICE = 2;

    struct TimedCurve {
        Curve current;
        Curve next;
        uint64 nextFrom;
    }

    struct TimedExposure {
        uint128 current;
        uint128 next;
        uint64 nextFrom;
    }

    /// @inheritdoc IBondCurve
    address public immutable governor;
    IReputationEpochs private immutable EPOCHS;
    IEpochClock private immutable CLOCK;
    IERC8004Identity private immutable REGISTRY;

    mapping(uint64 topic => TimedCurve) private _curves;
    mapping(uint256 clientAgentId => mapping(uint64 topic => mapping(address token => TimedExposure)))
        private _exposures;

    constructor(IReputationEpochs epochs, IEpochClock clock, IERC8004Identity registry, address governor_) {
        EPOCHS = epochs;
        CLOCK = clock;
        REGISTRY = registry;
        governor = governor_;
    }

    /// @inheritdoc IBondCurve
    function setCurve(uint64 topic, Curve calldata curve) external {
        require(msg.sender == governor, BondCurveNotGovernor(msg.sender));
        require(topic != 0, BondCurveZeroTopic());
        bool isNone = curve.slashShare == 0 && curve.factorAtZero == 0 && curve.halfScore == 0;
        // INVARIANT: λ·q_min >= gain needs λ <= 1 and a factor of at least 1; falling with the score needs halfScore > 0.
        bool isCurve =
            curve.slashShare != 0 &&
                curve.slashShare <= ONE &&
                curve.factorAtZero >= ONE &&
                curve.factorAtZero <= MAX_FACTOR &&
                curve.halfScore != 0;
        require(isNone || isCurve, BondCurveBadCurve(curve));

        uint256 epoch = CLOCK.epoch();
        TimedCurve storage timed = _curves[topic];
        if (timed.nextFrom != 0 && timed.nextFrom <= epoch) timed.current = timed.next;
        timed.next = curve;
        timed.nextFrom = uint64(epoch + NOTICE);
        emit CurveSet(topic, curve, epoch + NOTICE);
    }

    /// @inheritdoc IBondCurve
    function declareExposure(uint256 clientAgentId, uint64 topic, address token, uint128 exposure) external {
        require(topic != 0, BondCurveZeroTopic());
        require(
            REGISTRY.isAuthorizedOrOwner(msg.sender, clientAgentId),
            BondCurveNotAuthorized(clientAgentId, msg.sender)
        );

        uint256 epoch = CLOCK.epoch();
        TimedExposure storage timed = _exposures[clientAgentId][topic][token];
        if (timed.nextFrom != 0 && timed.nextFrom <= epoch) timed.current = timed.next;
        timed.next = exposure;
        timed.nextFrom = uint64(epoch + NOTICE);
        emit ExposureDeclared(clientAgentId, topic, token, exposure, epoch + NOTICE);
    }

    /// @inheritdoc IBondCurve
    function requiredProviderBond(Deal calldata deal, bytes calldata scoreProof) external view returns (uint256) {
        if (deal.topic == 0) return 0;
        (Curve memory curve, , ) = curveOf(deal.topic);
        if (curve.slashShare == 0) return 0;
        (uint256 exposure, , ) = exposureOf(deal.clientAgentId, deal.topic, deal.token);
        require(deal.price <= MAX_GAIN - exposure, BondCurveTooMuch(deal.price, MAX_GAIN - exposure));
        return bondFor(curve, deal.price + exposure, _relativeScore(deal, scoreProof));
    }

    /// @inheritdoc IBondCurve
    function bondFor(Curve memory curve, uint256 gain, uint64 relativeScore) public pure returns (uint256) {
        if (curve.slashShare == 0) return 0;
        require(gain <= MAX_GAIN, BondCurveTooMuch(gain, MAX_GAIN));
        // INVARIANT: slashShare·floor >= gain·2^16: what a proven fault costs is never less than what it brings.
        uint256 floor = Math.ceilDiv(gain * ONE, curve.slashShare);
        // A score is at most 2^62 and a topic has fewer than 2^32 seats: r < 2^48.
        uint256 extra = Math.ceilDiv(
            (curve.factorAtZero - ONE) * curve.halfScore,
            uint256(curve.halfScore) + relativeScore
        );
        return Math.ceilDiv(floor * (ONE + extra), ONE);
    }

    /// @inheritdoc IBondCurve
    function curveOf(uint64 topic) public view returns (Curve memory curve, Curve memory next, uint256 nextFrom) {
        TimedCurve memory timed = _curves[topic];
        if (timed.nextFrom == 0) return (timed.current, next, 0);
        if (timed.nextFrom <= CLOCK.epoch()) return (timed.next, next, 0);
        return (timed.current, timed.next, timed.nextFrom);
    }

    /// @inheritdoc IBondCurve
    function exposureOf(
        uint256 clientAgentId,
        uint64 topic,
        address token
    ) public view returns (uint128 exposure, uint128 next, uint256 nextFrom) {
        TimedExposure memory timed = _exposures[clientAgentId][topic][token];
        if (timed.nextFrom == 0) return (timed.current, 0, 0);
        if (timed.nextFrom <= CLOCK.epoch()) return (timed.next, 0, 0);
        return (timed.current, timed.next, timed.nextFrom);
    }

    /// @dev The provider's score as a multiple of the topic's uniform share, in 1/2^16. The proof is checked against the root
    /// that is pinned for the topic: another epoch than the deal's, another agent's leaf or a false sibling reverts.
    function _relativeScore(Deal calldata deal, bytes calldata scoreProof) private view returns (uint64) {
        if (scoreProof.length == 0) return 0;
        (uint32 seat, uint256 leaf, bytes32[] memory proof) = abi.decode(scoreProof, (uint32, uint256, bytes32[]));
        uint256 query = uint256(deal.topic) | (uint256(deal.epoch) << 64) | (uint256(seat) << 96);
        (uint32 agentId, uint64 score) = EPOCHS.verifyScore(query, leaf, proof);
        require(agentId == deal.providerAgentId, BondCurveOtherAgent(deal.providerAgentId, agentId));
        (, , uint256 leafCount, , ) = EPOCHS.finalizedOf(deal.topic);
        return uint64((score * leafCount) >> 46);
    }
}
