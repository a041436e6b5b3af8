// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Deal} from "../libraries/Types.sol";

/// @title Bonds priced by reputation (arXiv 2606.17368 eq. 16-17)
/// @notice The least bond of a provider, q_min, by its finalized score in the deal's topic: non-increasing in the score, and never below what
/// makes cheating a loss, slashShare·q_min >= gain, gain = price + the client's declared exposure.
///   floor = ⌈gain·2^16 / slashShare⌉, r = score·seats >> 46 (2^16 = the topic's uniform share),
///   q_min = ⌈floor·(2^16 + ⌈(factorAtZero - 2^16)·halfScore / (halfScore + r)⌉) / 2^16⌉.
/// @dev Mirrored exactly by contracts/protocol/bond-curve.ts.
interface IBondCurve {
    /// @notice One topic's curve. slashShare 0 = no curve: a deal of the topic needs no bond.
    /// @param slashShare λ: the share of a bond that a proven fault costs the provider, in 1/2^16; at most 2^16
    /// @param factorAtZero how many times the floor an agent without score has to put up, in 1/2^16; 2^16 to 2^22
    /// @param halfScore the r at which half of what exceeds the floor has gone; above 0
    struct Curve {
        uint32 slashShare;
        uint32 factorAtZero;
        uint64 halfScore;
    }

    /// @param fromEpoch first epoch in which the curve counts
    event CurveSet(uint64 indexed topic, Curve curve, uint256 fromEpoch);
    event ExposureDeclared(
        uint256 indexed clientAgentId,
        uint64 indexed topic,
        address indexed token,
        uint128 exposure,
        uint256 fromEpoch
    );

    error BondCurveNotGovernor(address caller);
    error BondCurveBadCurve(Curve curve);
    error BondCurveZeroTopic();
    error BondCurveNotAuthorized(uint256 agentId, address caller);
    error BondCurveOtherAgent(uint256 agentId, uint32 proven);
    error BondCurveTooMuch(uint256 gain, uint256 max);

    /// @notice Sets a topic's curve, from the epoch after the next on: everybody has a whole epoch to see it come. A second call before
    /// then takes the place of the first, and waits anew.
    function setCurve(uint64 topic, Curve calldata curve) external;

    /// @notice Declares what the client stands to lose in each of its deals of a topic beyond the price, in the deal's token; from the
    /// epoch after the next on, so that no agreed deal changes under its provider. The caller speaks for the agent.
    function declareExposure(uint256 clientAgentId, uint64 topic, address token, uint128 exposure) external;

    /// @notice The least providerBond with which this deal may be opened now; 0 for topic 0 and for a topic without a curve.
    /// @param scoreProof empty = score 0; else abi.encode(uint32 seat, uint256 leaf, bytes32[] proof) of the provider's leaf in the
    /// epoch `deal.epoch`, the last finalized one of the topic; anything else reverts
    function requiredProviderBond(Deal calldata deal, bytes calldata scoreProof) external view returns (uint256);

    /// @notice q_min for a gain and a relative score r.
    function bondFor(Curve memory curve, uint256 gain, uint64 relativeScore) external pure returns (uint256);

    /// @notice The curve that counts now, and the one that waits: nextFrom 0 = none.
    function curveOf(uint64 topic) external view returns (Curve memory curve, Curve memory next, uint256 nextFrom);

    /// @notice The exposure that counts now, and the one that waits: nextFrom 0 = none.
    function exposureOf(
        uint256 clientAgentId,
        uint64 topic,
        address token
    ) external view returns (uint128 exposure, uint128 next, uint256 nextFrom);

    /// @notice Who sets curves; named at deployment for ever.
    function governor() external view returns (address);
}
