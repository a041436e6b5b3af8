// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Signers} from "../identity/Signers.sol";
import {IDealEscrow} from "../interfaces/IDealEscrow.sol";
import {IERC8004Identity} from "../interfaces/IERC8004Identity.sol";
import {IERC8004Reputation} from "../interfaces/IERC8004Reputation.sol";
import {IFeedbackRegistry} from "../interfaces/IFeedbackRegistry.sol";
import {StructHash} from "../libraries/StructHash.sol";
import {TagTable, TagTables} from "../libraries/TagTable.sol";
import {Deal} from "../libraries/Types.sol";
import {FeedbackRecords} from "./FeedbackRecords.sol";
import {FeedbackViews} from "./FeedbackViews.sol";

/// @notice See IFeedbackRegistry; why it is built so stands in the folder's README.
contract FeedbackRegistry is FeedbackViews {
    using TagTables for TagTable;

    /// @dev What one giving is about; the strings are hashed, stored and emitted from here.
    struct Giving {
        uint256 agentId;
        int128 value;
        uint8 valueDecimals;
        uint8 flags;
        string tag1;
        string tag2;
        string endpoint;
        string feedbackURI;
        bytes32 feedbackHash;
    }

    /// @dev Bounds of ERC-8004 v2.0.0.
    int128 private constant MAX_ABS_VALUE = 1e38;
    /// @dev Longer ones are no tags: OASF's longest paths have some 80 bytes. A reader pays for each word of them.
    uint256 private constant MAX_TAG_LENGTH = 128;

    constructor(IDealEscrow escrow_) FeedbackRecords(escrow_) {}

    /// @inheritdoc IERC8004Reputation
    function giveFeedback(
        uint256 agentId,
        int128 value,
        uint8 valueDecimals,
        string calldata tag1,
        string calldata tag2,
        string calldata endpoint,
        string calldata feedbackURI,
        bytes32 feedbackHash
    ) external {
        _give(Giving(agentId, value, valueDecimals, 0, tag1, tag2, endpoint, feedbackURI, feedbackHash));
    }

    /// @inheritdoc IFeedbackRegistry
    function giveFeedbackForDeal(
        Deal calldata deal,
        int128 value,
        uint8 valueDecimals,
        string calldata tag1,
        string calldata tag2,
        string calldata endpoint,
        string calldata feedbackURI,
        bytes32 feedbackHash
    ) external {
        _giveForDeal(
            deal,
            Giving(deal.providerAgentId, value, valueDecimals, BACKED, tag1, tag2, endpoint, feedbackURI, feedbackHash)
        );
    }

    /// @inheritdoc IERC8004Reputation
    function revokeFeedback(uint256 agentId, uint64 feedbackIndex) external {
        Feedback memory feedback = _requireFeedback(agentId, msg.sender, feedbackIndex);
        if (feedback.flags & REVOKED != 0) revert FeedbackAlreadyRevoked(agentId, msg.sender, feedbackIndex);

        _markRevoked(agentId, msg.sender, feedbackIndex);
        emit FeedbackRevoked(agentId, msg.sender, feedbackIndex);
    }

    /// @inheritdoc IERC8004Reputation
    function appendResponse(
        uint256 agentId,
        address clientAddress,
        uint64 feedbackIndex,
        string calldata responseURI,
        bytes32 responseHash
    ) external {
        if (bytes(responseURI).length == 0) revert FeedbackEmptyResponse(agentId, clientAddress, feedbackIndex);
        _requireGiven(agentId, clientAddress, feedbackIndex);

        _spill(agentId, clientAddress);
        // Each of getResponseCount's questions has its own sum, so that none has to be added up over unknown many.
        ++_feedback[agentId][clientAddress][feedbackIndex].responseCount;
        _clients[agentId][clientAddress].rest += ONE_RESPONSE;
        ++_agents[agentId].responseCount;
        ++_responses[agentId][clientAddress][feedbackIndex][msg.sender];
        ++_responses[agentId][clientAddress][0][msg.sender];
        ++_responses[agentId][address(0)][0][msg.sender];
        emit ResponseAppended(agentId, clientAddress, feedbackIndex, msg.sender, responseURI, responseHash);
    }

    function _giveForDeal(Deal calldata deal, Giving memory giving) private {
        bytes32 dealId = StructHash.hashCalldata(deal);
        if (!_speaksFor(deal.clientAgentId)) revert FeedbackNotClient(dealId, deal.clientAgentId, msg.sender);
        // INVARIANT: a deal backs one feedback, and only after its money has moved. The escrow calls nobody.
        escrow.useTicket(dealId);
        uint64 index = _give(giving);
        emit FeedbackBacked(dealId, giving.agentId, deal.clientAgentId, msg.sender, index);
    }

    /// @dev Checks, effects and the standard's event of both ways to give feedback.
    function _give(Giving memory giving) private returns (uint64 index) {
        uint256 agentId = giving.agentId;
        if (giving.valueDecimals > MAX_DECIMALS) revert FeedbackTooManyDecimals(giving.valueDecimals, MAX_DECIMALS);
        if (giving.value > MAX_ABS_VALUE || giving.value < -MAX_ABS_VALUE)
            revert FeedbackValueTooLarge(giving.value, MAX_ABS_VALUE);
        _requireTag(giving.tag1);
        _requireTag(giving.tag2);
        // INVARIANT: nobody praises an agent of its own. An unknown agent makes the registry revert.
        if (IERC8004Identity(address(REGISTRY)).isAuthorizedOrOwner(msg.sender, agentId))
            revert FeedbackSelf(agentId, msg.sender);

        Client storage client = _clients[agentId][msg.sender];
        index = uint64(client.lastIndex) + 1;
        Feedback memory feedback = Feedback({
            value: giving.value,
            valueDecimals: giving.valueDecimals,
            flags: giving.flags,
            tag1: _tags.intern(giving.tag1),
            tag2: _tags.intern(giving.tag2),
            responseCount: 0
        });
        _keep(agentId, msg.sender, index, feedback);
        if (index == 1) _addClient(agentId, client);
        // Checked: who has given 2^24 - 1 gives no more.
        ++client.lastIndex;
        _announce(giving, index);
    }

    function _addClient(uint256 agentId, Client storage client) private {
        Agent storage agent = _agents[agentId];
        client.previous = agent.newestClient;
        agent.newestClient = msg.sender;
        ++agent.clientCount;
    }

    function _announce(Giving memory giving, uint64 index) private {
        emit NewFeedback(
            giving.agentId,
            msg.sender,
            index,
            giving.value,
            giving.valueDecimals,
            giving.tag1,
            giving.tag1,
            giving.tag2,
            giving.endpoint,
            giving.feedbackURI,
            giving.feedbackHash
        );
    }

    /// @dev The escrow's rule, and the wallet, which ERC-8004 asks an agent to give its feedback from.
    function _speaksFor(uint256 agentId) private view returns (bool) {
        bytes32 signerHash = keccak256(abi.encodePacked(msg.sender));
        if (REGISTRY.isSignerValidAt(agentId, signerHash, Signers.LOG, block.timestamp)) return true;
        IERC8004Identity identity = IERC8004Identity(address(REGISTRY));
        return identity.isAuthorizedOrOwner(msg.sender, agentId) || identity.getAgentWallet(agentId) == msg.sender;
    }

    function _requireTag(string memory tag) private pure {
        uint256 length = bytes(tag).length;
        if (length > MAX_TAG_LENGTH) revert FeedbackTagTooLong(length, MAX_TAG_LENGTH);
    }
}
