// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title BAID: what runs, and which keys speak for an agent
/// @notice Commitment and version chain after arXiv 2606.17368 eq. 9-10, signers after ERC-7913.
/// A signer is valid for at most one agent and one purpose, ever; history before a compromise stays valid. A signer serves
/// the owner under whom it was bound: it ends when the agent changes hands. Signers of an agent are enumerated by their
/// SignerBound events, which name agent, signer and purpose as topics.
interface IBindings {
    event CommitmentUpdated(
        uint256 indexed agentId,
        uint64 indexed version,
        bytes32 head,
        bytes32 commitment,
        bytes signature
    );
    event SignerBound(
        uint256 indexed agentId,
        bytes32 indexed signerHash,
        bytes32 indexed purpose,
        bytes signer,
        uint48 validFrom,
        uint48 validUntil
    );
    /// @param invalidFrom what the signer signed at or after this second (Unix) does not count
    event SignerRevoked(uint256 indexed agentId, bytes32 indexed signerHash, uint48 invalidFrom);

    /// @notice The signer just bound is a key whose proof the chain cannot check: whoever relies on it checks `proof`.
    /// @param proof Ed25519 signature over the digest of SignerBinding with this deadline
    event SignerUnchecked(
        uint256 indexed agentId,
        bytes32 indexed signerHash,
        bytes32 key,
        uint48 deadline,
        bytes proof
    );

    error BindingsZeroCommitment(uint256 agentId);
    error BindingsWrongVersion(uint256 agentId, uint64 expected, uint64 given);
    error BindingsExpired(uint48 deadline, uint256 now_);
    error BindingsBadSignature(uint256 agentId, address owner);
    error BindingsBadProof(uint256 agentId, bytes32 signerHash);
    error BindingsMalformedSigner(uint256 length);
    error BindingsZeroSigner(uint256 length);
    error BindingsNoVerifier(address verifier);
    error BindingsUnknownPurpose(bytes32 purpose);
    error BindingsBadWindow(uint48 validFrom, uint48 validUntil, uint256 now_);
    error BindingsSignerTaken(bytes32 signerHash, uint256 agentId);
    error BindingsUnknownSigner(uint256 agentId, bytes32 signerHash);
    error BindingsAlreadyRevoked(bytes32 signerHash, uint48 invalidFrom);
    /// The signer served a former owner and ended with its tenure.
    error BindingsFormerSigner(bytes32 signerHash, uint48 endedAt);
    error BindingsBadCompromiseTime(uint48 compromisedAt, uint256 earliest, uint256 latest);
    error BindingsNotOperator(uint256 agentId, bytes32 signerHash);
    error BindingsBadProofLength(uint256 length, uint256 expected);

    /// @notice What an agent is registered with, in one transaction.
    /// @param commitment BAID (eq. 9); zero = none
    /// @param signer ERC-7913 bytes of the first LOG signer; its proof signs SignerBinding with agentId 0
    struct InitialBinding {
        bytes32 commitment;
        bytes signer;
        uint48 validFrom;
        uint48 validUntil;
        uint48 deadline;
        bytes proof;
    }

    /// @notice Advances the version chain: C(v+1) = keccak256(C(v), delta, keccak256(signature)).
    /// @param version the version that this update creates; 1 sets the first commitment
    /// @param signature the owner's over BindingUpdate (ECDSA or ERC-1271); anyone may relay it
    function updateCommitment(
        uint256 agentId,
        uint64 version,
        bytes32 delta,
        uint48 deadline,
        bytes calldata signature
    ) external;

    /// @notice As `updateCommitment`, by an OPERATOR signer of the agent that is valid now.
    /// @param operator ERC-7913 bytes of the signer
    function updateCommitmentAsOperator(
        uint256 agentId,
        uint64 version,
        bytes32 delta,
        uint48 deadline,
        bytes calldata operator,
        bytes calldata signature
    ) external;

    /// @notice Binds a signer. The caller is the owner or approved (else ERC721InsufficientApproval); `proof` is the new signer's over SignerBinding.
    /// @param signer ERC-7913 bytes: an address of 20 bytes, or a verifier of 20 bytes and its key
    /// @param validFrom first second (Unix) of validity, at or after now; 0 = now
    /// @param validUntil first second (Unix) of invalidity; 0 = no end
    function bindSigner(
        uint256 agentId,
        bytes calldata signer,
        bytes32 purpose,
        uint48 validFrom,
        uint48 validUntil,
        uint48 deadline,
        bytes calldata proof
    ) external;

    /// @notice Binds an Ed25519 TRANSPORT key, whose proof the chain cannot check: the record and an event say so.
    /// Its signer bytes are 20 zero bytes, the agent's id and the key, so that a false claim takes nobody's key away.
    /// @param proof 64 bytes over the digest of SignerBinding; checked by whoever relies on the key
    function bindUncheckedKey(
        uint256 agentId,
        bytes32 key,
        uint48 validFrom,
        uint48 validUntil,
        uint48 deadline,
        bytes calldata proof
    ) external;

    /// @notice Ends one signer now and binds its successor for the same purpose, from now, in one transaction.
    /// @param proof the new signer's over SignerBinding with the old one's purpose and validFrom 0
    function rotateSigner(
        uint256 agentId,
        bytes32 oldSignerHash,
        bytes calldata newSigner,
        uint48 validUntil,
        uint48 deadline,
        bytes calldata proof
    ) external;

    /// @notice Revokes a signer: what it signed at or after `compromisedAt` does not count, what came before does.
    /// A revocation is final: a second one is refused, and so is one of a former owner's signer.
    /// @param compromisedAt second (Unix) within the signer's validity, at most seven days ago and not in the future; 0 =
    /// now, which may lie before the validity (the signer then never counts) but not after it
    function revokeSigner(uint256 agentId, bytes32 signerHash, uint48 compromisedAt) external;

    /// @notice Who owns the agent now. Where the registry is not ours it is asked, and what it says is kept: signers of an
    /// owner that is no more end here.
    function observeOwner(uint256 agentId) external returns (address owner);

    /// @notice True if the signer spoke for this agent and purpose at that second (Unix).
    function isSignerValidAt(
        uint256 agentId,
        bytes32 signerHash,
        bytes32 purpose,
        uint256 time
    ) external view returns (bool);

    /// @notice The seconds (Unix) for which the agent answers for what a signer signed; all zero = never bound. As
    /// `isSignerValidAt`, except that a revocation counts from the second it was recorded: nobody escapes a punishment by
    /// dating a revocation back. `until` is the first second at which an end was on record: expiry, revocation,
    /// transfer; 0 = none.
    function answerableOf(
        bytes32 signerHash
    ) external view returns (uint256 agentId, bytes32 purpose, uint48 from, uint48 until);

    /// @notice True if the signer was bound without a proof that the chain could check.
    function isSignerUnchecked(bytes32 signerHash) external view returns (bool);

    /// @notice How often the agent changed hands, and the second (Unix) of the last time; both 0 = never.
    function tenureOf(uint256 agentId) external view returns (uint24 tenure, uint48 since);

    /// @notice The agent of a signer, past ones included; 0 = never bound.
    function agentOfSigner(bytes32 signerHash) external view returns (uint256);

    /// @notice The record of a signer; all zero = never bound. validUntil 0 = no end, invalidFrom 0 = neither revoked nor
    /// ended with its owner's tenure.
    function signerOf(
        bytes32 signerHash
    ) external view returns (uint256 agentId, bytes32 purpose, uint48 validFrom, uint48 validUntil, uint48 invalidFrom);

    /// @notice Current commitment (eq. 9), version (0 = none) and head of the version chain (eq. 10).
    function commitmentOf(uint256 agentId) external view returns (bytes32 commitment, uint64 version, bytes32 head);

    /// @notice Number and root of the versions before the current one: a Merkle mountain range over
    /// keccak256(abi.encode(agentId, version, commitment, head)).
    /// The root is keccak256(abi.encode(count, bag)); the bag folds the peaks from the smallest: keccak256(peak, bag).
    function historyOf(uint256 agentId) external view returns (uint64 count, bytes32 root);

    /// @notice True if the agent had this commitment and head at this version, the current one included.
    /// @param proof siblings from the leaf to its peak; empty for the current version
    function verifyVersion(
        uint256 agentId,
        uint64 version,
        bytes32 commitment,
        bytes32 head,
        bytes32[] calldata proof
    ) external view returns (bool);

    /// @notice True if these four open the agent's current commitment: keccak256(abi.encode(cp, configDigest, userId, salt)).
    /// @param cp typed code commitment, its first byte: 1 file manifest, 2 OCI image, 3 RISC Zero image id, 4 SP1 key, 5 TEE
    /// measurement; another type opens nothing. The other 31 are the last ones of keccak256(type, digest)
    function verifyOpening(
        uint256 agentId,
        bytes32 cp,
        bytes32 configDigest,
        bytes32 userId,
        bytes32 salt
    ) external view returns (bool);
}
