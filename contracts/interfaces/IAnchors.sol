// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BatchedBinding, LogAnchor} from "../libraries/Types.sol";
import {IBindings} from "./IBindings.sol";

/// @title Merkle roots instead of many entries: ranges of logs, and batches of bindings
/// @notice Leaves of a batch are keccak256(bytes.concat(keccak256(abi.encode(BatchedBinding)))), pairs are hashed in sorted
/// order, as OpenZeppelin's MerkleProof and merkle-tree do. What a root says is its issuer's word; who relies on a batch
/// names the issuer whom it believes.
interface IAnchors {
    event LogAnchored(
        uint256 indexed agentId,
        address indexed log,
        uint40 fromSeq,
        uint40 toSeq,
        bytes32 root,
        bytes32 stateHead
    );
    event BindingsAnchored(address indexed issuer, bytes32 indexed root, uint32 count);
    /// @param invalidFrom from this second (Unix) on, the binding does not count
    event BatchedBindingRevoked(
        address indexed issuer,
        bytes32 indexed root,
        uint32 index,
        address revokedBy,
        uint48 invalidFrom
    );

    error AnchorsNotLogSigner(uint256 agentId, address log);
    error AnchorsBadSignature(address log);
    /// Ranges follow one another from seq 0 without a gap, so that a log cannot anchor two histories.
    error AnchorsBadRange(address log, uint40 expectedFrom, uint40 fromSeq, uint40 toSeq);
    error AnchorsZeroRoot();
    error AnchorsLengths(uint256 anchors, uint256 signatures);
    error AnchorsBadCount(uint32 count);
    error AnchorsKnownRoot(address issuer, bytes32 root);
    error AnchorsNotInBatch(address issuer, bytes32 root, uint32 index);
    error AnchorsAlreadyRevoked(address issuer, bytes32 root, uint32 index, uint48 invalidFrom);
    error AnchorsNotRevoker(uint256 agentId, address account);

    /// @notice Anchors the next range of the caller's own log. The caller is a LOG signer of the agent now.
    /// @param root Merkle root over the digests of the headers from `fromSeq` to `toSeq`
    /// @param stateHead Poseidon head after `toSeq`; zero = none
    function anchorLog(uint256 agentId, uint40 fromSeq, uint40 toSeq, bytes32 root, bytes32 stateHead) external;

    /// @notice Anchors ranges of many logs and agents, each signed by its log's key (LogAnchor; 65 bytes, or 64 by EIP-2098).
    function anchorLogs(LogAnchor[] calldata anchors, bytes[] calldata signatures) external;

    /// @notice Anchors a batch of bindings. The caller is its issuer.
    /// @param count bindings in the batch, from 1
    function anchorBindings(bytes32 root, uint32 count) external;

    /// @notice Ends one binding of a batch now; the others stay. The caller is the issuer, or the agent's owner or approved.
    function revokeBatched(
        address issuer,
        bytes32 root,
        BatchedBinding calldata binding,
        bytes32[] calldata proof
    ) external;

    /// @notice True if the issuer's batch holds this binding and it counts at that second (Unix).
    function isBoundInAt(
        address issuer,
        bytes32 root,
        BatchedBinding calldata binding,
        bytes32[] calldata proof,
        uint256 time
    ) external view returns (bool);

    /// @notice `isBoundInAt` now.
    function isBoundIn(
        address issuer,
        bytes32 root,
        BatchedBinding calldata binding,
        bytes32[] calldata proof
    ) external view returns (bool);

    /// @return count bindings in the batch; 0 = the issuer never anchored this root
    /// @return anchoredAt second (Unix) of anchoring
    function batchOf(address issuer, bytes32 root) external view returns (uint32 count, uint48 anchoredAt);

    /// @notice First entry of a log that no range covers yet, and the second (Unix) of its last anchor.
    function anchoredUpTo(address log) external view returns (uint40 nextSeq, uint48 anchoredAt);

    /// @notice True if exactly this range was anchored, whenever that was.
    function isLogAnchored(LogAnchor calldata anchor) external view returns (bool);

    /// @notice Whose agents and signers.
    function registry() external view returns (IBindings);
}
