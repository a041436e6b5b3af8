// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IBindings} from "../interfaces/IBindings.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {SignerBinding} from "../libraries/Types.sol";

/// @notice Record of one signer, in one slot. Written once at binding; only the last two fields change, once, from zero.
struct SignerRecord {
    uint56 agentId;
    /// The owner's tenure in which it was bound: it ends with it.
    uint24 tenure;
    /// Index of the purpose in `Signers`, from 1.
    uint8 purposeIndex;
    /// First second (Unix) of validity.
    uint48 validFrom;
    /// First second of invalidity; 0 = no end.
    uint48 validUntil;
    /// First second from which the signer does not count; 0 = not revoked.
    uint48 invalidFrom;
    /// Seconds by which its revocation was dated back: it was recorded at invalidFrom + backdatedBy.
    uint24 backdatedBy;
}

/// @notice Rules of a signer's life: its form, its window, its revocation.
library Signers {
    bytes32 internal constant LOG = "LOG";
    bytes32 internal constant TRANSPORT = "TRANSPORT";
    bytes32 internal constant OPERATOR = "OPERATOR";
    bytes32 internal constant RECOVERY = "RECOVERY";

    /// An RSA-4096 key for OpenZeppelin's ERC-7913 verifier, abi.encode(exponent, modulus), is 724 bytes with its verifier.
    uint256 internal constant MAX_SIGNER_LENGTH = 1_024;
    /// How far back a compromise may be dated: what is older is settled, finalized and relied upon, and stays. Time to notice
    /// a theft; half of the 14 days for which stake stays within reach.
    uint256 internal constant MAX_BACKDATING = 7 days;
    /// Index of a TRANSPORT key whose proof the chain did not check.
    uint8 internal constant UNCHECKED_INDEX = 5;
    uint256 internal constant ED25519_SIGNATURE_LENGTH = 64;

    /// @notice Refuses bytes behind which no key can stand.
    function checkForm(bytes calldata signer) internal view {
        if (signer.length < 20 || signer.length > MAX_SIGNER_LENGTH) {
            revert IBindings.BindingsMalformedSigner(signer.length);
        }
        address account = address(bytes20(signer));
        if (account == address(0)) revert IBindings.BindingsZeroSigner(signer.length);
        // Only a contract can verify (ERC-7913); an address without code answers every call with success and nothing.
        if (signer.length > 20 && account.code.length == 0) revert IBindings.BindingsNoVerifier(account);
    }

    /// @notice Signer bytes of an Ed25519 key. No verifier has the zero address, so no checked signer has this form; the
    /// agent is part of it, so that a claim without proof takes the key from nobody.
    function uncheckedBytes(uint256 agentId, bytes32 key) internal pure returns (bytes memory) {
        return abi.encodePacked(address(0), agentId, key);
    }

    /// @notice The record that a binding would make now.
    /// @param agentId the agent; `binding.agentId` is 0 where it is registered in the same transaction
    function admit(
        mapping(bytes32 signerHash => SignerRecord) storage records,
        uint256 agentId,
        uint24 tenure,
        SignerBinding memory binding
    ) internal view returns (SignerRecord memory) {
        if (block.timestamp > binding.deadline) revert IBindings.BindingsExpired(binding.deadline, block.timestamp);
        // INVARIANT: a signer speaks for at most one agent and purpose, ever; revoked ones stay taken.
        uint256 takenBy = records[binding.signerHash].agentId;
        if (takenBy != 0) revert IBindings.BindingsSignerTaken(binding.signerHash, takenBy);

        uint48 validFrom = binding.validFrom == 0 ? uint48(block.timestamp) : binding.validFrom;
        // INVARIANT: nobody gains authority over the past, and every window has an inside.
        if (validFrom < block.timestamp || (binding.validUntil != 0 && binding.validUntil <= validFrom)) {
            revert IBindings.BindingsBadWindow(binding.validFrom, binding.validUntil, block.timestamp);
        }
        return
            SignerRecord({
                // Ids are given in order from 1.
                agentId: uint56(agentId),
                tenure: tenure,
                purposeIndex: indexOf(binding.purpose),
                validFrom: validFrom,
                validUntil: binding.validUntil,
                invalidFrom: 0,
                backdatedBy: 0
            });
    }

    /// @notice Binds a signer that proves to be there and to agree.
    /// @param digest EIP-712 digest of `binding`
    function bind(
        mapping(bytes32 signerHash => SignerRecord) storage records,
        uint256 agentId,
        uint24 tenure,
        SignerBinding memory binding,
        bytes32 digest,
        bytes calldata signer,
        bytes calldata proof
    ) internal {
        checkForm(signer);
        SignerRecord memory record = admit(records, agentId, tenure, binding);
        // INVARIANT: nobody is bound without proof of possession, over these very fields, on this chain.
        if (!Signatures.isValid(signer, digest, proof)) {
            revert IBindings.BindingsBadProof(agentId, binding.signerHash);
        }

        records[binding.signerHash] = record;
        emit IBindings.SignerBound(
            agentId,
            binding.signerHash,
            binding.purpose,
            signer,
            record.validFrom,
            record.validUntil
        );
    }

    /// @notice Binds an Ed25519 TRANSPORT key, and says that its proof was not checked.
    function bindUnchecked(
        mapping(bytes32 signerHash => SignerRecord) storage records,
        uint24 tenure,
        SignerBinding memory binding,
        bytes32 key,
        bytes calldata proof
    ) internal {
        if (key == bytes32(0)) revert IBindings.BindingsZeroSigner(32);
        if (proof.length != ED25519_SIGNATURE_LENGTH) {
            revert IBindings.BindingsBadProofLength(proof.length, ED25519_SIGNATURE_LENGTH);
        }
        uint256 agentId = binding.agentId;
        SignerRecord memory record = admit(records, agentId, tenure, binding);
        record.purposeIndex = UNCHECKED_INDEX;

        records[binding.signerHash] = record;
        emit IBindings.SignerBound(
            agentId,
            binding.signerHash,
            TRANSPORT,
            uncheckedBytes(agentId, key),
            record.validFrom,
            record.validUntil
        );
        emit IBindings.SignerUnchecked(agentId, binding.signerHash, key, binding.deadline, proof);
    }

    /// @notice Ends a signer at `compromisedAt`; 0 = now, which also ends one that has not begun.
    /// @param record the signer's, of this agent
    /// @param tenureEnd end of the tenure in which it was bound; 0 = it lasts
    function revoke(
        mapping(bytes32 signerHash => SignerRecord) storage records,
        SignerRecord memory record,
        bytes32 signerHash,
        uint48 compromisedAt,
        uint48 tenureEnd
    ) internal {
        if (record.invalidFrom != 0) revert IBindings.BindingsAlreadyRevoked(signerHash, record.invalidFrom);
        // INVARIANT: what a former owner's signers signed is out of the present owner's reach.
        if (tenureEnd != 0) revert IBindings.BindingsFormerSigner(signerHash, tenureEnd);

        uint48 invalidFrom = compromisedAt == 0 ? uint48(block.timestamp) : compromisedAt;
        uint256 earliest =
            compromisedAt == 0 ? 0 : Math.max(record.validFrom, Math.saturatingSub(block.timestamp, MAX_BACKDATING));
        uint256 latest = block.timestamp;
        if (record.validUntil != 0 && record.validUntil <= latest) latest = record.validUntil - 1;
        // INVARIANT: a revocation ends what was valid, never reaches into the future, and never far into the past.
        if (invalidFrom < earliest || invalidFrom > latest) {
            revert IBindings.BindingsBadCompromiseTime(invalidFrom, earliest, latest);
        }
        record.invalidFrom = invalidFrom;
        record.backdatedBy = uint24(block.timestamp - invalidFrom);
        records[signerHash] = record;
        emit IBindings.SignerRevoked(record.agentId, signerHash, invalidFrom);
    }

    /// @notice Refuses a signer that was never this agent's.
    function requireOf(SignerRecord memory record, uint256 agentId, bytes32 signerHash) internal pure {
        // Agent 0 does not exist, and the record of a signer that was never bound names it.
        if (agentId == 0 || record.agentId != agentId) revert IBindings.BindingsUnknownSigner(agentId, signerHash);
    }

    /// @param tenureEnd end of the tenure in which it was bound; 0 = it lasts
    function isValidAt(
        SignerRecord memory record,
        uint256 agentId,
        bytes32 purpose,
        uint256 time,
        uint48 tenureEnd
    ) internal pure returns (bool) {
        return
            agentId != 0 &&
            record.agentId == agentId &&
            purposeAt(record.purposeIndex) == purpose &&
            time >= record.validFrom &&
            isBefore(time, record.validUntil) &&
            isBefore(time, record.invalidFrom) &&
            isBefore(time, tenureEnd);
    }

    /// @return first second from which the signer does not count, by revocation or tenure; 0 = neither
    function invalidFromOf(SignerRecord memory record, uint48 tenureEnd) internal pure returns (uint48) {
        return earlier(record.invalidFrom, tenureEnd);
    }

    /// @return first second at which the signer's end was on record; 0 = none
    function answerableUntil(SignerRecord memory record, uint48 tenureEnd) internal pure returns (uint48) {
        uint48 recordedAt = record.invalidFrom == 0 ? 0 : record.invalidFrom + record.backdatedBy;
        return earlier(earlier(record.validUntil, recordedAt), tenureEnd);
    }

    /// @param end 0 = never
    function isBefore(uint256 time, uint48 end) internal pure returns (bool) {
        return end == 0 || time < end;
    }

    /// @notice The earlier of two ends; 0 = never.
    function earlier(uint48 a, uint48 b) internal pure returns (uint48) {
        if (a == 0 || b == 0) return a | b;
        return a < b ? a : b;
    }

    function indexOf(bytes32 purpose) internal pure returns (uint8) {
        if (purpose == LOG) return 1;
        if (purpose == TRANSPORT) return 2;
        if (purpose == OPERATOR) return 3;
        if (purpose == RECOVERY) return 4;
        revert IBindings.BindingsUnknownPurpose(purpose);
    }

    /// @return the purpose's word; zero for index 0, the one of a signer never bound
    function purposeAt(uint8 index) internal pure returns (bytes32) {
        if (index == 1) return LOG;
        if (index == 2 || index == UNCHECKED_INDEX) return TRANSPORT;
        if (index == 3) return OPERATOR;
        if (index == 4) return RECOVERY;
        return bytes32(0);
    }
}
