// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICodeProofVerifier} from "../../interfaces/ICodeProofVerifier.sol";
import {IRiscZeroVerifier} from "../../interfaces/IRiscZeroVerifier.sol";
import {CodeJournal} from "../../libraries/Types.sol";

/// @title Code proofs by RISC Zero
/// @notice The code commitment is the image id. The guest commits abi.encode(CodeJournal), 288 bytes.
contract RiscZeroCodeProofs is ICodeProofVerifier {
    error RiscZeroNoVerifier(address verifier);

    IRiscZeroVerifier public immutable verifier;

    constructor(IRiscZeroVerifier verifier_) {
        // A call of an address without code would succeed, and every proof would pass.
        if (address(verifier_).code.length == 0) revert RiscZeroNoVerifier(address(verifier_));
        verifier = verifier_;
    }

    /// @inheritdoc ICodeProofVerifier
    function verify(
        bytes32 codeCommitment,
        CodeJournal calldata journal,
        bytes calldata seal
    ) external view returns (bytes32 proofDigest) {
        if (codeCommitment == bytes32(0)) revert CodeProofZeroCommitment();
        // INVARIANT: a proof for another chain's agent counts nothing here.
        if (journal.chainId != block.chainid) revert CodeProofOtherChain(block.chainid, journal.chainId);
        bytes32 journalDigest = sha256(abi.encode(journal));
        try verifier.verify(seal, codeCommitment, journalDigest) {
            return keccak256(abi.encode(codeCommitment, journalDigest));
        } catch (bytes memory reason) {
            revert CodeProofRefused(codeCommitment, journalDigest, reason);
        }
    }
}
