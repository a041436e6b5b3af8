// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {IBindings} from "../interfaces/IBindings.sol";
import {ILogEvidence} from "../interfaces/ILogEvidence.sol";
import {Domain} from "../libraries/Domain.sol";
import {StructHash} from "../libraries/StructHash.sol";
import {LogHeader} from "../libraries/Types.sol";
import {Signers} from "./Signers.sol";

/// @notice See ILogEvidence.
contract LogEvidence is ILogEvidence {
    /// @dev As long as stake takes to leave by default. Without an end, whoever finds a key that was thrown away years ago
    /// could sign two headers dated into its life.
    uint48 private constant EVIDENCE_PERIOD = 14 days;

    /// @inheritdoc ILogEvidence
    IBindings public immutable registry;
    uint256 private immutable CHAIN_ID;
    bytes32 private immutable SEPARATOR;

    constructor(IBindings registry_) {
        registry = registry_;
        CHAIN_ID = block.chainid;
        SEPARATOR = Domain.separator(Domain.LOG, address(registry_));
    }

    /// @inheritdoc ILogEvidence
    function judge(
        SignedHeader calldata first,
        SignedHeader calldata second
    ) public view returns (uint256 agentId, bytes32 forkId) {
        (address log, uint40 seq) = (first.header.log, first.header.seq);
        if (second.header.log != log || second.header.seq != seq) {
            revert LogEvidenceOtherEntry(log, seq, second.header.log, second.header.seq);
        }
        bytes32 separator = _separator();
        bytes32 firstDigest = MessageHashUtils.toTypedDataHash(separator, StructHash.hashCalldata(first.header));
        bytes32 secondDigest = MessageHashUtils.toTypedDataHash(separator, StructHash.hashCalldata(second.header));
        // INVARIANT: one header signed twice is no fork.
        if (firstDigest == secondDigest) revert LogEvidenceSameHeader(firstDigest);
        agentId = _requireAnswerable(log, first.header.timeMs / 1000, second.header.timeMs / 1000);
        _requireSigned(log, firstDigest, first);
        _requireSigned(log, secondDigest, second);
        forkId = keccak256(abi.encode(log, seq));
    }

    /// @inheritdoc ILogEvidence
    function isEquivocation(
        uint256 agentId,
        SignedHeader calldata first,
        SignedHeader calldata second
    ) external view returns (bool) {
        try this.judge(first, second) returns (uint256 judged, bytes32) {
            return judged == agentId;
        } catch {
            return false;
        }
    }

    /// @inheritdoc ILogEvidence
    function digestOf(LogHeader calldata header) public view returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(_separator(), StructHash.hashCalldata(header));
    }

    /// @inheritdoc ILogEvidence
    function evidencePeriod() external pure returns (uint48) {
        return EVIDENCE_PERIOD;
    }

    /// @dev INVARIANT: an agent answers for what its key signed while no end of the key was on record, whatever a revocation was
    /// dated back to, and not for ever.
    function _requireAnswerable(
        address log,
        uint256 firstTime,
        uint256 secondTime
    ) private view returns (uint256 agentId) {
        bytes32 purpose;
        uint48 from;
        uint48 until;
        (agentId, purpose, from, until) = registry.answerableOf(keccak256(abi.encodePacked(log)));
        if (agentId == 0 || purpose != Signers.LOG || firstTime < from || !Signers.isBefore(firstTime, until)) {
            revert LogEvidenceNotAnswerable(log, agentId, firstTime);
        }
        if (secondTime < from || !Signers.isBefore(secondTime, until)) {
            revert LogEvidenceNotAnswerable(log, agentId, secondTime);
        }
        if (until != 0 && block.timestamp > uint256(until) + EVIDENCE_PERIOD) {
            revert LogEvidenceTooLate(log, until, uint256(until) + EVIDENCE_PERIOD);
        }
    }

    /// @dev Of this chain, whatever it forks into.
    function _separator() private view returns (bytes32) {
        return block.chainid == CHAIN_ID ? SEPARATOR : Domain.separator(Domain.LOG, address(registry));
    }

    /// @dev Only a plain key's signature can be judged later: what a contract says of one may change.
    function _requireSigned(address log, bytes32 digest, SignedHeader calldata signed) private pure {
        (address key, , ) = ECDSA.tryRecover(digest, signed.r, signed.vs);
        if (key == address(0) || key != log) revert LogEvidenceBadSignature(log, digest);
    }
}
