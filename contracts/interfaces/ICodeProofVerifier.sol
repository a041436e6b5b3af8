// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CodeJournal} from "../libraries/Types.sol";

/// @title Proofs that a committed program took a step
interface ICodeProofVerifier {
    error CodeProofZeroCommitment();
    error CodeProofOtherChain(uint256 chainId, uint256 given);
    error CodeProofRefused(bytes32 codeCommitment, bytes32 journalDigest, bytes reason);

    /// @notice Reverts unless `seal` proves that the program behind `codeCommitment` ran and put out exactly `journal`.
    /// @dev Whoever relies on it compares the commitment and the configuration digest with an opening of the agent's BAID commitment
    /// (`IBindings.verifyOpening`), and `journal.previous` with the digest of the step before.
    /// @param codeCommitment what the proof system names a program by: the value inside a typed code commitment of its kind
    /// @return proofDigest keccak256(abi.encode(codeCommitment, journalDigest)): `previous` of the next step
    function verify(
        bytes32 codeCommitment,
        CodeJournal calldata journal,
        bytes calldata seal
    ) external view returns (bytes32 proofDigest);
}
