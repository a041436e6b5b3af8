// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Fields of a leaf, one word, most significant first: agent32 | score64 | cum64 | prior48 | rowSum48.
/// `cum` is the sum of the scores of all seats before; the leaf's position in the tree is its seat.
library ReputationLeaf {
    function agentOf(uint256 leaf) internal pure returns (uint256) {
        return leaf >> 224;
    }

    function scoreOf(uint256 leaf) internal pure returns (uint256) {
        return uint64(leaf >> 160);
    }

    function cumOf(uint256 leaf) internal pure returns (uint256) {
        return uint64(leaf >> 96);
    }

    function priorOf(uint256 leaf) internal pure returns (uint256) {
        return uint48(leaf >> 48);
    }

    function rowSumOf(uint256 leaf) internal pure returns (uint256) {
        return uint48(leaf);
    }
}
