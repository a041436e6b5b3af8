// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBindings} from "../interfaces/IBindings.sol";
import {SignerBinding} from "../libraries/Types.sol";

/// @notice Record of one signer, in one slot. Written once at binding; only `invalidFrom` changes, once, from zero.
struct SignerRecord {
    uint104 agentId;
    /// Index of the purpose in `Signers`, from 1.
    uint8 purposeIndex;
    /// First second (Unix) of validity.
    uint48 validFrom;
    /// First second of invalidity; 0 = no end.
    uint48 validUntil;
    /// First second from which the signer does not count; 0 = not revoked.
    uint48 invalidFrom;
}

/// @notice Rules of a signer's life: its form, its window, its revocation.
library Signers {
    bytes32 internal constant LOG = "LOG";
    bytes32 internal constant TRANSPORT = "TRANSPORT";
    bytes32 internal constant OPERATOR = "OPERATOR";
    bytes32 internal constant RECOVERY = "RECOVERY";

    /// An RSA-4096 key for OpenZeppelin's ERC-7913 verifier, abi.encode(exponent, modulus), is 724 bytes with its verifier.
    uint256 internal constant MAX_SIGNER_LENGTH = 1_024;

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

    /// @notice The record that a binding would make now.
    /// @param agentId the agent; `binding.agentId` is 0 where it is registered in the same transaction
    function admit(
        mapping(bytes32 signerHash => SignerRecord) storage records,
        uint256 agentId,
        SignerBinding memory binding
    ) internal view returns (SignerRecord memory) {
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
                agentId: uint104(agentId),
                purposeIndex: indexOf(binding.purpose),
                validFrom: validFrom,
                validUntil: binding.validUntil,
                invalidFrom: 0
            });
    }

    /// @notice Ends a signer at `compromisedAt`; 0 = now, which also ends one that has not begun.
    /// @return invalidFrom the second written
    function revoke(
        mapping(bytes32 signerHash => SignerRecord) storage records,
        uint256 agentId,
        bytes32 signerHash,
        uint48 compromisedAt
    ) internal returns (uint48 invalidFrom) {
        SignerRecord memory record = records[signerHash];
        // Agent 0 does not exist, and the record of a signer that was never bound names it.
        if (agentId == 0 || record.agentId != agentId) revert IBindings.BindingsUnknownSigner(agentId, signerHash);
        if (record.invalidFrom != 0) revert IBindings.BindingsAlreadyRevoked(signerHash, record.invalidFrom);

        invalidFrom = compromisedAt == 0 ? uint48(block.timestamp) : compromisedAt;
        bool hasNotBegun = compromisedAt != 0 && compromisedAt < record.validFrom;
        bool hasEnded = record.validUntil != 0 && invalidFrom >= record.validUntil;
        // INVARIANT: a revocation ends what was valid, and never reaches into the future.
        if (hasNotBegun || hasEnded || invalidFrom > block.timestamp) {
            revert IBindings.BindingsBadCompromiseTime(
                invalidFrom,
                record.validFrom,
                record.validUntil,
                block.timestamp
            );
        }
        records[signerHash].invalidFrom = invalidFrom;
    }

    function isValidAt(
        SignerRecord memory record,
        uint256 agentId,
        bytes32 purpose,
        uint256 time
    ) internal pure returns (bool) {
        return
            agentId != 0 &&
            record.agentId == agentId &&
            purposeAt(record.purposeIndex) == purpose &&
            time >= record.validFrom &&
            (record.validUntil == 0 || time < record.validUntil) &&
            (record.invalidFrom == 0 || time < record.invalidFrom);
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
        if (index == 2) return TRANSPORT;
        if (index == 3) return OPERATOR;
        if (index == 4) return RECOVERY;
        return bytes32(0);
    }
}
