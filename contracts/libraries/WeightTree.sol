// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Weights by uint32 id, with sums: draws an id with a probability in proportion to its weight, in 16 reads.
/// @dev Sixteen levels of words with four uint64 sums each, so that a change is 16 writes; level 15 has the only top word.
library WeightTree {
    uint256 private constant LEVELS = 16;
    uint256 private constant SUM_MASK = type(uint64).max;

    struct Tree {
        mapping(uint256 levelAndIndex => uint256 sums) words;
    }

    /// @notice Sets one id's weight. The sum of all weights stays below 2^64: the caller's business.
    function set(Tree storage tree, uint32 id, uint64 weight) internal {
        uint256 before = weightOf(tree, id);
        for (uint256 level; level < LEVELS; ++level) {
            uint256 key = _keyOf(level, id);
            uint256 shift = _shiftOf(level, id);
            uint256 word = tree.words[key];
            uint256 sum = ((word >> shift) & SUM_MASK) + weight - before;
            tree.words[key] = (word & ~(SUM_MASK << shift)) | (sum << shift);
        }
    }

    function weightOf(Tree storage tree, uint32 id) internal view returns (uint64) {
        return uint64(tree.words[_keyOf(0, id)] >> _shiftOf(0, id));
    }

    /// @notice The sum of all weights.
    function total(Tree storage tree) internal view returns (uint256 sum) {
        uint256 word = tree.words[(LEVELS - 1) << 32];
        for (uint256 k; k < 4; ++k) sum += (word >> (64 * k)) & SUM_MASK;
    }

    /// @notice The id whose share of [0, total) holds this point.
    function idAt(Tree storage tree, uint256 point) internal view returns (uint32) {
        uint256 index;
        for (uint256 level = LEVELS; level > 0; --level) {
            uint256 word = tree.words[((level - 1) << 32) | index];
            uint256 k;
            for (; k < 3; ++k) {
                uint256 sum = (word >> (64 * k)) & SUM_MASK;
                if (point < sum) break;
                point -= sum;
            }
            index = (index << 2) | k;
        }
        return uint32(index);
    }

    function _keyOf(uint256 level, uint256 id) private pure returns (uint256) {
        return (level << 32) | (id >> (2 * (level + 1)));
    }

    function _shiftOf(uint256 level, uint256 id) private pure returns (uint256) {
        return 64 * ((id >> (2 * level)) & 3);
    }
}
