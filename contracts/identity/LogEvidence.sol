// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {IBindings} from "../interfaces/IBindings.sol";
import {ILogEvidence} from "../interfaces/ILogEvidence.sol";
import {Domain} from "../libraries/Domain.sol";
import {Signatures} from "../libraries/Signatures.sol";
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

    constructor(IBindings registry_) {
        registry = registry_;
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
        bytes32 separator = Domain.separator(Domain.LOG, address(registry));
        bytes32 firstDigest = MessageHashUtils.toTypedDataHash(separator, StructHash.hashCalldata(first.header));
        bytes32 secondDigest = MessageHashUtils.toTypedDataHash(separator, StructHash.hashCalldata(second.header));
        // INVARIANT: one header signed twice is no fork.
        if (firstDigest == secondDigest) revert LogEvidenceSameHeader(firstDigest);
        agentId = _requireAnswerable(log, first.header.timeMs / 1000, second.header.timeMs / 1000);
        _requireSigned(log, firstDigest, first.signature);
        _requireSigned(log, secondDigest, second.signature);
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
        return Domain.digest(Domain.LOG, address(registry), StructHash.hashCalldata(header));
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

    function _requireSigned(address log, bytes32 digest, bytes calldata signature) private pure {
        address key = Signatures.recoverKey(digest, signature);
        if (key == address(0) || key != log) revert LogEvidenceBadSignature(log, digest);
    }
}
