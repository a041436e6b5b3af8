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

    /// @dev One slot: what an agent knows of a client. Clients are a list, each naming the one before it.
    struct Client {
        address previous;
        uint32 lastIndex;
        uint64 responseCount;
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

    function _requireFeedback(
        uint256 agentId,
        address clientAddress,
        uint64 index
    ) internal view returns (Feedback storage) {
        uint64 lastIndex = _clients[agentId][clientAddress].lastIndex;
        if (index == 0 || index > lastIndex) revert FeedbackUnknown(agentId, clientAddress, index, lastIndex);
        return _feedback[agentId][clientAddress][index];
    }
}
