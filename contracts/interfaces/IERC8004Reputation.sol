// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Reputation registry of ERC-8004, v2.0.0
/// @notice Functions and events are the standard's to the letter. Only the errors are ours: the reference reverts with strings.
interface IERC8004Reputation {
    event NewFeedback(
        uint256 indexed agentId,
        address indexed clientAddress,
        uint64 feedbackIndex,
        int128 value,
        uint8 valueDecimals,
        string indexed indexedTag1,
        string tag1,
        string tag2,
        string endpoint,
        string feedbackURI,
        bytes32 feedbackHash
    );
    event FeedbackRevoked(uint256 indexed agentId, address indexed clientAddress, uint64 indexed feedbackIndex);
    event ResponseAppended(
        uint256 indexed agentId,
        address indexed clientAddress,
        uint64 feedbackIndex,
        address indexed responder,
        string responseURI,
        bytes32 responseHash
    );

    /// @notice Feedback of the caller on an agent that it neither owns nor operates.
    /// @param value fixed point with `valueDecimals` (at most 18) decimals, within ±1e38
    function giveFeedback(
        uint256 agentId,
        int128 value,
        uint8 valueDecimals,
        string calldata tag1,
        string calldata tag2,
        string calldata endpoint,
        string calldata feedbackURI,
        bytes32 feedbackHash
    ) external;

    /// @notice Takes the caller's own feedback back; it stays readable, marked as revoked.
    function revokeFeedback(uint256 agentId, uint64 feedbackIndex) external;

    /// @notice Anyone's answer to a feedback.
    function appendResponse(
        uint256 agentId,
        address clientAddress,
        uint64 feedbackIndex,
        string calldata responseURI,
        bytes32 responseHash
    ) external;

    function getIdentityRegistry() external view returns (address);

    /// @notice Count and mean of what the given clients said and did not revoke, in the decimals that most of it has.
    /// @param clientAddresses not empty: without a choice of clients a mean is anybody's
    /// @param tag1 empty = any
    function getSummary(
        uint256 agentId,
        address[] calldata clientAddresses,
        string calldata tag1,
        string calldata tag2
    ) external view returns (uint64 count, int128 summaryValue, uint8 summaryValueDecimals);

    /// @param feedbackIndex from 1
    function readFeedback(
        uint256 agentId,
        address clientAddress,
        uint64 feedbackIndex
    ) external view returns (int128 value, uint8 valueDecimals, string memory tag1, string memory tag2, bool isRevoked);

    /// @param clientAddresses empty = all
    function readAllFeedback(
        uint256 agentId,
        address[] calldata clientAddresses,
        string calldata tag1,
        string calldata tag2,
        bool includeRevoked
    )
        external
        view
        returns (
            address[] memory clients,
            uint64[] memory feedbackIndexes,
            int128[] memory values,
            uint8[] memory valueDecimals,
            string[] memory tag1s,
            string[] memory tag2s,
            bool[] memory revokedStatuses
        );

    /// @param clientAddress zero = all clients
    /// @param feedbackIndex 0 = all of the client's
    /// @param responders empty = all
    function getResponseCount(
        uint256 agentId,
        address clientAddress,
        uint64 feedbackIndex,
        address[] calldata responders
    ) external view returns (uint64 count);

    /// @notice Who gave feedback, in the order of their first.
    function getClients(uint256 agentId) external view returns (address[] memory);

    /// @notice Index of the client's last feedback; 0 = none.
    function getLastIndex(uint256 agentId, address clientAddress) external view returns (uint64);

    function getVersion() external pure returns (string memory);
}
