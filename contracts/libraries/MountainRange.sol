// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @notice A Merkle mountain range: an append-only list whose every entry stays provable, for one slot written per append.
/// The entries stand under perfect trees ("mountains"), one for each bit of their number, largest first. Only the
/// mountains' peaks are stored, each at its level; what an append merges away stays behind as garbage and is never read.
library MountainRange {
    /// @param count entries before this one
    function append(mapping(uint256 level => bytes32) storage peaks, uint256 count, bytes32 leaf) internal {
        uint256 level = 0;
        for (; count & 1 == 1; count >>= 1) leaf = Hashes.efficientKeccak256(peaks[level++], leaf);
        peaks[level] = leaf;
    }

    /// @return keccak256(abi.encode(count, bag)); the bag folds the peaks from the smallest: keccak256(peak, bag)
    function root(mapping(uint256 level => bytes32) storage peaks, uint256 count) internal view returns (bytes32) {
        bytes32 bag = 0;
        for (uint256 level = 0; count >> level != 0; ++level) {
            if ((count >> level) & 1 == 1) bag = Hashes.efficientKeccak256(peaks[level], bag);
        }
        return Hashes.efficientKeccak256(bytes32(count), bag);
    }

    /// @param index of the entry, from 0
    /// @param proof siblings from the leaf up to its peak
    function verify(
        mapping(uint256 level => bytes32) storage peaks,
        uint256 count,
        uint256 index,
        bytes32 leaf,
        bytes32[] calldata proof
    ) internal view returns (bool) {
        // The highest bit in which they differ is the entry's mountain: above it, the entry stands behind the same mountains as
        // the range's end; there, the range has one more.
        if (index >= count || proof.length != Math.log2(count ^ index)) return false;
        for (uint256 i = 0; i < proof.length; ++i) {
            leaf =
                (index >> i) & 1 == 0
                    ? Hashes.efficientKeccak256(leaf, proof[i])
                    : Hashes.efficientKeccak256(proof[i], leaf);
        }
        return peaks[proof.length] == leaf;
    }
}
