// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Deal} from "../libraries/Types.sol";
import {IArbitrator} from "./IArbitrator.sol";
import {ICredits} from "./ICredits.sol";
import {IDealDisputes} from "./IDealDisputes.sol";

/// @notice What became of the accusation of one deal's provider.
enum Accused {
    Not,
    /// Stake is frozen until the ruling is final.
    Frozen,
    Slashed,
    /// The final ruling was for the provider: the accuser's bond is the provider's.
    Acquitted,
    /// No ruling came, or one for neither: stake and bond went back.
    Lifted
}

/// @title Stake of a provider against which the arbitrator rules
/// @notice A ruling for the client costs the provider stake, once a deal: as much as the deal had at stake (price and provider's bond), at most
/// `penalty`; where the deal is paid in another token than the vault's, `penalty`. What it had promised the client itself, the price and the
/// deal's bond, the escrow gives the client; this is on top, so that no cheating pays that a bond was too small for. A final ruling is proof enough: the penalty is
/// seized in one transaction, half of it for who reserved the report (`IStakeVault.report`). A ruling that can still be appealed only
/// freezes, on an accuser's bond: if it becomes final, half of what was frozen is the accuser's and the rest is burned; if the appeal
/// turns it round, the bond is the provider's. Stake that unbonds is frozen with the rest: an appeal buys no time to leave.
/// @dev Of one arbitrator only, named for ever: else an agent could shield its stake by an arbitrator of its own.
interface IRulingSlasher is ICredits {
    event AccusationMade(
        bytes32 indexed dealId,
        uint256 indexed agentId,
        address indexed accuser,
        uint256 disputeId,
        uint256 frozen,
        uint256 bond
    );
    /// @param outcome Slashed, Acquitted or Lifted
    /// @param bondTo who got the accuser's bond
    event AccusationEnded(
        bytes32 indexed dealId,
        uint256 indexed agentId,
        Accused outcome,
        uint256 frozen,
        address bondTo
    );
    /// @notice Seized by a final ruling, without an accusation before.
    event RulingPunished(bytes32 indexed dealId, uint256 indexed agentId, address indexed reporter, uint256 taken);

    error RulingSlasherBadTerms(uint256 penalty, uint256 bond);
    error RulingSlasherNotArbitrator(address arbiter);
    error RulingSlasherUnknownDispute(bytes32 dealId, uint256 disputeId);
    error RulingSlasherNotAppealable(bytes32 dealId, IArbitrator.DisputeStatus status);
    error RulingSlasherOtherRuling(bytes32 dealId, uint256 ruling);
    error RulingSlasherNotFinal(bytes32 dealId, uint256 until, uint256 now_);
    error RulingSlasherWrongStage(bytes32 dealId, Accused current);
    error RulingSlasherShortfall(uint256 expected, uint256 received);

    /// @notice Freezes the penalty, or what of it is within reach, while the arbitrator's ruling for the client can be appealed. The caller
    /// pays the bond by allowance of the vault's token.
    function accuse(Deal calldata deal, uint256 disputeId) external returns (uint256 frozen);

    /// @notice Ends an accusation by the final ruling, or without one after the deal's arbiterDeadline. Anyone may.
    function conclude(bytes32 dealId) external;

    /// @notice Seizes the penalty by a final ruling for the client that nobody accused of before.
    function punish(Deal calldata deal) external returns (uint256 taken);

    /// @notice The accusation of a deal's provider: what is frozen, the last second at which a ruling can come, and the accuser's
    /// bond.
    function accusationOf(
        bytes32 dealId
    )
        external
        view
        returns (Accused stage, address accuser, uint32 agentId, uint48 until, uint256 frozen, uint256 bond);

    /// @notice What a ruling for the client over this deal costs its provider, and what an accuser puts at stake, in the vault's token.
    function priceOf(Deal calldata deal) external view returns (uint256 stake, uint256 bond);

    /// @notice The most that a ruling for the client costs, in the vault's token.
    function penalty() external view returns (uint256);

    /// @notice The most that an accuser puts at stake, in the vault's token.
    function accuserBond() external view returns (uint256);

    function disputes() external view returns (IDealDisputes);

    function arbitrator() external view returns (IArbitrator);
}
