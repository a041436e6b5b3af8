// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {IAnchors} from "../interfaces/IAnchors.sol";
import {IBindings} from "../interfaces/IBindings.sol";
import {IERC8004Identity} from "../interfaces/IERC8004Identity.sol";
import {Domain} from "../libraries/Domain.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {StructHash} from "../libraries/StructHash.sol";
import {BatchedBinding, LogAnchor} from "../libraries/Types.sol";
import {Signers} from "./Signers.sol";

/// @notice See IAnchors.
contract Anchors is IAnchors {
    struct LogTip {
        uint40 nextSeq;
        uint48 anchoredAt;
    }

    struct Batch {
        uint32 count;
        uint48 anchoredAt;
    }

    /// @inheritdoc IAnchors
    IBindings public immutable registry;

    mapping(address log => LogTip) private _tips;
    /// @dev EIP-712 struct hash of the LogAnchor that begins there: one word holds the range, its roots and its agent.
    mapping(address log => mapping(uint40 fromSeq => bytes32)) private _anchors;
    mapping(address issuer => mapping(bytes32 root => Batch)) private _batches;
    /// @dev First second (Unix) at which a binding of a batch does not count; 0 = it counts.
    mapping(address issuer => mapping(bytes32 root => mapping(uint32 index => uint48))) private _revocations;

    constructor(IBindings registry_) {
        registry = registry_;
    }

    /// @inheritdoc IAnchors
    function anchorLog(uint256 agentId, uint40 fromSeq, uint40 toSeq, bytes32 root, bytes32 stateHead) external {
        LogAnchor memory anchor = LogAnchor({
            agentId: agentId,
            log: msg.sender,
            fromSeq: fromSeq,
            toSeq: toSeq,
            root: root,
            stateHead: stateHead
        });
        _anchorLog(anchor, StructHash.hash(anchor));
    }

    /// @inheritdoc IAnchors
    function anchorLogs(LogAnchor[] calldata anchors, bytes[] calldata signatures) external {
        if (anchors.length != signatures.length) revert AnchorsLengths(anchors.length, signatures.length);
        for (uint256 i = 0; i < anchors.length; ++i) {
            LogAnchor memory anchor = anchors[i];
            bytes32 anchorHash = StructHash.hash(anchor);
            bytes32 digest = Domain.digest(Domain.IDENTITY, address(registry), anchorHash);
            // INVARIANT: only a log's own key anchors it. Its range follows the last one, so that a signature counts once.
            address key = Signatures.recoverKey(digest, signatures[i]);
            if (key == address(0) || key != anchor.log) revert AnchorsBadSignature(anchor.log);
            _anchorLog(anchor, anchorHash);
        }
    }

    /// @inheritdoc IAnchors
    function anchorBindings(bytes32 root, uint32 count) external {
        if (root == bytes32(0)) revert AnchorsZeroRoot();
        if (count == 0) revert AnchorsBadCount(count);
        // INVARIANT: a root is its issuer's: whoever copies it makes a batch of its own.
        if (_batches[msg.sender][root].count != 0) revert AnchorsKnownRoot(msg.sender, root);

        _batches[msg.sender][root] = Batch({count: count, anchoredAt: uint48(block.timestamp)});
        emit BindingsAnchored(msg.sender, root, count);
    }

    /// @inheritdoc IAnchors
    function revokeBatched(
        address issuer,
        bytes32 root,
        BatchedBinding calldata binding,
        bytes32[] calldata proof
    ) external {
        if (!_isInBatch(issuer, root, binding, proof)) revert AnchorsNotInBatch(issuer, root, binding.index);
        if (
            msg.sender != issuer &&
            !IERC8004Identity(address(registry)).isAuthorizedOrOwner(msg.sender, binding.agentId)
        ) revert AnchorsNotRevoker(binding.agentId, msg.sender);
        uint48 invalidFrom = _revocations[issuer][root][binding.index];
        if (invalidFrom != 0) revert AnchorsAlreadyRevoked(issuer, root, binding.index, invalidFrom);

        _revocations[issuer][root][binding.index] = uint48(block.timestamp);
        emit BatchedBindingRevoked(issuer, root, binding.index, msg.sender, uint48(block.timestamp));
    }

    /// @inheritdoc IAnchors
    function isBoundInAt(
        address issuer,
        bytes32 root,
        BatchedBinding calldata binding,
        bytes32[] calldata proof,
        uint256 time
    ) public view returns (bool) {
        // INVARIANT: a batch says nothing of the time before it was anchored.
        return
            time >= binding.validFrom &&
            time >= _batches[issuer][root].anchoredAt &&
            Signers.isBefore(time, binding.validUntil) &&
            Signers.isBefore(time, _revocations[issuer][root][binding.index]) &&
            _isInBatch(issuer, root, binding, proof);
    }

    /// @inheritdoc IAnchors
    function isBoundIn(
        address issuer,
        bytes32 root,
        BatchedBinding calldata binding,
        bytes32[] calldata proof
    ) external view returns (bool) {
        return isBoundInAt(issuer, root, binding, proof, block.timestamp);
    }

    /// @inheritdoc IAnchors
    function batchOf(address issuer, bytes32 root) external view returns (uint32 count, uint48 anchoredAt) {
        Batch memory batch = _batches[issuer][root];
        return (batch.count, batch.anchoredAt);
    }

    /// @inheritdoc IAnchors
    function anchoredUpTo(address log) external view returns (uint40 nextSeq, uint48 anchoredAt) {
        LogTip memory tip = _tips[log];
        return (tip.nextSeq, tip.anchoredAt);
    }

    /// @inheritdoc IAnchors
    function isLogAnchored(LogAnchor calldata anchor) external view returns (bool) {
        return _anchors[anchor.log][anchor.fromSeq] == StructHash.hash(anchor);
    }

    function _anchorLog(LogAnchor memory anchor, bytes32 anchorHash) private {
        (address log, uint40 fromSeq, uint40 toSeq) = (anchor.log, anchor.fromSeq, anchor.toSeq);
        if (anchor.root == bytes32(0)) revert AnchorsZeroRoot();
        // INVARIANT: a log anchors one history: its ranges follow one another, without gap or overlap.
        uint40 nextSeq = _tips[log].nextSeq;
        if (fromSeq != nextSeq || toSeq < fromSeq || toSeq == type(uint40).max) {
            revert AnchorsBadRange(log, nextSeq, fromSeq, toSeq);
        }
        bytes32 signerHash = keccak256(abi.encodePacked(log));
        if (!registry.isSignerValidAt(anchor.agentId, signerHash, Signers.LOG, block.timestamp)) {
            revert AnchorsNotLogSigner(anchor.agentId, log);
        }

        _tips[log] = LogTip({nextSeq: toSeq + 1, anchoredAt: uint48(block.timestamp)});
        _anchors[log][fromSeq] = anchorHash;
        emit LogAnchored(anchor.agentId, log, fromSeq, toSeq, anchor.root, anchor.stateHead);
    }

    function _isInBatch(
        address issuer,
        bytes32 root,
        BatchedBinding calldata binding,
        bytes32[] calldata proof
    ) private view returns (bool) {
        // The leaf is hashed twice, so that no inner node is a leaf; the index is part of it, so that none is revoked twice.
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(binding))));
        return binding.index < _batches[issuer][root].count && MerkleProof.verifyCalldata(proof, root, leaf);
    }
}
