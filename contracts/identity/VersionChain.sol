// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBindings} from "../interfaces/IBindings.sol";
import {MountainRange} from "../libraries/MountainRange.sol";
import {BindingUpdate} from "../libraries/Types.sol";

/// @notice Commitment and version chain of one agent. All but `commitment` is written from version 2 on.
struct Chain {
    /// Current commitment (eq. 9); zero = none. At version 1 it is the head too.
    bytes32 commitment;
    bytes32 head;
    uint64 version;
    /// Peaks of the mountain range over all versions before the current one.
    mapping(uint256 level => bytes32) peaks;
}

/// @notice The version chain of BAID (arXiv 2606.17368 eq. 10).
library VersionChain {
    using MountainRange for mapping(uint256 level => bytes32);

    uint8 internal constant FIRST_CODE_TYPE = 1;
    uint8 internal constant LAST_CODE_TYPE = 5;

    /// @return version 0 = no commitment yet
    /// @return head C(version)
    function tip(Chain storage chain) internal view returns (uint64 version, bytes32 head) {
        bytes32 commitment = chain.commitment;
        if (commitment == bytes32(0)) return (0, bytes32(0));
        version = chain.version;
        return version == 0 ? (uint64(1), commitment) : (version, chain.head);
    }

    /// @notice The update that creates `version`, as its author signs it.
    function next(
        Chain storage chain,
        uint256 agentId,
        uint64 version,
        bytes32 delta,
        uint48 deadline
    ) internal view returns (BindingUpdate memory) {
        if (delta == bytes32(0)) revert IBindings.BindingsZeroCommitment(agentId);
        (uint64 current, bytes32 previous) = tip(chain);
        // INVARIANT: versions follow one another, so a signature counts once.
        if (version != current + 1) revert IBindings.BindingsWrongVersion(agentId, current + 1, version);
        if (block.timestamp > deadline) revert IBindings.BindingsExpired(deadline, block.timestamp);
        return BindingUpdate(agentId, version, previous, delta, deadline);
    }

    /// @notice C(1) is the first commitment itself, C(v+1) = H(C(v), delta, H(signature)).
    function advance(Chain storage chain, BindingUpdate memory update, bytes calldata signature) internal {
        bytes32 head = update.delta;
        if (update.version > 1) {
            uint64 past = update.version - 1;
            chain.peaks.append(past - 1, leafOf(update.agentId, past, chain.commitment, update.previous));
            head = keccak256(abi.encode(update.previous, update.delta, keccak256(signature)));
            chain.head = head;
            chain.version = update.version;
        }
        chain.commitment = update.delta;
        emit IBindings.CommitmentUpdated(update.agentId, update.version, head, update.delta, signature);
    }

    /// @return count versions before the current one
    /// @return root of the mountain range over them
    function history(Chain storage chain) internal view returns (uint64 count, bytes32 root) {
        (uint64 version, ) = tip(chain);
        count = version == 0 ? 0 : version - 1;
        root = chain.peaks.root(count);
    }

    function hadVersion(
        Chain storage chain,
        uint256 agentId,
        uint64 version,
        bytes32 commitment,
        bytes32 head,
        bytes32[] calldata proof
    ) internal view returns (bool) {
        (uint64 current, bytes32 currentHead) = tip(chain);
        if (version == 0 || version > current) return false;
        if (version == current) {
            return proof.length == 0 && commitment == chain.commitment && head == currentHead;
        }
        return chain.peaks.verify(current - 1, version - 1, leafOf(agentId, version, commitment, head), proof);
    }

    /// @return true if these four open the current commitment (eq. 9), and the first is of a known type
    function opensTo(
        Chain storage chain,
        bytes32 cp,
        bytes32 configDigest,
        bytes32 userId,
        bytes32 salt
    ) internal view returns (bool) {
        uint8 codeType = uint8(cp[0]);
        if (codeType < FIRST_CODE_TYPE || codeType > LAST_CODE_TYPE) return false;
        // Nobody knows a preimage of zero, so an agent without a commitment opens to nothing.
        return chain.commitment == keccak256(abi.encode(cp, configDigest, userId, salt));
    }

    /// @dev Four words: no inner node of the range, which hashes two, is a leaf.
    function leafOf(uint256 agentId, uint64 version, bytes32 commitment, bytes32 head) private pure returns (bytes32) {
        return keccak256(abi.encode(agentId, version, commitment, head));
    }
}
