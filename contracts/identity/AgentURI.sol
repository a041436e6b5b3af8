// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC8004Identity} from "../interfaces/IERC8004Identity.sol";
import {CodeStorage} from "../libraries/CodeStorage.sol";

/// @notice URIs of registration files, one for each agent and revision.
library AgentURI {
    /// Longest URI in bytes: a whole registration file as a data: URI fits (1.7 million gas).
    uint256 internal constant MAX_LENGTH = 8_192;

    function write(uint256 agentId, uint24 revision, string memory agentURI) internal {
        uint256 length = bytes(agentURI).length;
        if (length > MAX_LENGTH) revert IERC8004Identity.IdentityURITooLong(length, MAX_LENGTH);
        CodeStorage.write(saltOf(agentId, revision), bytes(agentURI));
    }

    function read(uint256 agentId, uint24 revision) internal view returns (string memory) {
        return string(CodeStorage.read(saltOf(agentId, revision)));
    }

    function saltOf(uint256 agentId, uint24 revision) private pure returns (bytes32) {
        return bytes32((agentId << 24) | revision);
    }
}
