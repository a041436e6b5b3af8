// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IArbitrable, IArbitrator} from "../../interfaces/IArbitrator.sol";
import {IJurorPanel} from "../../interfaces/IJurorPanel.sol";
import {IOperators} from "../../interfaces/IOperators.sol";
import {IStakeVault} from "../../interfaces/IStakeVault.sol";
import {BlockSeed} from "../../libraries/BlockSeed.sol";
import {JurorPool} from "./JurorPool.sol";

/// @notice See IJurorPanel. Invariants are numbered in PROPERTIES.md and in the folder's README.
contract JurorPanel is JurorPool, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    uint256 private constant DEFAULT_JURORS = 3;
    /// @dev Bounds the gas of a draw and of a settlement; 3, 7, 15 and 31 jurors are four rounds.
    uint256 private constant MAX_JURORS = 31;
    uint256 private constant MAX_CHOICES = 16;
    uint256 private constant MAX_EXCLUDED = 8;
    /// @dev Blocks from scheduling to the seed: nobody knows the reveals of four slots ahead.
    uint256 private constant DRAW_DELAY = 4;

    struct Dispute {
        address arbitrable;
        uint8 choices;
        uint8 rounds;
        uint8 ruling;
        bool isDecided;
        bool isRuled;
        bool isDelivered;
        uint32[] excluded;
    }

    struct Round {
        uint64 seedBlock;
        uint48 commitUntil;
        uint48 revealUntil;
        uint48 appealUntil;
        uint8 size;
        uint8 revealed;
        bool isSettled;
        address payer;
        uint96 fees;
        uint32[] jurors;
    }

    struct Vote {
        bytes32 commitment;
        uint8 choice;
        bool isJuror;
        bool isRevealed;
    }

    struct Credit {
        uint128 fees;
        uint128 bonds;
    }

    /// @inheritdoc IJurorPanel
    uint256 public immutable jurorFee;
    /// @inheritdoc IJurorPanel
    uint48 public immutable period;
    IERC20 private immutable TOKEN;

    uint256 private _disputeCount;
    mapping(uint256 disputeId => Dispute) private _disputes;
    mapping(bytes32 disputeAndRound => Round) private _rounds;
    mapping(bytes32 disputeRoundAndAgent => Vote) private _votes;
    mapping(bytes32 disputeRoundAndChoice => uint256) private _tally;
    mapping(address account => Credit) private _credits;

    constructor(
        IStakeVault vault,
        IOperators operators,
        uint256 jurorBond_,
        uint256 jurorFee_,
        uint48 period_
    ) JurorPool(vault, operators, jurorBond_) {
        // Without a bond everybody weighs the same as nobody, and in a period of no length nobody can vote.
        require(jurorBond_ != 0 && period_ != 0, JurorPanelBadTerms(jurorBond_, period_));
        jurorFee = jurorFee_;
        period = period_;
        TOKEN = IERC20(vault.token());
    }

    /// @inheritdoc IArbitrator
    function createDispute(uint256 choices, bytes calldata extraData) external payable returns (uint256 disputeId) {
        // A ruling is a call: an account without code would take any for given.
        require(msg.sender.code.length != 0, JurorPanelNotArbitrable(msg.sender));
        require(choices != 0 && choices <= MAX_CHOICES, JurorPanelBadChoices(choices, MAX_CHOICES));
        (uint256 jurors, uint32[] memory excluded) = _parse(extraData);

        disputeId = ++_disputeCount;
        Dispute storage dispute = _disputes[disputeId];
        (dispute.arbitrable, dispute.choices, dispute.excluded) = (msg.sender, uint8(choices), excluded);
        emit DisputeCreation(disputeId, IArbitrable(msg.sender));
        _schedule(disputeId, dispute, jurors);
    }

    /// @inheritdoc IArbitrator
    function appeal(uint256 disputeId, bytes calldata) external payable {
        Dispute storage dispute = _requireStage(disputeId, Stage.Appealing);
        uint256 size = _rounds[_key(disputeId, dispute.rounds - 1)].size;
        emit AppealDecision(disputeId, IArbitrable(dispute.arbitrable));
        _schedule(disputeId, dispute, 2 * size + 1);
    }

    /// @inheritdoc IJurorPanel
    function draw(uint256 disputeId, bytes calldata header) external {
        Dispute storage dispute = _requireStage(disputeId, Stage.Drawing);
        uint256 number = dispute.rounds - 1;
        Round storage round = _rounds[_key(disputeId, number)];
        uint256 seedBlock = round.seedBlock;
        require(block.number > seedBlock, JurorPanelSeedNotYet(disputeId, seedBlock, block.number));
        bytes32 blockHash = blockhash(seedBlock);
        if (blockHash == 0) return _fixSeed(disputeId, number, round);
        require(keccak256(header) == blockHash, JurorPanelWrongHeader(disputeId, seedBlock));

        bytes32 seed = keccak256(abi.encode(BlockSeed.prevrandaoOf(header), disputeId, number));
        uint32[] memory jurors = _drawJurors(seed, round.size, dispute.excluded);
        round.seedBlock = 0;
        --_pendingDraws;
        round.jurors = jurors;
        for (uint256 k; k < jurors.length; ++k) _votes[_key(disputeId, number, jurors[k])].isJuror = true;
        // With nobody drawn there is nobody to wait for.
        uint48 length = jurors.length == 0 ? 0 : period;
        round.commitUntil = uint48(block.timestamp) + length;
        round.revealUntil = round.commitUntil + length;
        round.appealUntil = round.revealUntil + (_isLast(round) ? 0 : length);
        emit JurorsDrawn(disputeId, number, jurors, round.commitUntil, round.revealUntil, round.appealUntil);
        if (!_isLast(round)) emit AppealPossible(disputeId, IArbitrable(dispute.arbitrable));
    }

    /// @inheritdoc IJurorPanel
    function commitVote(uint256 disputeId, uint32 agentId, bytes32 commitment) external onlySpeaker(agentId) {
        uint256 number = _requireStage(disputeId, Stage.Committing).rounds - 1;
        Vote storage vote = _votes[_key(disputeId, number, agentId)];
        require(vote.isJuror, JurorPanelNotJuror(disputeId, number, agentId));
        // INVARIANT: one vote a seat, sealed once.
        require(vote.commitment == 0 && commitment != 0, JurorPanelVoted(disputeId, number, agentId));
        vote.commitment = commitment;
        emit VoteCommitted(disputeId, number, agentId, commitment);
    }

    /// @inheritdoc IJurorPanel
    function revealVote(uint256 disputeId, uint32 agentId, uint256 choice, bytes32 salt) external {
        Dispute storage dispute = _requireStage(disputeId, Stage.Revealing);
        uint256 number = dispute.rounds - 1;
        Vote storage vote = _votes[_key(disputeId, number, agentId)];
        bytes32 commitment = keccak256(abi.encode(disputeId, number, agentId, choice, salt));
        require(
            vote.commitment == commitment && choice <= dispute.choices,
            JurorPanelBadReveal(disputeId, number, agentId)
        );
        require(!vote.isRevealed, JurorPanelVoted(disputeId, number, agentId));
        (vote.choice, vote.isRevealed) = (uint8(choice), true);
        ++_rounds[_key(disputeId, number)].revealed;
        ++_tally[_key(disputeId, number, choice)];
        emit VoteRevealed(disputeId, number, agentId, choice);
    }

    /// @inheritdoc IJurorPanel
    function executeRuling(uint256 disputeId) external {
        Dispute storage dispute = _requireStage(disputeId, Stage.Due);
        (uint256 ruling, bool isDecided) = _outcomeOf(disputeId, dispute, dispute.rounds);
        (dispute.isRuled, dispute.ruling, dispute.isDecided) = (true, uint8(ruling), isDecided);
        emit DisputeRuled(disputeId, ruling, isDecided);
        _deliver(disputeId, dispute);
    }

    /// @inheritdoc IJurorPanel
    function deliver(uint256 disputeId) external {
        Dispute storage dispute = _requireStage(disputeId, Stage.Ruled);
        require(!dispute.isDelivered, JurorPanelDelivered(disputeId));
        _deliver(disputeId, dispute);
    }

    /// @inheritdoc IJurorPanel
    function settle(uint256 disputeId, uint256 number) external nonReentrant {
        Dispute storage dispute = _requireStage(disputeId, Stage.Ruled);
        Round storage round = _rounds[_key(disputeId, number)];
        require(number < dispute.rounds && !round.isSettled, JurorPanelSettled(disputeId, number));
        round.isSettled = true;
        (uint32[] memory coherent, uint256 bonds) = _judgeJurors(disputeId, number, dispute, round.jurors);

        // INVARIANT: fees in = fees to those who were right + what goes back to who paid; bonds likewise, or burned.
        uint256 fees = round.fees;
        uint256 count = coherent.length;
        uint256 feeEach = count == 0 ? 0 : fees / count;
        for (uint256 k; k < count; ++k) {
            // The first takes what does not divide.
            uint256 share = bonds / count + (k == 0 ? bonds % count : 0);
            _credit(IERC721(REGISTRY).ownerOf(coherent[k]), feeEach, share);
        }
        uint256 returned = fees - feeEach * count;
        if (returned != 0) _credit(round.payer, returned, 0);
        emit RoundSettled(disputeId, number, count, fees - returned, bonds, returned);
    }

    /// @inheritdoc IJurorPanel
    function withdrawCredit(address account) external nonReentrant {
        Credit memory credit = _credits[account];
        require(credit.fees != 0 || credit.bonds != 0, JurorPanelNoCredit(account));
        delete _credits[account];
        emit CreditWithdrawn(account, credit.fees, credit.bonds);
        if (credit.bonds != 0) TOKEN.safeTransfer(account, credit.bonds);
        if (credit.fees == 0) return;
        (bool isPaid, ) = account.call{value: credit.fees}("");
        require(isPaid, JurorPanelNotPaid(account, credit.fees));
    }

    /// @inheritdoc IArbitrator
    function arbitrationCost(bytes calldata extraData) external view returns (uint256) {
        (uint256 jurors, ) = _parse(extraData);
        return jurors * jurorFee;
    }

    /// @inheritdoc IArbitrator
    function appealCost(uint256 disputeId, bytes calldata) external view returns (uint256) {
        Dispute storage dispute = _known(disputeId);
        Round storage round = _rounds[_key(disputeId, dispute.rounds - 1)];
        // More than anybody has, as ERC-792's arbitrators say no.
        return _isLast(round) ? type(uint256).max : (2 * uint256(round.size) + 1) * jurorFee;
    }

    /// @inheritdoc IArbitrator
    function appealPeriod(uint256 disputeId) external view returns (uint256 start, uint256 end) {
        Dispute storage dispute = _known(disputeId);
        Round storage round = _rounds[_key(disputeId, dispute.rounds - 1)];
        return round.appealUntil > round.revealUntil ? (round.revealUntil, round.appealUntil) : (0, 0);
    }

    /// @inheritdoc IArbitrator
    function disputeStatus(uint256 disputeId) external view returns (DisputeStatus) {
        Stage stage = stageOf(disputeId);
        if (stage == Stage.Ruled) return DisputeStatus.Solved;
        return stage == Stage.Appealing ? DisputeStatus.Appealable : DisputeStatus.Waiting;
    }

    /// @inheritdoc IArbitrator
    function currentRuling(uint256 disputeId) external view returns (uint256 ruling) {
        Dispute storage dispute = _known(disputeId);
        Stage stage = stageOf(disputeId);
        // The votes of the running round count once they are all in.
        uint256 rounds = stage >= Stage.Appealing ? dispute.rounds : dispute.rounds - 1;
        (ruling, ) = _outcomeOf(disputeId, dispute, rounds);
    }

    /// @inheritdoc IJurorPanel
    function stageOf(uint256 disputeId) public view returns (Stage) {
        Dispute storage dispute = _disputes[disputeId];
        if (dispute.rounds == 0) return Stage.None;
        if (dispute.isRuled) return Stage.Ruled;
        Round storage round = _rounds[_key(disputeId, dispute.rounds - 1)];
        if (round.seedBlock != 0) return Stage.Drawing;
        if (block.timestamp < round.commitUntil) return Stage.Committing;
        if (block.timestamp < round.revealUntil) return Stage.Revealing;
        return block.timestamp < round.appealUntil ? Stage.Appealing : Stage.Due;
    }

    /// @inheritdoc IJurorPanel
    function disputeOf(
        uint256 disputeId
    ) external view returns (address arbitrable, uint256 choices, uint256 rounds, uint256 ruling, bool isDelivered) {
        Dispute storage dispute = _disputes[disputeId];
        return (dispute.arbitrable, dispute.choices, dispute.rounds, dispute.ruling, dispute.isDelivered);
    }

    /// @inheritdoc IJurorPanel
    function roundOf(
        uint256 disputeId,
        uint256 number
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
        )
    {
        Round storage round = _rounds[_key(disputeId, number)];
        (jurors, seedBlock, fees, isSettled) = (round.jurors, round.seedBlock, round.fees, round.isSettled);
        (commitUntil, revealUntil, appealUntil) = (round.commitUntil, round.revealUntil, round.appealUntil);
    }

    /// @inheritdoc IJurorPanel
    function voteOf(
        uint256 disputeId,
        uint256 number,
        uint32 agentId
    ) external view returns (bytes32 commitment, uint256 choice, bool isRevealed) {
        Vote memory vote = _votes[_key(disputeId, number, agentId)];
        return (vote.commitment, vote.choice, vote.isRevealed);
    }

    /// @inheritdoc IJurorPanel
    function creditOf(address account) external view returns (uint256 fees, uint256 bonds) {
        Credit memory credit = _credits[account];
        return (credit.fees, credit.bonds);
    }

    /// @dev Opens a round: takes its fees, and fixes the block whose randomness will draw it.
    function _schedule(uint256 disputeId, Dispute storage dispute, uint256 jurors) private {
        uint256 cost = jurors * jurorFee;
        require(msg.value >= cost, JurorPanelFeeTooLow(msg.value, cost));
        uint256 number = dispute.rounds++;
        Round storage round = _rounds[_key(disputeId, number)];
        (round.size, round.payer, round.fees) = (uint8(jurors), msg.sender, uint96(cost));
        ++_pendingDraws;
        _fixSeed(disputeId, number, round);
        if (msg.value > cost) _credit(msg.sender, msg.value - cost, 0);
    }

    function _fixSeed(uint256 disputeId, uint256 number, Round storage round) private {
        round.seedBlock = uint64(block.number + DRAW_DELAY);
        emit DrawScheduled(disputeId, number, round.size, round.seedBlock, round.payer, round.fees);
    }

    /// @dev Slashes who was silent or, of a decided dispute, wrong; gives the others their bonds back.
    /// @return coherent whom fees and bonds are for
    /// @return bonds what this contract received of the slashed ones
    function _judgeJurors(
        uint256 disputeId,
        uint256 number,
        Dispute storage dispute,
        uint32[] memory jurors
    ) private returns (uint32[] memory coherent, uint256 bonds) {
        coherent = new uint32[](jurors.length);
        bool[] memory isSlashed = new bool[](jurors.length);
        uint256 count;
        for (uint256 k; k < jurors.length; ++k) {
            Vote memory vote = _votes[_key(disputeId, number, jurors[k])];
            isSlashed[k] = !vote.isRevealed || (dispute.isDecided && vote.choice != dispute.ruling);
            if (!isSlashed[k]) coherent[count++] = jurors[k];
        }
        uint256 balanceBefore = TOKEN.balanceOf(address(this));
        for (uint256 k; k < jurors.length; ++k) {
            if (isSlashed[k]) _slashBond(jurors[k], count != 0);
            else _releaseBond(jurors[k]);
        }
        bonds = TOKEN.balanceOf(address(this)) - balanceBefore;
        assembly ("memory-safe") {
            mstore(coherent, count)
        }
    }

    /// @dev No arbitrable blocks the jurors: one that reverts is asked again by `deliver`.
    function _deliver(uint256 disputeId, Dispute storage dispute) private {
        dispute.isDelivered = true;
        bytes memory call = abi.encodeCall(IArbitrable.rule, (disputeId, dispute.ruling));
        // `try` would let an arbitrable without code revert here.
        // solhint-disable-next-line avoid-low-level-calls
        (bool isTaken, ) = dispute.arbitrable.call(call);
        if (isTaken) return;
        dispute.isDelivered = false;
        emit RulingRefused(disputeId);
    }

    function _credit(address account, uint256 fees, uint256 bonds) private {
        Credit storage credit = _credits[account];
        credit.fees += uint128(fees);
        credit.bonds += uint128(bonds);
        emit Credited(account, fees, bonds);
    }

    /// @dev The ruling after so many rounds: of the last one that had a quorum.
    function _outcomeOf(
        uint256 disputeId,
        Dispute storage dispute,
        uint256 rounds
    ) private view returns (uint256 ruling, bool isDecided) {
        for (uint256 number = rounds; number > 0 && !isDecided; --number) {
            (ruling, isDecided) = _winnerOf(disputeId, dispute, number - 1);
        }
    }

    /// @dev A quorum is more than half of the jurors revealed, and one choice with more votes than every other.
    function _winnerOf(
        uint256 disputeId,
        Dispute storage dispute,
        uint256 number
    ) private view returns (uint256 winner, bool isDecided) {
        Round storage round = _rounds[_key(disputeId, number)];
        if (2 * uint256(round.revealed) <= round.jurors.length) return (0, false);
        uint256 most;
        for (uint256 choice; choice <= dispute.choices; ++choice) {
            uint256 votes = _tally[_key(disputeId, number, choice)];
            if (votes > most) (winner, most, isDecided) = (choice, votes, true);
            else if (votes == most) isDecided = false;
        }
        if (!isDecided) winner = 0;
    }

    function _requireStage(uint256 disputeId, Stage required) private view returns (Dispute storage dispute) {
        dispute = _known(disputeId);
        Stage current = stageOf(disputeId);
        require(current == required, JurorPanelWrongStage(disputeId, current, required));
    }

    function _known(uint256 disputeId) private view returns (Dispute storage dispute) {
        dispute = _disputes[disputeId];
        require(dispute.rounds != 0, JurorPanelUnknownDispute(disputeId));
    }

    function _isLast(Round storage round) private view returns (bool) {
        return 2 * uint256(round.size) + 1 > MAX_JURORS;
    }

    function _parse(bytes calldata extraData) private pure returns (uint256 jurors, uint32[] memory excluded) {
        if (extraData.length == 0) return (DEFAULT_JURORS, excluded);
        (jurors, excluded) = abi.decode(extraData, (uint256, uint32[]));
        require(
            jurors != 0 && jurors <= MAX_JURORS && excluded.length <= MAX_EXCLUDED,
            JurorPanelBadExtraData(jurors, excluded.length)
        );
    }

    function _key(uint256 disputeId, uint256 number) private pure returns (bytes32) {
        return keccak256(abi.encode(disputeId, number));
    }

    function _key(uint256 disputeId, uint256 number, uint256 agentOrChoice) private pure returns (bytes32) {
        return keccak256(abi.encode(disputeId, number, agentOrChoice));
    }
}
