// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Merkle tree over leaves of one word: parent = keccak256(left, right), padded with zero words to a power of two.
/// @dev Leaves are not hashed and nodes carry no prefix: the depth follows from the number of leaves, which the verifier
/// knows, so a node can never be passed off as a leaf.
/// Assembly because a proof is the whole cost of a check: Solidity allocates memory for every pair that it hashes, whereas
/// bytes 0-63 are scratch space, and which of the two children the known one is becomes an offset instead of a branch.
library LeafTree {
    /// @dev Depth of a subtree that `rootOfChunk` hashes, at most.
    uint256 internal constant CHUNK_DEPTH = 8;

    /// @notice Least depth with room for `count` leaves.
    function depthOf(uint256 count) internal pure returns (uint256 depth) {
        if (count < 2) return 0;
        assembly ("memory-safe") {
            depth := sub(256, clz(sub(count, 1)))
        }
    }

    /// @notice Root that one node and its siblings, from the bottom, lead to.
    /// @param index the node's position in its level
    function rootOf(uint256 node, uint256 index, bytes32[] calldata proof) internal pure returns (bytes32 root) {
        assembly ("memory-safe") {
            root := node
            let sibling := proof.offset
            for {
                let end := add(sibling, shl(5, proof.length))
            } lt(sibling, end) {
                sibling := add(sibling, 32)
            } {
                // 0 for a left child, 32 for a right one: where the node goes; its sibling goes to the other place.
                let place := shl(5, and(index, 1))
                mstore(place, root)
                mstore(xor(place, 32), calldataload(sibling))
                root := keccak256(0, 64)
                index := shr(1, index)
            }
        }
    }

    /// @notice Root that several leaves and a multiproof lead to; 0 when the proof has too few or too many words.
    /// @param nodes (index, leaf) in turn, ascending by index, indices below 2^depth; overwritten
    /// @param proof the siblings that are not among the known nodes, level by level, from the left
    function rootOfMany(
        uint256[] memory nodes,
        uint256 depth,
        bytes32[] calldata proof
    ) internal pure returns (bytes32 root) {
        assembly ("memory-safe") {
            let first := add(nodes, 32)
            let bytesLeft := shl(5, mload(nodes))
            let sibling := proof.offset
            for {
                let level := 0
            } lt(level, depth) {
                level := add(level, 1)
            } {
                let reading := first
                // Parents are written over the nodes of their level: never ahead of what is still to be read.
                let writing := first
                let end := add(first, bytesLeft)
                for {} lt(reading, end) {} {
                    let index := mload(reading)
                    let place := shl(5, and(index, 1))
                    mstore(place, mload(add(reading, 32)))
                    reading := add(reading, 64)
                    // A left child whose right sibling is known too takes it from the list, all others from the proof.
                    switch and(and(iszero(place), lt(reading, end)), eq(mload(reading), add(index, 1)))
                    case 1 {
                        mstore(32, mload(add(reading, 32)))
                        reading := add(reading, 64)
                    }
                    default {
                        mstore(xor(place, 32), calldataload(sibling))
                        sibling := add(sibling, 32)
                    }
                    mstore(writing, shr(1, index))
                    mstore(add(writing, 32), keccak256(0, 64))
                    writing := add(writing, 64)
                }
                bytesLeft := sub(writing, first)
            }
            // Reading past the proof reads other calldata: the count tells, before the result is believed.
            if and(eq(bytesLeft, 64), eq(sibling, add(proof.offset, shl(5, proof.length)))) {
                root := mload(add(first, 32))
            }
        }
    }

    /// @notice Root of the subtree of the given depth over these leaves and zero padding. leaves.length <= 2^depth.
    function rootOfChunk(uint256[] calldata leaves, uint256 depth) internal pure returns (bytes32 root) {
        assembly ("memory-safe") {
            // Free memory, given back at the end: nothing points there.
            let nodes := mload(0x40)
            let size := shl(5, leaves.length)
            let width := shl(depth, 1)
            calldatacopy(nodes, leaves.offset, size)
            // Copying from behind the calldata writes zeros.
            calldatacopy(add(nodes, size), calldatasize(), sub(shl(5, width), size))
            for {} gt(width, 1) {} {
                width := shr(1, width)
                for {
                    let k := 0
                } lt(k, width) {
                    k := add(k, 1)
                } {
                    mstore(add(nodes, shl(5, k)), keccak256(add(nodes, shl(6, k)), 64))
                }
            }
            root := mload(nodes)
        }
    }
}
