// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SemaphoreKey as Key} from "./SemaphoreKey.sol";

/// @notice Groth16 over BN254 with Semaphore's key of depth 16: e(-A, B) e(alpha, beta) e(L, gamma) e(C, delta) = 1, where L is the
/// linear combination of the key's terms with the public inputs (EIP-196, EIP-197).
/// @dev Semaphore's own SemaphoreVerifier carries the keys of 32 depths; `zk/` checks that both judge every proof alike.
library SemaphoreProof {
    /// @notice A point of G1.
    struct Point {
        uint256 x;
        uint256 y;
    }

    /// Order of the scalar field.
    uint256 private constant SCALAR = 21888242871839275222246405745257275088548364400416034343698204186575808495617;
    /// Order of the base field.
    uint256 private constant BASE = 21888242871839275222246405745257275088696311157297823662689037894645226208583;

    /// @notice What a scope adds to every proof in it, the combination's constant included.
    function scopeTermOf(uint256 scope) internal view returns (Point memory term) {
        uint256[24] memory pairing;
        (pairing[12], pairing[13]) = (Key.CONSTANT_X, Key.CONSTANT_Y);
        // INVARIANT: no precompile that ran out of gas leaves a wrong term; the points are the key's and valid.
        assert(_addTerm(pairing, Key.SCOPE_X, Key.SCOPE_Y, _toScalar(scope)));
        return Point(pairing[12], pairing[13]);
    }

    /// @param proof begins with A, B and C, eight words, as Semaphore packs them
    /// @param message what is signed; hashed here into the scalar field as Semaphore does
    /// @param scopeTerm `scopeTermOf` the scope in which the proof counts
    function isValid(
        bytes calldata proof,
        uint256 root,
        uint256 nullifier,
        uint256 message,
        Point memory scopeTerm
    ) internal view returns (bool ok) {
        uint256 negatedY = uint256(bytes32(proof[32:64]));
        // INVARIANT: one nullifier has one name; the same value plus the order would be another.
        if (root >= SCALAR || nullifier >= SCALAR || negatedY >= BASE) return false;
        uint256[24] memory pairing;
        // The combination takes the place of the third pair's point; the terms pass through what is filled after it.
        (pairing[12], pairing[13]) = (scopeTerm.x, scopeTerm.y);
        ok = _addTerm(pairing, Key.ROOT_X, Key.ROOT_Y, root);
        ok = _addTerm(pairing, Key.NULLIFIER_X, Key.NULLIFIER_Y, nullifier) && ok;
        ok = _addTerm(pairing, Key.MESSAGE_X, Key.MESSAGE_Y, _toScalar(message)) && ok;
        _fill(pairing, proof, negatedY == 0 ? 0 : BASE - negatedY);
        assembly ("memory-safe") {
            ok := and(ok, staticcall(gas(), 8, pairing, 768, 0, 32))
            ok := and(ok, mload(0))
        }
    }

    /// @dev As Semaphore hashes messages and scopes: 248 bits fit into the field.
    function _toScalar(uint256 value) private pure returns (uint256 scalar) {
        assembly ("memory-safe") {
            mstore(0, value)
            scalar := shr(8, keccak256(0, 32))
        }
    }

    /// @dev Adds a term to the point in the words 12 and 13 of `pairing`; 14 to 16 are scratch.
    function _addTerm(uint256[24] memory pairing, uint256 x, uint256 y, uint256 scalar) private view returns (bool ok) {
        assembly ("memory-safe") {
            let sum := add(pairing, 384)
            let term := add(pairing, 448)
            mstore(term, x)
            mstore(add(term, 32), y)
            mstore(add(term, 64), scalar)
            ok := staticcall(gas(), 7, term, 96, term, 64)
            ok := and(ok, staticcall(gas(), 6, sum, 128, sum, 64))
        }
    }

    function _fill(uint256[24] memory pairing, bytes calldata proof, uint256 negatedY) private pure {
        assembly ("memory-safe") {
            // -A, then B.
            calldatacopy(pairing, proof.offset, 192)
            mstore(add(pairing, 32), negatedY)
            // C.
            calldatacopy(add(pairing, 576), add(proof.offset, 192), 64)
        }
        (pairing[6], pairing[7]) = (Key.ALPHA_X, Key.ALPHA_Y);
        (pairing[8], pairing[9], pairing[10], pairing[11]) = (Key.BETA_X1, Key.BETA_X0, Key.BETA_Y1, Key.BETA_Y0);
        (pairing[14], pairing[15], pairing[16], pairing[17]) = (Key.GAMMA_X1, Key.GAMMA_X0, Key.GAMMA_Y1, Key.GAMMA_Y0);
        (pairing[20], pairing[21], pairing[22], pairing[23]) = (Key.DELTA_X1, Key.DELTA_X0, Key.DELTA_Y1, Key.DELTA_Y0);
    }
}
