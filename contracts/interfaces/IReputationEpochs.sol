// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {TopicRoot} from "../libraries/Types.sol";

/// @notice What a candidate was struck for.
enum Fault {
    None,
    Row,
    Sum,
    Edge,
    Seat,
    Prior,
    Unavailable
}

/// @notice A score in topic `from` counts omega / 2^16 in topic `to`.
struct TopicLink {
    uint64 to;
    uint64 from;
    uint32 omega;
}

/// @notice How reputation in one topic counts in another, fixed at deployment.
/// @param minClients in-neighbours that an agent's row has to list in a topic for its score there to count elsewhere
/// @param maxShare of what a stake counts, reputation elsewhere adds at most this: 2^16 = as much again, which is refused
/// @param links ascending by `to`, then `from`; at most 8 lead to one topic, with omegas of 2^16 in all
struct Couplings {
    uint32 minClients;
    uint32 maxShare;
    TopicLink[] links;
}

/// @notice A leaf of a source topic's base.
struct SourceLeaf {
    uint256 leaf;
    bytes32[] proof;
}

/// @title Reputation epochs: commit, challenge, finalize
/// @notice A bonded publisher commits, for the epoch s that has just closed, one Merkle root per topic over the exact
/// integer fixed point of EigenTrust. Any wrong row, sum, seat or prior is refuted in one transaction against the
/// ledger's own slots, with zero tolerance; the publisher is slashed, and the challenger paid if it reserved the challenge
/// (`IStakeVault.report`): a challenge shows its evidence, so one that is sent directly strikes, but pays nobody.
/// Committing is open in the first third of s + 1, requesting leaves in the first two thirds, challenging until s + 1 ends;
/// from s + 2 on anyone finalizes, topic by topic, the first candidate that stands and has the topic: who leaves a topic
/// out hinders nobody who has it.
/// @dev Leaf, most significant first: agent32 | score64 | cum64 | prior48 | rowSum48. Position = seat. Parent =
/// keccak256(left, right); missing leaves of a level are zero words. Scores sum to 2^62.
///   F_j = ((65536 - A)·Σ_i w_ij·⌊t_i / W_i⌋ >> 16) + (multiplier·prior_j >> shift), A = ALPHA.
/// Topics are coupled by their priors (arXiv 2606.17368 eq. 12). The base of a topic during s + 1 is its last root that had been
/// finalized when s + 1 began. With t_h the score at the agent's seat in the base of source h, and T = A·2^46·2^shift / multiplier
/// by λ of the target's own base:
///   prior = min(stake + min(stake·maxShare >> 16, Σ_h omega_h·(t_h·T >> 62) >> 16), 2^48 - 1).
/// A source counts if the base has the agent's seat and the ledger lists minClients in-neighbours of it, both at the close of s.
interface IReputationEpochs {
    /// @dev At construction.
    event CouplingsSet(uint32 minClients, uint32 maxShare, TopicLink[] links);
    event EpochCommitted(
        uint32 indexed epoch,
        uint256 indexed candidateId,
        uint32 indexed publisher,
        bytes32 closingBlockHash,
        TopicRoot[] topics,
        bytes leaves
    );
    event CandidateStruck(
        uint256 indexed candidateId,
        Fault indexed fault,
        address indexed challenger,
        uint32 publisher,
        uint256 slashed,
        uint256 reward
    );
    event LeavesRequested(
        uint256 indexed candidateId,
        uint64 indexed topic,
        uint256 chunk,
        address requester,
        uint256 fee,
        uint48 answerBy
    );
    event LeavesAnswered(uint256 indexed candidateId, uint64 indexed topic, uint256 chunk, uint256[] leaves);
    event RequestFeeReclaimed(
        uint256 indexed candidateId,
        uint64 indexed topic,
        uint256 chunk,
        address indexed requester,
        uint256 fee
    );
    event TopicFinalized(
        uint64 indexed topic,
        uint32 indexed epoch,
        uint256 indexed candidateId,
        uint32 publisher,
        bytes32 root,
        uint32 leafCount,
        uint32 finalizedIn
    );
    event BondReleased(uint256 indexed candidateId, uint32 indexed publisher);

    error ReputationEpochsNotAuthorized(uint32 publisher, address caller);
    error ReputationEpochsCommitClosed(uint256 epoch, uint256 closedAt, uint256 now_);
    error ReputationEpochsTooManyCandidates(uint256 epoch, uint256 max);
    error ReputationEpochsBadTopics(uint64 topic);
    error ReputationEpochsBadLambda(uint64 topic, uint64 multiplier, uint8 shift);
    error ReputationEpochsNotChallengeable(uint256 candidateId, uint256 epoch);
    error ReputationEpochsStruck(uint256 candidateId);
    error ReputationEpochsUnknownTopic(uint256 candidateId, uint64 topic);
    error ReputationEpochsBadProof(uint256 candidateId, uint64 topic, uint256 index);
    error ReputationEpochsBadChallenge(uint256 candidateId, uint64 topic, uint32 agentId);
    error ReputationEpochsHolds(uint256 candidateId, uint64 topic, Fault fault, uint256 claimed, uint256 computed);
    error ReputationEpochsNotFinalizable(uint256 epoch, uint256 notBefore, uint256 now_);
    error ReputationEpochsNoCandidate(uint256 epoch, uint64 topic);
    error ReputationEpochsAlreadyFinalized(uint64 topic, uint256 epoch, uint256 finalizedEpoch);
    error ReputationEpochsNotFinalized(uint64 topic, uint256 epoch, uint256 finalizedEpoch);
    error ReputationEpochsScoreProof(uint64 topic, uint256 epoch, uint256 index);
    error ReputationEpochsRequestsOpen(uint256 candidateId, uint256 count);
    error ReputationEpochsNoRequest(uint256 candidateId, uint64 topic, uint256 chunk);
    error ReputationEpochsAlreadyRequested(uint256 candidateId, uint64 topic, uint256 chunk);
    error ReputationEpochsRequestsClosed(uint256 candidateId, uint256 closedAt, uint256 now_);
    error ReputationEpochsFeeTooLow(uint256 given, uint256 required);
    error ReputationEpochsAnswerTooLate(uint256 candidateId, uint256 answerBy, uint256 now_);
    error ReputationEpochsAnswerNotDue(uint256 candidateId, uint256 answerBy, uint256 now_);
    error ReputationEpochsFeeHeld(uint256 candidateId, uint64 topic, uint256 chunk);
    error ReputationEpochsFeeNotPaid(address to, uint256 fee);
    error ReputationEpochsBondHeld(uint256 candidateId);
    error ReputationEpochsBadChunk(uint256 candidateId, uint64 topic, uint256 chunk);
    error ReputationEpochsZeroBond();
    error ReputationEpochsBadLink(uint64 to, uint64 from, uint32 omega);
    /// @dev By this factor, in 2^-16, a difference in scores may survive from one epoch to the next: it has to be below `limit`.
    error ReputationEpochsUnstable(uint256 factor, uint256 limit);

    /// @notice Commits a candidate for the last closed epoch; locks `publisherBond` of the publisher's stake. The caller is
    /// the publisher's owner, approved for it, or the address of one of its LOG signers.
    /// @dev candidateId = epoch << 32 | order of committing.
    /// @param topics ascending by topic, at most MAX_TOPICS, each with seats at the close of the epoch
    /// @param closingBlockHash hash of the last block of the epoch, which readers compare with their own chain
    /// @param leaves the packed leaves of all topics in their order, or empty when they are published elsewhere
    function commit(
        uint32 publisher,
        bytes32 closingBlockHash,
        TopicRoot[] calldata topics,
        bytes calldata leaves
    ) external returns (uint256 candidateId);

    /// @notice Strikes a candidate whose row j is not F_j, for an agent with a seat j > 0.
    /// @param leaves j and all its in-neighbours, ascending by seat
    /// @param positions one uint16 a leaf: its index in the ledger's row, 0xffff for j
    /// @param proof multiproof of the leaves, level by level from the left
    function challengeRow(
        uint256 candidateId,
        uint64 topic,
        uint32 agentId,
        uint256[] calldata leaves,
        bytes calldata positions,
        bytes32[] calldata proof
    ) external;

    /// @notice Adds in-neighbours to a row that is too long for one transaction: the next leaves.length ones of the ledger's
    /// row. What a challenger has added so far is kept under its own address.
    /// @param leaves in-neighbours only, ascending by seat
    /// @param positions one uint16 a leaf: its index in this part of the ledger's row
    function addRowPart(
        uint256 candidateId,
        uint64 topic,
        uint32 agentId,
        uint256[] calldata leaves,
        bytes calldata positions,
        bytes32[] calldata proof
    ) external;

    /// @notice Strikes a candidate whose row j is not F_j, after the caller has added the whole row in parts.
    /// @param leaf the leaf of j
    function challengeLongRow(
        uint256 candidateId,
        uint64 topic,
        uint32 agentId,
        uint256 leaf,
        bytes32[] calldata proof
    ) external;

    /// @notice Strikes a candidate in which cum(index) + score(index) is not cum(index + 1).
    function challengeSum(
        uint256 candidateId,
        uint64 topic,
        uint256 index,
        uint256 leaf,
        uint256 nextLeaf,
        bytes32[] calldata proof,
        bytes32[] calldata nextProof
    ) external;

    /// @notice Strikes a candidate whose first leaf is not clean dust (agent, cum, prior and row sum 0, score at most
    /// 2^34) or whose last leaf does not end at 2^62.
    function challengeEdge(
        uint256 candidateId,
        uint64 topic,
        bool isLast,
        uint256 leaf,
        bytes32[] calldata proof
    ) external;

    /// @notice Strikes a candidate whose leaf at the agent's seat names another agent or another row sum than the ledger.
    function challengeSeat(
        uint256 candidateId,
        uint64 topic,
        uint32 agentId,
        uint256 leaf,
        bytes32[] calldata proof
    ) external;

    /// @notice Strikes a candidate whose prior for the agent is another than stake, ledger and bases say.
    /// @param sources of each source topic that counts for the agent, in the order of the links, the leaf at the agent's seat
    /// in the topic's base; none for an agent without stake, and none while the challenged topic has no base
    function challengePrior(
        uint256 candidateId,
        uint64 topic,
        uint32 agentId,
        uint256 leaf,
        bytes32[] calldata proof,
        SourceLeaf[] calldata sources
    ) external;

    /// @notice Asks for the leaves [256·chunk, 256·chunk + 256) of a topic on chain. The value sent, at least `requestFeeAt(block.basefee)`,
    /// pays whoever answers; left unanswered, the candidate can be struck and the fee taken back. A chunk can be asked for once.
    function requestLeaves(uint256 candidateId, uint64 topic, uint256 chunk) external payable;

    /// @notice Answers a request and takes its fee. Anyone who has the leaves may.
    /// @param leaves the chunk's leaves up to the last seat, without padding
    /// @param proof siblings from the chunk's subtree up to the root
    function answerLeaves(
        uint256 candidateId,
        uint64 topic,
        uint256 chunk,
        uint256[] calldata leaves,
        bytes32[] calldata proof
    ) external;

    /// @notice Strikes a candidate that left a request unanswered; possible until its epoch's slot is used again.
    function strikeUnavailable(uint256 candidateId, uint64 topic, uint256 chunk) external;

    /// @notice Pays the fee of an unanswered request of a struck candidate back to its requester, who calls.
    function reclaimFee(uint256 candidateId, uint64 topic, uint256 chunk) external;

    /// @notice Finalizes each topic with the first candidate of the epoch that stands and has it. Refuses while that
    /// candidate has unanswered requests: it is due to be struck.
    function finalize(uint32 epoch, uint64[] calldata topics) external;

    /// @notice Releases the bond of a candidate that stands, from two epochs after its own, with no request unanswered.
    function releaseBond(uint256 candidateId) external;

    /// @notice Checks one score of the last finalized epoch of a topic.
    /// @param query topic | epoch << 64 | index << 96
    /// @return agentId the agent of the leaf
    /// @return score its share of 2^62
    function verifyScore(
        uint256 query,
        uint256 leaf,
        bytes32[] calldata proof
    ) external view returns (uint32 agentId, uint64 score);

    /// @notice The last finalized root of a topic; epoch 0 = none.
    function finalizedOf(
        uint64 topic
    ) external view returns (bytes32 root, uint32 epoch, uint32 leafCount, uint8 depth, uint256 candidateId);

    /// @notice What priors of the last closed epoch read of a topic: its last root that had been finalized when the running epoch
    /// began, whatever is finalized meanwhile; epoch 0 = none.
    function baseOf(
        uint64 topic
    ) external view returns (bytes32 root, uint32 epoch, uint32 leafCount, uint8 depth, uint64 multiplier, uint8 shift);

    /// @notice The couplings' parameters, and the links that lead to a topic.
    function couplingsOf(uint64 topic) external view returns (Couplings memory);

    /// @notice A candidate of the running or the last epochs, while its slot stands; all zero = unknown.
    function candidateOf(
        uint256 candidateId
    )
        external
        view
        returns (uint32 publisher, uint32 epoch, uint48 committedAt, Fault fault, bool isReleased, uint32 openRequests);

    /// @notice One topic of a candidate, while its slot stands; leafCount 0 = the candidate does not have the topic.
    function topicOf(
        uint256 candidateId,
        uint64 topic
    ) external view returns (bytes32 root, uint64 multiplier, uint8 shift, uint32 leafCount, uint8 depth);

    /// @notice How many candidates were committed for an epoch, struck ones included, and how many of them stand.
    function candidateCountOf(uint32 epoch) external view returns (uint32 committed, uint32 standing);

    /// @notice The least fee of a request, in wei, in a block of this base fee: twice the gas of an answer.
    /// @param baseFee of the request's block, in wei; block.basefee reads 0 in an eth_call, so the caller names it
    function requestFeeAt(uint256 baseFee) external pure returns (uint256);

    /// @notice In the stake token's smallest unit.
    function publisherBond() external view returns (uint256);
}
