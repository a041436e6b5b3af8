// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC8004Identity} from "../interfaces/IERC8004Identity.sol";
import {IERC8004Reputation} from "../interfaces/IERC8004Reputation.sol";

/// @notice Gives feedback on whatever agent it is told.
contract FeedbackGiver {
    function give(IERC8004Reputation registry, uint256 agentId, uint256 count) external {
        for (uint256 i = 0; i < count; ++i) registry.giveFeedback(agentId, int128(int256(i)), 0, "", "", "", "", 0);
    }
}

/// @title A spammer: more feedback than any view may walk. TEST ONLY.
contract FeedbackCrowd {
    IERC8004Reputation private immutable _feedback;
    IERC8004Identity private immutable _identity;
    FeedbackGiver public immutable giver = new FeedbackGiver();

    constructor(IERC8004Reputation feedback, IERC8004Identity identity) {
        _feedback = feedback;
        _identity = identity;
    }

    /// @notice An agent of its own to speak about, which this contract owns and its giver does not.
    function register() external returns (uint256 agentId) {
        return _identity.register("");
    }

    function giveMany(uint256 agentId, uint256 count) external {
        giver.give(_feedback, agentId, count);
    }

    function onERC721Received(address, address, uint256, bytes calldata) external pure returns (bytes4) {
        return this.onERC721Received.selector;
    }
}
