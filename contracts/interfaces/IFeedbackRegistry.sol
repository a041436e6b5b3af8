// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Deal} from "../libraries/Types.sol";
import {IDealEscrow} from "./IDealEscrow.sol";
import {IERC8004Reputation} from "./IERC8004Reputation.sol";

/// @title Feedback that a settled deal stands behind
/// @notice ERC-8004's reputation registry, and one ticket for each settled deal. Feedback without a ticket is taken, as the
/// standard asks, and is not backed: it weighs nothing in the scores. Every view has a bound or a page.
interface IFeedbackRegistry is IERC8004Reputation {
    /// @notice One feedback as it stands.
    struct Entry {
        uint64 feedbackIndex;
        int128 value;
        uint8 valueDecimals;
        bool isRevoked;
        bool isBacked;
        string tag1;
        string tag2;
    }

    /// @notice Sums of a summary.
    /// @param sumWad sum of the values with 18 decimals
    /// @param decimalCounts how many of the values have 0, 1, … 18 decimals
    struct Tally {
        uint64 count;
        int256 sumWad;
        uint64[19] decimalCounts;
    }

    /// @notice Comes right after the `NewFeedback` that the deal backs.
    event FeedbackBacked(
        bytes32 indexed dealId,
        uint256 indexed agentId,
        uint256 indexed clientAgentId,
        address clientAddress,
        uint64 feedbackIndex
    );

    error FeedbackTooManyDecimals(uint8 given, uint8 max);
    error FeedbackValueTooLarge(int128 given, int128 maxAbsolute);
    error FeedbackSelf(uint256 agentId, address caller);
    error FeedbackTagTooLong(uint256 length, uint256 max);
    error FeedbackUnknown(uint256 agentId, address clientAddress, uint64 feedbackIndex, uint64 lastIndex);
    error FeedbackAlreadyRevoked(uint256 agentId, address clientAddress, uint64 feedbackIndex);
    error FeedbackEmptyResponse(uint256 agentId, address clientAddress, uint64 feedbackIndex);
    error FeedbackNoClients(uint256 agentId);
    /// @dev Ask the paged twin of the view instead.
    error FeedbackTooMany(uint256 count, uint256 max);
    error FeedbackNotClient(bytes32 dealId, uint256 clientAgentId, address caller);

    /// @notice Feedback on the provider of a settled deal, once a deal. The caller speaks for the client's agent: a LOG signer
    /// valid now, its owner, an approved account or its wallet.
    /// @param deal Completed, Resolved or Refunded; its ticket is a bit in the escrow, which refuses a second feedback
    function giveFeedbackForDeal(
        Deal calldata deal,
        int128 value,
        uint8 valueDecimals,
        string calldata tag1,
        string calldata tag2,
        string calldata endpoint,
        string calldata feedbackURI,
        bytes32 feedbackHash
    ) external;

    /// @notice Whether a settled deal stands behind a feedback. Revocation does not change it.
    function isBacked(uint256 agentId, address clientAddress, uint64 feedbackIndex) external view returns (bool);

    /// @notice As `getSummary`, of backed feedback only.
    function getBackedSummary(
        uint256 agentId,
        address[] calldata clientAddresses,
        string calldata tag1,
        string calldata tag2
    ) external view returns (uint64 count, int128 summaryValue, uint8 summaryValueDecimals);

    /// @notice Part of a summary: what one client said from index `from` to `to`, both included. Parts add up: the mean of a
    /// whole is Σ sumWad / Σ count.
    /// @param to cut to the client's last index
    function summarizePage(
        uint256 agentId,
        address clientAddress,
        uint64 from,
        uint64 to,
        string calldata tag1,
        string calldata tag2,
        bool isBackedOnly
    ) external view returns (Tally memory tally);

    /// @notice Feedback of one client from index `from` to `to`, both included, revoked ones too.
    /// @param to cut to the client's last index
    function readFeedbackPage(
        uint256 agentId,
        address clientAddress,
        uint64 from,
        uint64 to
    ) external view returns (Entry[] memory entries);

    /// @notice Clients from the newest back, `limit` at most.
    /// @param before the last client of the page before; zero = begin with the newest
    function getClientsPage(
        uint256 agentId,
        address before,
        uint256 limit
    ) external view returns (address[] memory clients);

    /// @notice Number of clients that gave feedback.
    function getClientCount(uint256 agentId) external view returns (uint64);

    /// @notice The escrow whose settled deals are tickets.
    function escrow() external view returns (IDealEscrow);
}
