// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBindings} from "../interfaces/IBindings.sol";
import {BindingUpdate} from "../libraries/Types.sol";

/// @notice Commitment and version chain of one agent. `head` and `version` are written from version 2 on.
struct Chain {
    /// Current commitment (eq. 9); zero = none. At version 1 it is the head too.
    bytes32 commitment;
    bytes32 head;
    uint64 version;
}

/// @notice The version chain of BAID (arXiv 2606.17368 eq. 10).
library VersionChain {
    /// @return version 0 = no commitment yet
    /// @return head C(version)
    function tip(Chain storage chain) internal view returns (uint64 version, bytes32 head) {
        bytes32 commitment = chain.commitment;
        if (commitment == bytes32(0)) return (0, bytes32(0));
        version = chain.version;
        return version == 0 ? (uint64(1), commitment) : (version, chain.head);
    }

    /// @notice The update that the owner signs to create `version`.
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

    /// @return head C(version): the first commitment itself, then H(C(v), delta, H(signature))
    function advance(
        Chain storage chain,
        BindingUpdate memory update,
        bytes calldata signature
    ) internal returns (bytes32 head) {
        chain.commitment = update.delta;
        if (update.version == 1) return update.delta;
        head = keccak256(abi.encode(update.previous, update.delta, keccak256(signature)));
        chain.head = head;
        chain.version = update.version;
    }
}
