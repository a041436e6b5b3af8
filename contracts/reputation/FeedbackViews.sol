// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC8004Reputation} from "../interfaces/IERC8004Reputation.sol";
import {IFeedbackRegistry} from "../interfaces/IFeedbackRegistry.sol";
import {TagFilter, TagTable, TagTables} from "../libraries/TagTable.sol";
import {FeedbackRecords} from "./FeedbackRecords.sol";

/// @notice What can be asked of feedback: each view has a bound or a page.
abstract contract FeedbackViews is FeedbackRecords {
    using TagTables for TagTable;
    using TagTables for TagFilter;

    /// @dev What readAllFeedback returns, as one tuple.
    struct Lists {
        address[] clients;
        uint64[] feedbackIndexes;
        int128[] values;
        uint8[] valueDecimals;
        string[] tag1s;
        string[] tag2s;
        bool[] revokedStatuses;
    }

    /// @dev Filters of a view.
    struct Filter {
        TagFilter tag1;
        TagFilter tag2;
        uint8 requiredFlags;
        uint8 forbiddenFlags;
    }

    /// @dev Records that one view reads, clients or feedbacks: a summary of as many fits one transaction (EIP-7825).
    uint256 private constant MAX_SCAN = 2_048;

    /// @inheritdoc IERC8004Reputation
    function getSummary(
        uint256 agentId,
        address[] calldata clientAddresses,
        string calldata tag1,
        string calldata tag2
    ) external view returns (uint64 count, int128 summaryValue, uint8 summaryValueDecimals) {
        return _summarize(agentId, clientAddresses, _filterOf(tag1, tag2, 0));
    }

    /// @inheritdoc IFeedbackRegistry
    function getBackedSummary(
        uint256 agentId,
        address[] calldata clientAddresses,
        string calldata tag1,
        string calldata tag2
    ) external view returns (uint64 count, int128 summaryValue, uint8 summaryValueDecimals) {
        return _summarize(agentId, clientAddresses, _filterOf(tag1, tag2, BACKED));
    }

    /// @inheritdoc IFeedbackRegistry
    function summarizePage(
        uint256 agentId,
        address clientAddress,
        uint64 from,
        uint64 to,
        string calldata tag1,
        string calldata tag2,
        bool isBackedOnly
    ) external view returns (Tally memory tally) {
        Filter memory filter = _filterOf(tag1, tag2, isBackedOnly ? BACKED : 0);
        (from, to) = _page(agentId, clientAddress, from, to);
        _add(tally, agentId, clientAddress, from, to, filter);
    }

    /// @inheritdoc IERC8004Reputation
    function readFeedback(
        uint256 agentId,
        address clientAddress,
        uint64 feedbackIndex
    )
        external
        view
        returns (int128 value, uint8 valueDecimals, string memory tag1, string memory tag2, bool isRevoked)
    {
        Feedback memory feedback = _requireFeedback(agentId, clientAddress, feedbackIndex);
        return (
            feedback.value,
            feedback.valueDecimals,
            _tags.read(feedback.tag1),
            _tags.read(feedback.tag2),
            feedback.flags & REVOKED != 0
        );
    }

    /// @inheritdoc IERC8004Reputation
    // The outputs have their names in the interface; here nothing assigns them.
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
            address[] memory,
            uint64[] memory,
            int128[] memory,
            uint8[] memory,
            string[] memory,
            string[] memory,
            bool[] memory
        )
    {
        // Seven lists and eight words of arguments fill the stack: the lists are answered from memory.
        _answerAll(agentId, clientAddresses, tag1, tag2, includeRevoked);
    }

    /// @inheritdoc IFeedbackRegistry
    function readFeedbackPage(
        uint256 agentId,
        address clientAddress,
        uint64 from,
        uint64 to
    ) external view returns (Entry[] memory entries) {
        (from, to) = _page(agentId, clientAddress, from, to);
        entries = new Entry[](to + 1 - from);
        for (uint64 index = from; index <= to; ++index) {
            Feedback memory feedback = _feedbackAt(agentId, clientAddress, index);
            entries[index - from] = Entry({
                feedbackIndex: index,
                value: feedback.value,
                valueDecimals: feedback.valueDecimals,
                isRevoked: feedback.flags & REVOKED != 0,
                isBacked: feedback.flags & BACKED != 0,
                tag1: _tags.read(feedback.tag1),
                tag2: _tags.read(feedback.tag2)
            });
        }
    }

    /// @inheritdoc IERC8004Reputation
    function getResponseCount(
        uint256 agentId,
        address clientAddress,
        uint64 feedbackIndex,
        address[] calldata responders
    ) external view returns (uint64 count) {
        uint64 index = clientAddress == address(0) ? 0 : feedbackIndex;
        for (uint256 i = 0; i < responders.length; ++i)
            count += _responses[agentId][clientAddress][index][responders[i]];
        if (responders.length != 0) return count;
        if (clientAddress == address(0)) return _agents[agentId].responseCount;
        if (index == 0) return _responsesTo(agentId, clientAddress);
        return _feedback[agentId][clientAddress][index].responseCount;
    }

    /// @inheritdoc IERC8004Reputation
    function getClients(uint256 agentId) external view returns (address[] memory) {
        return _allClients(agentId);
    }

    /// @inheritdoc IFeedbackRegistry
    function getClientsPage(
        uint256 agentId,
        address before,
        uint256 limit
    ) external view returns (address[] memory clients) {
        if (limit > MAX_SCAN) revert FeedbackTooMany(limit, MAX_SCAN);
        clients = new address[](limit);
        uint256 count = 0;
        address client = before == address(0) ? _agents[agentId].newestClient : _clients[agentId][before].previous;
        while (client != address(0) && count < limit) {
            clients[count++] = client;
            client = _clients[agentId][client].previous;
        }
        assembly ("memory-safe") {
            mstore(clients, count)
        }
    }

    /// @inheritdoc IFeedbackRegistry
    function getClientCount(uint256 agentId) external view returns (uint64) {
        return _agents[agentId].clientCount;
    }

    /// @inheritdoc IERC8004Reputation
    function getLastIndex(uint256 agentId, address clientAddress) external view returns (uint64) {
        return _clients[agentId][clientAddress].lastIndex;
    }

    /// @inheritdoc IFeedbackRegistry
    function isBacked(uint256 agentId, address clientAddress, uint64 feedbackIndex) external view returns (bool) {
        return _requireFeedback(agentId, clientAddress, feedbackIndex).flags & BACKED != 0;
    }

    /// @inheritdoc IERC8004Reputation
    function getIdentityRegistry() external view returns (address) {
        return address(REGISTRY);
    }

    /// @inheritdoc IERC8004Reputation
    function getVersion() external pure returns (string memory) {
        return "2.0.0";
    }

    function _filterOf(
        string calldata tag1,
        string calldata tag2,
        uint8 requiredFlags
    ) private view returns (Filter memory) {
        return Filter(_tags.filter(tag1), _tags.filter(tag2), requiredFlags, REVOKED);
    }

    function _summarize(
        uint256 agentId,
        address[] calldata clientAddresses,
        Filter memory filter
    ) private view returns (uint64 count, int128 mean, uint8 decimals) {
        if (clientAddresses.length == 0) revert FeedbackNoClients(agentId);
        Tally memory tally;
        uint256 scanned = clientAddresses.length;
        for (uint256 i = 0; i < clientAddresses.length; ++i) {
            uint64 lastIndex = _clients[agentId][clientAddresses[i]].lastIndex;
            scanned += lastIndex;
            if (scanned > MAX_SCAN) revert FeedbackTooMany(scanned, MAX_SCAN);
            _add(tally, agentId, clientAddresses[i], 1, lastIndex, filter);
        }
        return _meanOf(tally);
    }

    /// @dev As the reference rounds: the mean of 18 decimals towards zero, then cut to the most frequent decimals, of equally
    /// frequent ones the fewest.
    function _meanOf(Tally memory tally) private pure returns (uint64 count, int128 mean, uint8 decimals) {
        count = tally.count;
        if (count == 0) return (0, 0, 0);
        for (uint8 d = 1; d <= MAX_DECIMALS; ++d) {
            if (tally.decimalCounts[d] > tally.decimalCounts[decimals]) decimals = d;
        }
        int256 meanWad = tally.sumWad / int256(uint256(count));
        // A mean of values within ±1e38 is within ±1e38.
        mean = int128(meanWad / int256(10 ** (MAX_DECIMALS - decimals)));
    }

    function _add(
        Tally memory tally,
        uint256 agentId,
        address clientAddress,
        uint64 from,
        uint64 to,
        Filter memory filter
    ) private view {
        for (uint64 index = from; index <= to; ++index) {
            Feedback memory feedback = _feedbackAt(agentId, clientAddress, index);
            if (!_passes(feedback, filter)) continue;
            ++tally.count;
            ++tally.decimalCounts[feedback.valueDecimals];
            tally.sumWad += feedback.value * int256(10 ** (MAX_DECIMALS - feedback.valueDecimals));
        }
    }

    function _passes(Feedback memory feedback, Filter memory filter) private pure returns (bool) {
        return
            feedback.flags & filter.forbiddenFlags == 0 &&
            feedback.flags & filter.requiredFlags == filter.requiredFlags &&
            filter.tag1.lets(feedback.tag1) &&
            filter.tag2.lets(feedback.tag2);
    }

    function _answerAll(
        uint256 agentId,
        address[] calldata clientAddresses,
        string calldata tag1,
        string calldata tag2,
        bool includeRevoked
    ) private view {
        Filter memory filter = _filterOf(tag1, tag2, 0);
        if (includeRevoked) filter.forbiddenFlags = 0;
        address[] memory clients = clientAddresses.length == 0 ? _allClients(agentId) : clientAddresses;
        bytes memory answer = abi.encode(_read(agentId, _match(agentId, clients, filter)));
        assembly ("memory-safe") {
            // Several values are encoded as the fields of one tuple are, without the tuple's offset.
            return(add(answer, 0x40), sub(mload(answer), 0x20))
        }
    }

    /// @dev Which feedbacks of the clients pass, by client and index.
    function _match(
        uint256 agentId,
        address[] memory clients,
        Filter memory filter
    ) private view returns (Lists memory lists) {
        uint256 scanned = clients.length;
        for (uint256 i = 0; i < clients.length; ++i) scanned += _clients[agentId][clients[i]].lastIndex;
        if (scanned > MAX_SCAN) revert FeedbackTooMany(scanned, MAX_SCAN);
        address[] memory matching = new address[](scanned);
        uint64[] memory indexes = new uint64[](scanned);
        uint256 count = 0;
        for (uint256 i = 0; i < clients.length; ++i) {
            uint64 lastIndex = _clients[agentId][clients[i]].lastIndex;
            for (uint64 index = 1; index <= lastIndex; ++index) {
                if (!_passes(_feedbackAt(agentId, clients[i], index), filter)) continue;
                matching[count] = clients[i];
                indexes[count++] = index;
            }
        }
        assembly ("memory-safe") {
            mstore(matching, count)
            mstore(indexes, count)
        }
        (lists.clients, lists.feedbackIndexes) = (matching, indexes);
    }

    /// @param lists clients and indexes; the rest is filled in
    function _read(uint256 agentId, Lists memory lists) private view returns (Lists memory) {
        uint256 count = lists.clients.length;
        lists.values = new int128[](count);
        lists.valueDecimals = new uint8[](count);
        lists.tag1s = new string[](count);
        lists.tag2s = new string[](count);
        lists.revokedStatuses = new bool[](count);
        for (uint256 i = 0; i < count; ++i) {
            Feedback memory feedback = _feedbackAt(agentId, lists.clients[i], lists.feedbackIndexes[i]);
            lists.values[i] = feedback.value;
            lists.valueDecimals[i] = feedback.valueDecimals;
            lists.tag1s[i] = _tags.read(feedback.tag1);
            lists.tag2s[i] = _tags.read(feedback.tag2);
            lists.revokedStatuses[i] = feedback.flags & REVOKED != 0;
        }
        return lists;
    }

    function _allClients(uint256 agentId) private view returns (address[] memory clients) {
        uint256 count = _agents[agentId].clientCount;
        if (count > MAX_SCAN) revert FeedbackTooMany(count, MAX_SCAN);
        clients = new address[](count);
        address client = _agents[agentId].newestClient;
        while (count != 0) {
            clients[--count] = client;
            client = _clients[agentId][client].previous;
        }
    }

    /// @dev The page within the client's indexes; empty pages end before they begin.
    function _page(
        uint256 agentId,
        address clientAddress,
        uint64 from,
        uint64 to
    ) private view returns (uint64 first, uint64 last) {
        uint64 lastIndex = _clients[agentId][clientAddress].lastIndex;
        first = from == 0 ? 1 : from;
        last = to < lastIndex ? to : lastIndex;
        if (last < first) return (1, 0);
        if (last - first >= MAX_SCAN) revert FeedbackTooMany(uint256(last - first) + 1, MAX_SCAN);
    }
}
