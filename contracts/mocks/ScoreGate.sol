// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IReputationEpochs} from "../interfaces/IReputationEpochs.sol";

/// @title What a marketplace does with a score: it admits agents of a least reputation, on proof
/// @notice An example for marketplaces, used by the rating import. Nobody has to believe the lister: the score comes with
/// its Merkle proof against the last finalized epoch.
contract ScoreGate {
    IReputationEpochs public immutable EPOCHS;
    /// @notice Topic in which the marketplace deals.
    uint64 public immutable TOPIC;
    /// @notice Least score, as a share of 2^62.
    uint64 public immutable MIN_SCORE;

    /// @notice The epoch in which an agent last proved its score; 0 = never admitted.
    mapping(uint32 agentId => uint32 epoch) public admittedIn;

    event Admitted(uint32 indexed agentId, uint32 indexed epoch, uint64 score);

    error ScoreGateOtherTopic(uint64 given, uint64 required);
    error ScoreGateScoreTooLow(uint32 agentId, uint64 score, uint64 required);

    constructor(IReputationEpochs epochs, uint64 topic, uint64 minScore) {
        EPOCHS = epochs;
        TOPIC = topic;
        MIN_SCORE = minScore;
    }

    /// @notice Admits the agent of a leaf. Anyone may bring the proof.
    /// @param query topic | epoch << 64 | index << 96, as IReputationEpochs.verifyScore takes it
    function admit(uint256 query, uint256 leaf, bytes32[] calldata proof) external returns (uint32 agentId) {
        if (uint64(query) != TOPIC) revert ScoreGateOtherTopic(uint64(query), TOPIC);
        uint64 score;
        (agentId, score) = EPOCHS.verifyScore(query, leaf, proof);
        if (score < MIN_SCORE) revert ScoreGateScoreTooLow(agentId, score, MIN_SCORE);
        uint32 epoch = uint32(query >> 64);
        admittedIn[agentId] = epoch;
        emit Admitted(agentId, epoch, score);
    }
}
