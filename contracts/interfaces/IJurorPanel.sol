// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IArbitrator} from "./IArbitrator.sol";

/// @title An ERC-792 arbitrator whose jurors are staked agents
/// @notice Agents enlist with a part of their stake. A dispute's jurors are drawn by their weight with the randomness of one certain
/// future block, nobody twice and no operator twice; they commit to a vote, reveal it, and share the fees of those who were
/// right and the bonds of those who were not: who votes against the final ruling, or is silent, loses the bond of the seat.
/// An appeal draws twice as many, and one more, up to MAX_JURORS. Every stage ends by the clock, and anybody can do what is due.
/// A round without a quorum (more than half revealed, one choice ahead) leaves the ruling of the round before; the first leaves 0,
/// "refused to arbitrate", on which the arbitrable has its own default.
/// extraData: empty, or abi.encode(uint256 jurors, uint32[] excluded agents).
interface IJurorPanel is IArbitrator {
    enum Stage {
        None,
        Drawing,
        Committing,
        Revealing,
        Appealing,
        Due,
        Ruled
    }

    /// @param bonds the weight in draws: how many seats the enlisted stake can back
    event Enlisted(uint32 indexed agentId, uint256 amount, uint256 enlisted, uint64 bonds);
    event Discharged(uint32 indexed agentId, uint256 amount, uint256 enlisted, uint64 bonds);
    event WeightSynced(uint32 indexed agentId, uint64 bonds);
    event DrawScheduled(
        uint256 indexed disputeId,
        uint256 indexed round,
        uint256 jurors,
        uint256 seedBlock,
        address payer,
        uint256 fees
    );
    /// @dev May name fewer jurors than were asked for: there were no more.
    event JurorsDrawn(
        uint256 indexed disputeId,
        uint256 indexed round,
        uint32[] jurors,
        uint48 commitUntil,
        uint48 revealUntil,
        uint48 appealUntil
    );
    event VoteCommitted(uint256 indexed disputeId, uint256 indexed round, uint32 indexed agentId, bytes32 commitment);
    event VoteRevealed(uint256 indexed disputeId, uint256 indexed round, uint32 indexed agentId, uint256 choice);
    event DisputeRuled(uint256 indexed disputeId, uint256 ruling, bool isDecided);
    /// @dev The arbitrable refused the ruling; `deliver` tries again.
    event RulingRefused(uint256 indexed disputeId);
    event RoundSettled(
        uint256 indexed disputeId,
        uint256 indexed round,
        uint256 coherent,
        uint256 feesPaid,
        uint256 bondsPaid,
        uint256 feesReturned
    );
    event Credited(address indexed account, uint256 fees, uint256 bonds);
    event CreditWithdrawn(address indexed account, uint256 fees, uint256 bonds);

    error JurorPanelUnknownDispute(uint256 disputeId);
    error JurorPanelWrongStage(uint256 disputeId, Stage current, Stage required);
    error JurorPanelNotArbitrable(address caller);
    error JurorPanelBadChoices(uint256 given, uint256 max);
    error JurorPanelBadExtraData(uint256 jurors, uint256 excluded);
    error JurorPanelFeeTooLow(uint256 given, uint256 cost);
    error JurorPanelNoAppealLeft(uint256 disputeId, uint256 round);
    error JurorPanelDrawPending(uint256 disputes);
    error JurorPanelSeedNotYet(uint256 disputeId, uint256 seedBlock, uint256 blockNumber);
    error JurorPanelWrongHeader(uint256 disputeId, uint256 seedBlock);
    error JurorPanelGasTooLow(uint256 given, uint256 required);
    error JurorPanelNotAuthorized(uint32 agentId, address caller);
    error JurorPanelNotJuror(uint256 disputeId, uint256 round, uint32 agentId);
    error JurorPanelVoted(uint256 disputeId, uint256 round, uint32 agentId);
    error JurorPanelBadReveal(uint256 disputeId, uint256 round, uint32 agentId);
    error JurorPanelInsufficient(uint32 agentId, uint256 free, uint256 required);
    error JurorPanelBadTerms(uint256 jurorBond, uint48 period);
    error JurorPanelDelivered(uint256 disputeId);
    error JurorPanelSettled(uint256 disputeId, uint256 round);
    error JurorPanelNoCredit(address account);
    error JurorPanelNotPaid(address account, uint256 fees);

    /// @notice Locks free stake of an agent for sitting on panels. The caller speaks for the agent. Refused while a draw is pending,
    /// here and below: what is drawn from does not change once the seed can be known.
    function enlist(uint32 agentId, uint256 amount) external;

    /// @notice Unlocks enlisted stake that no seat holds. The caller speaks for the agent.
    function discharge(uint32 agentId, uint256 amount) external;

    /// @notice Brings an agent's weight down to what slashes have left of its enlisted stake. Anyone may.
    function syncWeight(uint32 agentId) external;

    /// @notice Draws the jurors of the running round, once its seed block is mined. Anyone may. More than 256 blocks later the draw is
    /// put off to a new block instead.
    /// @param header RLP of the seed block's header
    function draw(uint256 disputeId, bytes calldata header) external;

    /// @notice A juror's sealed vote. The caller speaks for the agent.
    /// @param commitment keccak256(abi.encode(disputeId, round, agentId, choice, salt))
    function commitVote(uint256 disputeId, uint32 agentId, bytes32 commitment) external;

    /// @notice Opens a sealed vote; anyone who knows it may.
    /// @param choice 0 = refuse to arbitrate, else 1 to the number of choices
    function revealVote(uint256 disputeId, uint32 agentId, uint256 choice, bytes32 salt) external;

    /// @notice Makes the ruling of the last round final, and delivers it. Anyone may, once it is due.
    function executeRuling(uint256 disputeId) external;

    /// @notice Delivers a ruling that the arbitrable had refused.
    function deliver(uint256 disputeId) external;

    /// @notice Pays and slashes the jurors of one round, after the ruling. Anyone may, once a round.
    function settle(uint256 disputeId, uint256 round) external;

    /// @notice Pays an account what it has earned in fees (native value) and bonds (the vault's token). Anyone may.
    function withdrawCredit(address account) external;

    function stageOf(uint256 disputeId) external view returns (Stage);

    /// @notice The rounds of a dispute so far, its final ruling, and whether it was delivered.
    function disputeOf(
        uint256 disputeId
    ) external view returns (address arbitrable, uint256 choices, uint256 rounds, uint256 ruling, bool isDelivered);

    /// @notice One round. seedBlock 0 = drawn; winner = the ruling that it leaves, as soon as its votes are revealed.
    function roundOf(
        uint256 disputeId,
        uint256 round
    )
        external
        view
        returns (
            uint32[] memory jurors,
            uint256 seedBlock,
            uint48 commitUntil,
            uint48 revealUntil,
            uint48 appealUntil,
            uint256 fees,
            bool isSettled
        );

    /// @notice A juror's vote. isRevealed false = silent so far.
    function voteOf(
        uint256 disputeId,
        uint256 round,
        uint32 agentId
    ) external view returns (bytes32 commitment, uint256 choice, bool isRevealed);

    /// @notice Enlisted stake, the part of it that seats hold, and the weight in draws.
    function jurorOf(uint32 agentId) external view returns (uint256 enlisted, uint256 atStake, uint64 bonds);

    function creditOf(address account) external view returns (uint256 fees, uint256 bonds);

    /// @notice What a seat puts at stake, in the vault's token.
    function jurorBond() external view returns (uint256);

    /// @notice What a seat is paid, in wei.
    function jurorFee() external view returns (uint256);

    /// @notice Seconds for each of committing, revealing and appealing.
    function period() external view returns (uint48);
}
