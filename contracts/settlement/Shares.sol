// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDealEscrow} from "../interfaces/IDealEscrow.sol";

/// @notice The tree behind `Deal.splitsRoot`.
library Shares {
    uint256 internal constant MAX_COUNT = 128;
    uint256 internal constant WHOLE = 1_000_000;

    /// @notice Root over all leaves in their order; zero for an empty list. Leaves and nodes differ in length, so that no node
    /// passes for a leaf.
    function rootOf(IDealEscrow.Share[] calldata shares) internal pure returns (bytes32) {
        uint256 count = shares.length;
        if (count == 0) return 0;
        bytes32[] memory nodes = new bytes32[](count);
        for (uint256 k; k < count; ++k) {
            nodes[k] = keccak256(abi.encode(k, shares[k].account, shares[k].millionths));
        }
        while (count > 1) {
            uint256 pairs = count / 2;
            for (uint256 k; k < pairs; ++k) {
                nodes[k] = keccak256(abi.encodePacked(nodes[2 * k], nodes[2 * k + 1]));
            }
            if (count % 2 == 1) nodes[pairs] = nodes[count - 1];
            count = pairs + (count % 2);
        }
        return nodes[0];
    }
}
