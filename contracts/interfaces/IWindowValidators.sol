// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BatchHeader} from "../libraries/Types.sol";
import {IBindings} from "./IBindings.sol";
import {IStakeVault} from "./IStakeVault.sol";

/// @title Who orders a topic's log headers, and answers for it
/// @notice Agents enlist for a topic with a part of their stake. For each epoch up to MAX_VALIDATORS of them are drawn, by weight and
/// without repetition, from those that were enlisted when the epoch before it began, with the randomness of a block named
/// after that: nobody enlists, leaves or adds stake in sight of the seed. Each window one validator, in rotation, proposes a batch
/// header; with the signatures of two thirds of them (rounded up) it is the window's. In the epoch after, the last one is anchored:
/// each header names the one before, so it stands for all of them.
/// Two different batch headers of one topic and window, signed by keys of one validator, take all of its stake in that topic, in
/// one transaction. Who is never drawn can be replaced at will; who was can leave once nobody can hold it to a window any more.
interface IWindowValidators {
    /// @notice One batch header with a validator's signature: 65 bytes (r, s, v) or 64 (EIP-2098), low s.
    struct SignedBatch {
        BatchHeader header;
        bytes signature;
    }

    /// @param amount locked now; `enlisted` is all that the agent has at stake in the topic
    /// @param place among the topic's candidates
    /// @param weight in draws, from the next epoch's on: whole bonds
    event Enlisted(
        uint64 indexed topic,
        uint32 indexed agentId,
        uint256 amount,
        uint256 enlisted,
        uint256 place,
        uint32 weight
    );
    /// @notice The agent is no candidate any more: it left, or somebody with more stake took its place.
    event Resigned(uint64 indexed topic, uint32 indexed agentId, uint256 place, uint48 releasableAt);
    event Released(uint64 indexed topic, uint32 indexed agentId, uint256 amount);
    event DrawScheduled(uint64 indexed topic, uint32 indexed epoch, uint256 seedBlock);
    event ValidatorsDrawn(uint64 indexed topic, uint32 indexed epoch, uint32[] agentIds, bytes32 seed);
    /// @param signers bit k = the validator of seat k
    event BatchAnchored(
        uint64 indexed topic,
        uint32 indexed epoch,
        bytes32 indexed digest,
        BatchHeader header,
        uint256 signers
    );
    /// @param reporter zero if nobody is paid
    event DoubleSigned(
        uint32 indexed agentId,
        bytes32 indexed offenceId,
        address indexed reporter,
        uint64 topic,
        uint48 window,
        uint256 taken
    );

    error WindowValidatorsBadTerms(uint256 bond, uint256 windowSeconds);
    error WindowValidatorsZeroTopic();
    error WindowValidatorsNotAuthorized(uint32 agentId, address caller);
    error WindowValidatorsBelowBond(uint64 topic, uint32 agentId, uint256 enlisted, uint256 bond);
    /// All places are taken by agents with at least as much stake.
    error WindowValidatorsFull(uint64 topic, uint32 weight, uint32 leastWeight);
    error WindowValidatorsNotEnlisted(uint64 topic, uint32 agentId);
    error WindowValidatorsStillBound(uint64 topic, uint32 agentId, uint256 releasableAt, uint256 now_);
    error WindowValidatorsDrawn(uint64 topic, uint256 epoch);
    error WindowValidatorsScheduled(uint64 topic, uint256 epoch, uint256 seedBlock);
    error WindowValidatorsNotScheduled(uint64 topic);
    error WindowValidatorsSeedNotYet(uint64 topic, uint256 seedBlock, uint256 blockNumber);
    error WindowValidatorsWrongHeader(uint64 topic, uint256 seedBlock);
    error WindowValidatorsNobody(uint64 topic, uint256 epoch);
    error WindowValidatorsNoWindow(uint256 window);
    /// Anchored in the epoch after its own: not before, when a later window may follow, and not after, when its signers are free.
    error WindowValidatorsNotAnchorable(uint256 epoch, uint256 running);
    error WindowValidatorsNotLater(uint64 topic, uint256 epoch, uint256 window, uint256 anchored);
    error WindowValidatorsBadSignatures(uint256 given, uint256 seats);
    error WindowValidatorsBadSignature(uint256 seat, uint32 agentId, address signer);
    error WindowValidatorsNoQuorum(uint256 signatures, uint256 quorum);
    error WindowValidatorsOtherWindow(uint64 topic, uint48 window, uint64 otherTopic, uint48 otherWindow);
    error WindowValidatorsSameHeader(bytes32 digest);
    error WindowValidatorsOtherAgent(uint256 agentId, uint256 otherAgentId);
    error WindowValidatorsNotAnswerable(address signer, uint256 agentId, uint256 time);
    error WindowValidatorsTooLate(address signer, uint256 endedAt, uint256 latest);
    error WindowValidatorsNotValidator(uint64 topic, uint256 epoch, uint256 agentId);
    error WindowValidatorsPaid(bytes32 offenceId);
    error WindowValidatorsNothingAtStake(uint64 topic, uint32 agentId);

    /// @notice Locks free stake of an agent for a topic, or more of it; what was leaving is enlisted again. All of it together is at
    /// least a bond. The caller speaks for the agent. Counts in draws from the next epoch on. With all places taken it takes that of
    /// the least, if it has more.
    function enlist(uint64 topic, uint32 agentId, uint256 amount) external;

    /// @notice Leaves the candidates of a topic. The agent may still be drawn for the next epoch: draws of this epoch take those who
    /// were there when it began. The caller speaks for the agent.
    function resign(uint64 topic, uint32 agentId) external;

    /// @notice Unlocks the stake of an agent that has left, when the epochs for which it can have been drawn and the time for
    /// evidence are over. Anyone may.
    function release(uint64 topic, uint32 agentId) external returns (uint256 amount);

    /// @notice Names the block whose randomness draws the validators of the next epoch, or of the running one where it has none.
    /// Anyone may, at any time in an epoch. A schedule ends with its epoch: the draw would know who was added after the seed.
    /// @return epoch that will be drawn
    function scheduleDraw(uint64 topic) external returns (uint256 epoch, uint256 seedBlock);

    /// @notice Draws by the scheduled block's randomness. Anyone may. More than 256 blocks later another block is named instead.
    /// @param header RLP of the seed block's header
    function draw(uint64 topic, bytes calldata header) external;

    /// @notice Anchors the last batch header of an epoch, in the epoch after it. A later one of the same epoch takes its place.
    /// @param signatures one for each seat of the epoch's validators, in their order; empty = none. Only those count that have stake
    /// in the topic, by keys that were LOG signers of their agents in the window.
    function anchor(BatchHeader calldata header, bytes[] calldata signatures) external;

    /// @notice Takes all that a validator has at stake in a topic for two batch headers of one window. Half of it pays the reporter,
    /// if it reserved its report (`IStakeVault.report`), the rest is burned; sent directly, all is burned.
    /// The two signatures may be of different keys of the agent: it has one seat, whatever keys it has.
    function reportDoubleSigning(
        SignedBatch calldata first,
        SignedBatch calldata second
    ) external returns (uint256 taken);

    /// @notice Agents drawn for a topic and epoch, by seat; empty = none were.
    function validatorsOf(uint64 topic, uint256 epoch) external view returns (uint32[] memory agentIds);

    /// @notice What a draw of this epoch takes: who was enlisted when it began, by place, and with what weight; 0 = a free place.
    function candidatesOf(uint64 topic) external view returns (uint32[] memory agentIds, uint32[] memory weights);

    /// @notice What an agent has at stake in a topic. place 0 = it is no candidate; releasableAt 0 = it has not left.
    function enlistmentOf(
        uint64 topic,
        uint32 agentId
    ) external view returns (uint256 enlisted, uint256 place, uint48 releasableAt);

    /// @notice The newest epoch with validators, and the pending draw; seedBlock 0 = none was scheduled in the running epoch.
    function drawOf(uint64 topic) external view returns (uint256 drawnEpoch, uint256 nextEpoch, uint256 seedBlock);

    /// @notice The last anchored batch header of an epoch; zero = none. Final when the epoch after is over.
    function anchorOf(uint64 topic, uint256 epoch) external view returns (bytes32 digest, uint48 window);

    /// @notice True if the offence keccak256(abi.encode(topic, window, agentId)) was punished.
    function isPunished(bytes32 offenceId) external view returns (bool);

    /// @notice Signatures that make a batch header the window's: two thirds of the validators, rounded up. Of n validators fewer
    /// than n / 3 that sign everything never get two headers of a window through.
    function quorumOf(uint256 validators) external pure returns (uint256);

    /// @notice Epoch of a window. Reverts if no window begins at this second (Unix).
    function epochOf(uint256 window) external view returns (uint256);

    /// @notice Least stake of a candidate, and the unit of weight, in the vault's token.
    function bond() external view returns (uint256);

    /// @notice Length of a window. The first one begins with the epoch; the last one may be shorter.
    function windowSeconds() external view returns (uint256);

    /// @notice Seconds for which stake stays after the last epoch in which its agent may be a validator, and for which a key whose
    /// end is on record can still be held to what it signed: the vault's unbonding delay.
    function evidencePeriod() external view returns (uint256);

    /// @notice EIP-712 digest of a batch header under ("SuretyBatch", "1", chainId, registry).
    function digestOf(BatchHeader calldata header) external view returns (bytes32);

    function vault() external view returns (IStakeVault);

    function registry() external view returns (IBindings);
}
