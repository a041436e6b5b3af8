// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBindings} from "../interfaces/IBindings.sol";
import {IDealEscrow} from "../interfaces/IDealEscrow.sol";
import {IFeedbackRegistry} from "../interfaces/IFeedbackRegistry.sol";
import {TagTable} from "../libraries/TagTable.sol";

/// @notice What is kept of feedback, in one slot each, and of those who gave it.
abstract contract FeedbackRecords is IFeedbackRegistry {
    /// @dev One slot.
    struct Feedback {
        int128 value;
        uint8 valueDecimals;
        uint8 flags;
        uint40 tag1;
        uint40 tag2;
        uint32 responseCount;
    }

    /// @dev One slot: what an agent knows of a client. Clients are a list, each naming the one before it. Most give one feedback, of a
    /// small value, that nobody answers: it lies here, in `rest`, and has no slot of its own before the client's first response.
    struct Client {
        address previous;
        uint24 lastIndex;
        /// Bit 0 set: the first feedback, see `_pack`. Else responses to all of the client's feedback, from bit 8 on.
        uint72 rest;
    }

    /// @dev One slot: the newest client is the list's head.
    struct Agent {
        address newestClient;
        uint32 clientCount;
        uint64 responseCount;
    }

    uint8 internal constant REVOKED = 1;
    uint8 internal constant BACKED = 2;
    uint8 internal constant MAX_DECIMALS = 18;
    uint72 internal constant HAS_FIRST = 1;
    uint72 internal constant ONE_RESPONSE = 1 << 8;

    /// @inheritdoc IFeedbackRegistry
    IDealEscrow public immutable escrow;
    IBindings internal immutable REGISTRY;

    TagTable internal _tags;
    mapping(uint256 agentId => Agent) internal _agents;
    mapping(uint256 agentId => mapping(address client => Client)) internal _clients;
    mapping(uint256 agentId => mapping(address client => mapping(uint64 index => Feedback))) internal _feedback;
    /// @dev Responses by responder: to one feedback; index 0 = to all of the client's; client zero = to all of the agent's.
    mapping(uint256 agentId => mapping(address client => mapping(uint64 index => mapping(address responder => uint64))))
        internal _responses;

    constructor(IDealEscrow escrow_) {
        escrow = escrow_;
        REGISTRY = escrow_.registry();
    }

    function _requireGiven(uint256 agentId, address clientAddress, uint64 index) internal view {
        uint64 lastIndex = _clients[agentId][clientAddress].lastIndex;
        if (index == 0 || index > lastIndex) revert FeedbackUnknown(agentId, clientAddress, index, lastIndex);
    }

    function _requireFeedback(
        uint256 agentId,
        address clientAddress,
        uint64 index
    ) internal view returns (Feedback memory) {
        _requireGiven(agentId, clientAddress, index);
        return _feedbackAt(agentId, clientAddress, index);
    }

    /// @dev Wherever it lies; all zero for an index that was not given.
    function _feedbackAt(uint256 agentId, address clientAddress, uint64 index) internal view returns (Feedback memory) {
        if (index == 1) {
            uint72 rest = _clients[agentId][clientAddress].rest;
            if (rest & HAS_FIRST != 0) return _unpack(rest);
        }
        return _feedback[agentId][clientAddress][index];
    }

    /// @dev Writes a feedback that was given now.
    function _keep(uint256 agentId, address clientAddress, uint64 index, Feedback memory feedback) internal {
        if (index == 1 && _fits(feedback)) _clients[agentId][clientAddress].rest = _pack(feedback);
        else _feedback[agentId][clientAddress][index] = feedback;
    }

    function _markRevoked(uint256 agentId, address clientAddress, uint64 index) internal {
        Client storage client = _clients[agentId][clientAddress];
        if (index == 1 && client.rest & HAS_FIRST != 0) client.rest |= uint72(REVOKED) << 1;
        else _feedback[agentId][clientAddress][index].flags |= REVOKED;
    }

    /// @dev Gives the first feedback a slot of its own, so that the client's has room to count responses.
    function _spill(uint256 agentId, address clientAddress) internal {
        Client storage client = _clients[agentId][clientAddress];
        uint72 rest = client.rest;
        if (rest & HAS_FIRST == 0) return;
        _feedback[agentId][clientAddress][1] = _unpack(rest);
        client.rest = 0;
    }

    function _responsesTo(uint256 agentId, address clientAddress) internal view returns (uint64) {
        uint72 rest = _clients[agentId][clientAddress].rest;
        return rest & HAS_FIRST != 0 ? 0 : uint64(rest >> 8);
    }

    function _fits(Feedback memory feedback) private pure returns (bool) {
        return int24(feedback.value) == feedback.value && feedback.tag1 < 1 << 20 && feedback.tag2 < 1 << 20;
    }

    /// @dev From bit 0: HAS_FIRST 1, flags 2, decimals 5, value 24, tags 20 each.
    function _pack(Feedback memory feedback) private pure returns (uint72) {
        return
            HAS_FIRST |
            (uint72(feedback.flags) << 1) |
            (uint72(feedback.valueDecimals) << 3) |
            (uint72(uint24(int24(feedback.value))) << 8) |
            (uint72(feedback.tag1) << 32) |
            (uint72(feedback.tag2) << 52);
    }

    function _unpack(uint72 rest) private pure returns (Feedback memory feedback) {
        feedback.flags = uint8(rest >> 1) & 3;
        feedback.valueDecimals = uint8(rest >> 3) & 31;
        feedback.value = int24(uint24(rest >> 8));
        feedback.tag1 = uint40(rest >> 32) & 0xfffff;
        feedback.tag2 = uint40(rest >> 52);
    }
}
