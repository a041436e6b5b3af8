// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fault, IReputationEpochs} from "../interfaces/IReputationEpochs.sol";
import {LeafTree} from "../libraries/LeafTree.sol";
import {EpochCandidates} from "./EpochCandidates.sol";

/// @title Availability: a leaf that anybody asks for is shown on chain, or its candidate falls
abstract contract EpochRequests is EpochCandidates {
    uint256 private constant CHUNK = 1 << LeafTree.CHUNK_DEPTH;
    /// @dev An answer with 256 leaves without a zero byte, calldata floor (EIP-7623) and siblings included, rounded up.
    uint256 private constant ANSWER_GAS = 400_000;

    struct Request {
        address requester;
        uint48 answerBy;
        bool isSettled;
        uint256 fee;
    }

    mapping(bytes32 candidateTopicAndChunk => Request) private _requests;

    /// @inheritdoc IReputationEpochs
    function requestLeaves(uint256 candidateId, uint64 topic, uint256 chunk) external payable {
        CommittedTopic memory committed = _challengeable(candidateId, topic);
        uint256 closesAt = _startOf(committed.epoch + 1) + (2 * EPOCH_LENGTH) / 3;
        if (block.timestamp >= closesAt) {
            revert ReputationEpochsRequestsClosed(candidateId, closesAt, block.timestamp);
        }
        if (chunk > (committed.leafCount - 1) / CHUNK) revert ReputationEpochsBadChunk(candidateId, topic, chunk);
        uint256 fee = requestFeeAt(block.basefee);
        if (msg.value < fee) revert ReputationEpochsFeeTooLow(msg.value, fee);
        Request storage request = _requests[_requestKey(candidateId, topic, chunk)];
        // INVARIANT: a chunk is asked for once, so what a publisher can be made to answer is bounded by its own leaves.
        if (request.requester != address(0)) revert ReputationEpochsAlreadyRequested(candidateId, topic, chunk);
        (request.requester, request.fee) = (msg.sender, msg.value);
        // Five sixths of the epoch at the latest: an answer leaves a sixth to challenge what it shows.
        request.answerBy = uint48(block.timestamp + EPOCH_LENGTH / 6);
        ++_candidates[_ringKey(candidateId)].openRequests;
        emit LeavesRequested(candidateId, topic, chunk, msg.sender, msg.value, request.answerBy);
    }

    /// @inheritdoc IReputationEpochs
    function answerLeaves(
        uint256 candidateId,
        uint64 topic,
        uint256 chunk,
        uint256[] calldata leaves,
        bytes32[] calldata proof
    ) external {
        CommittedTopic memory committed = _challengeable(candidateId, topic);
        Request storage request = _openRequest(candidateId, topic, chunk);
        if (block.timestamp > request.answerBy) {
            revert ReputationEpochsAnswerTooLate(candidateId, request.answerBy, block.timestamp);
        }
        if (!_isChunk(committed, chunk, leaves, proof)) revert ReputationEpochsBadProof(candidateId, topic, chunk);
        request.isSettled = true;
        --_candidates[_ringKey(candidateId)].openRequests;
        emit LeavesAnswered(candidateId, topic, chunk, leaves);
        _pay(request.fee);
    }

    /// @inheritdoc IReputationEpochs
    function strikeUnavailable(uint256 candidateId, uint64 topic, uint256 chunk) external {
        _standing(candidateId);
        Request storage request = _openRequest(candidateId, topic, chunk);
        if (block.timestamp <= request.answerBy) {
            revert ReputationEpochsAnswerNotDue(candidateId, request.answerBy, block.timestamp);
        }
        _strike(candidateId, Fault.Unavailable);
    }

    /// @inheritdoc IReputationEpochs
    function reclaimFee(uint256 candidateId, uint64 topic, uint256 chunk) external {
        Request storage request = _openRequest(candidateId, topic, chunk);
        if (request.requester != msg.sender) revert ReputationEpochsNoRequest(candidateId, topic, chunk);
        Candidate memory candidate = _candidates[_ringKey(candidateId)];
        // A candidate whose slot was used again can neither answer nor be struck any more: its fees go back, too.
        if (candidate.epoch == candidateId >> 32 && candidate.fault == Fault.None) {
            revert ReputationEpochsFeeHeld(candidateId, topic, chunk);
        }
        request.isSettled = true;
        emit RequestFeeReclaimed(candidateId, topic, chunk, msg.sender, request.fee);
        _pay(request.fee);
    }

    /// @inheritdoc IReputationEpochs
    function requestFeeAt(uint256 baseFee) public pure returns (uint256) {
        return 2 * ANSWER_GAS * baseFee;
    }

    function _openRequest(
        uint256 candidateId,
        uint64 topic,
        uint256 chunk
    ) private view returns (Request storage request) {
        request = _requests[_requestKey(candidateId, topic, chunk)];
        if (request.requester == address(0) || request.isSettled) {
            revert ReputationEpochsNoRequest(candidateId, topic, chunk);
        }
    }

    function _isChunk(
        CommittedTopic memory committed,
        uint256 chunk,
        uint256[] calldata leaves,
        bytes32[] calldata proof
    ) private pure returns (bool) {
        uint256 left = committed.leafCount - chunk * CHUNK;
        uint256 depth = committed.depth < LeafTree.CHUNK_DEPTH ? committed.depth : LeafTree.CHUNK_DEPTH;
        if (leaves.length != (left < CHUNK ? left : CHUNK) || proof.length != committed.depth - depth) return false;
        return LeafTree.rootOf(uint256(LeafTree.rootOfChunk(leaves, depth)), chunk, proof) == committed.root;
    }

    function _pay(uint256 fee) private {
        (bool isPaid, ) = msg.sender.call{value: fee}("");
        if (!isPaid) revert ReputationEpochsFeeNotPaid(msg.sender, fee);
    }

    function _requestKey(uint256 candidateId, uint64 topic, uint256 chunk) private pure returns (bytes32) {
        return keccak256(abi.encode(candidateId, topic, chunk));
    }
}
