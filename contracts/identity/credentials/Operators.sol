// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice The one name of a person in one scope.
library Operators {
    /// @dev Verifier and issuer are part of it, so that no issuer can name, and so evict or revoke, another one's people.
    function idOf(
        bytes32 scope,
        address verifier,
        bytes32 issuerId,
        bytes32 nullifier
    ) internal pure returns (bytes32 operator) {
        assembly ("memory-safe") {
            // keccak256(abi.encode(scope, verifier, issuerId, nullifier)), of memory that nobody keeps.
            let encoding := mload(0x40)
            mstore(encoding, scope)
            mstore(add(encoding, 0x20), and(verifier, 0xffffffffffffffffffffffffffffffffffffffff))
            mstore(add(encoding, 0x40), issuerId)
            mstore(add(encoding, 0x60), nullifier)
            operator := keccak256(encoding, 0x80)
        }
    }
}
