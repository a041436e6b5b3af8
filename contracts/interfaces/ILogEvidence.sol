// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {LogHeader} from "../libraries/Types.sol";
import {IBindings} from "./IBindings.sol";

/// @title Proof that an agent signed two histories
/// @notice Two headers of one (log, seq) with different digests, both signed by the log's key while its agent answered for
/// it (`IBindings.answerableOf`). The fork is named, so that it is punished once whatever pair of headers shows it.
interface ILogEvidence {
    /// @notice One header with its log's signature as logs carry it: EIP-2098, low s. All words, so that no offset and no length is
    /// paid for.
    struct SignedHeader {
        LogHeader header;
        bytes32 r;
        bytes32 vs;
    }

    error LogEvidenceOtherEntry(address log, uint40 seq, address otherLog, uint40 otherSeq);
    /// One header twice: a second signature over the same digest, malleated or not, is no second header.
    error LogEvidenceSameHeader(bytes32 digest);
    error LogEvidenceBadSignature(address log, bytes32 digest);
    /// The log's key is no LOG signer of an agent that answered for it at the header's second.
    error LogEvidenceNotAnswerable(address log, uint256 agentId, uint256 time);
    /// The key's end was on record for longer than the evidence period.
    error LogEvidenceTooLate(address log, uint256 endedAt, uint256 latest);

    /// @notice The agent that has to answer for a fork, and the fork's name. Reverts with the reason if it is none.
    /// @return agentId agent of the log's key
    /// @return forkId keccak256(abi.encode(log, seq)): the same for every pair of headers that shows this fork
    function judge(
        SignedHeader calldata first,
        SignedHeader calldata second
    ) external view returns (uint256 agentId, bytes32 forkId);

    /// @notice True if `judge` would name this agent; false where it would revert.
    function isEquivocation(
        uint256 agentId,
        SignedHeader calldata first,
        SignedHeader calldata second
    ) external view returns (bool);

    /// @notice EIP-712 digest of a header under ("SuretyLog", "1", chainId, registry).
    function digestOf(LogHeader calldata header) external view returns (bytes32);

    /// @notice Seconds for which a key whose end is on record can still be held to what it signed before.
    function evidencePeriod() external pure returns (uint48);

    /// @notice Whose signers the logs belong to.
    function registry() external view returns (IBindings);
}
