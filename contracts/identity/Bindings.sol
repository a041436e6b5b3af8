// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IBindings} from "../interfaces/IBindings.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {StructHash} from "../libraries/StructHash.sol";
import {BindingUpdate, SignerBinding} from "../libraries/Types.sol";
import {SignerRecord, Signers} from "./Signers.sol";
import {Chain, VersionChain} from "./VersionChain.sol";

/// @notice What both registries of bindings do alike: version chains, signers, and the views over them. Whose registry it is
/// decides who owns an agent, who may act for it, and in which tenure: the three functions without a body.
abstract contract Bindings is IBindings, EIP712 {
    using Signers for mapping(bytes32 signerHash => SignerRecord);
    using Signers for SignerRecord;
    using VersionChain for Chain;

    mapping(bytes32 signerHash => SignerRecord) private _signers;
    mapping(uint256 agentId => Chain) private _chains;
    /// @dev Starts of the tenures from the first change of hands on, but for the present one.
    mapping(uint256 agentId => mapping(uint24 tenure => uint40)) private _pastTenures;

    /// @dev One name for both: the same statements, told apart by the contract's address.
    constructor() EIP712("ERC8004IdentityRegistry", "1") {}

    // ----------------------------------------------------------- version chain

    /// @inheritdoc IBindings
    function updateCommitment(
        uint256 agentId,
        uint64 version,
        bytes32 delta,
        uint48 deadline,
        bytes calldata signature
    ) external {
        address owner = _observe(agentId);
        BindingUpdate memory update = _chains[agentId].next(agentId, version, delta, deadline);
        // INVARIANT: only the owner's or an operator's signature advances the chain, whoever relays it.
        if (!Signatures.isValid(owner, _hashTypedDataV4(StructHash.hash(update)), signature)) {
            revert BindingsBadSignature(agentId, owner);
        }
        _chains[agentId].advance(update, signature);
    }

    /// @inheritdoc IBindings
    function updateCommitmentAsOperator(
        uint256 agentId,
        uint64 version,
        bytes32 delta,
        uint48 deadline,
        bytes calldata operator,
        bytes calldata signature
    ) external {
        // INVARIANT: a former owner's operator has no say, even where nobody had seen the agent change hands.
        _observe(agentId);
        if (!isSignerValidAt(agentId, keccak256(operator), Signers.OPERATOR, block.timestamp)) {
            revert BindingsNotOperator(agentId, keccak256(operator));
        }
        BindingUpdate memory update = _chains[agentId].next(agentId, version, delta, deadline);
        if (!Signatures.isValid(operator, _hashTypedDataV4(StructHash.hash(update)), signature)) {
            revert BindingsBadProof(agentId, keccak256(operator));
        }
        _chains[agentId].advance(update, signature);
    }

    /// @inheritdoc IBindings
    function commitmentOf(uint256 agentId) external view returns (bytes32 commitment, uint64 version, bytes32 head) {
        (version, head) = _chains[agentId].tip();
        commitment = _chains[agentId].commitment;
    }

    /// @inheritdoc IBindings
    function historyOf(uint256 agentId) external view returns (uint64 count, bytes32 root) {
        return _chains[agentId].history();
    }

    /// @inheritdoc IBindings
    function verifyVersion(
        uint256 agentId,
        uint64 version,
        bytes32 commitment,
        bytes32 head,
        bytes32[] calldata proof
    ) external view returns (bool) {
        return _chains[agentId].hadVersion(agentId, version, commitment, head, proof);
    }

    /// @inheritdoc IBindings
    function verifyOpening(
        uint256 agentId,
        bytes32 cp,
        bytes32 configDigest,
        bytes32 userId,
        bytes32 salt
    ) external view returns (bool) {
        return _chains[agentId].opensTo(cp, configDigest, userId, salt);
    }

    // ----------------------------------------------------------------- signers

    /// @inheritdoc IBindings
    function bindSigner(
        uint256 agentId,
        bytes calldata signer,
        bytes32 purpose,
        uint48 validFrom,
        uint48 validUntil,
        uint48 deadline,
        bytes calldata proof
    ) external {
        SignerBinding memory binding = _bindingOf(agentId, keccak256(signer), purpose, validFrom, validUntil, deadline);
        (uint24 tenure, ) = _tenureNow(agentId);
        _bindSigner(agentId, tenure, binding, signer, proof);
    }

    /// @inheritdoc IBindings
    function bindUncheckedKey(
        uint256 agentId,
        bytes32 key,
        uint48 validFrom,
        uint48 validUntil,
        uint48 deadline,
        bytes calldata proof
    ) external {
        SignerBinding memory binding = _bindingOf(
            agentId,
            keccak256(Signers.uncheckedBytes(agentId, key)),
            Signers.TRANSPORT,
            validFrom,
            validUntil,
            deadline
        );
        (uint24 tenure, ) = _tenureNow(agentId);
        _signers.bindUnchecked(tenure, binding, key, proof);
    }

    /// @inheritdoc IBindings
    function rotateSigner(
        uint256 agentId,
        bytes32 oldSignerHash,
        bytes calldata newSigner,
        uint48 validUntil,
        uint48 deadline,
        bytes calldata proof
    ) external {
        SignerBinding memory binding = _bindingOf(
            agentId,
            keccak256(newSigner),
            Signers.purposeAt(_signers[oldSignerHash].purposeIndex),
            0,
            validUntil,
            deadline
        );
        _revokeSigner(agentId, oldSignerHash, 0);
        (uint24 tenure, ) = _tenureNow(agentId);
        _bindSigner(agentId, tenure, binding, newSigner, proof);
    }

    /// @inheritdoc IBindings
    function revokeSigner(uint256 agentId, bytes32 signerHash, uint48 compromisedAt) external {
        _requireAuthorized(agentId);
        _revokeSigner(agentId, signerHash, compromisedAt);
    }

    /// @inheritdoc IBindings
    function isSignerValidAt(
        uint256 agentId,
        bytes32 signerHash,
        bytes32 purpose,
        uint256 time
    ) public view returns (bool) {
        SignerRecord memory record = _signers[signerHash];
        return record.isValidAt(agentId, purpose, time, _tenureEndOf(record.agentId, record.tenure));
    }

    /// @inheritdoc IBindings
    function answerableOf(
        bytes32 signerHash
    ) external view returns (uint256 agentId, bytes32 purpose, uint48 from, uint48 until) {
        SignerRecord memory record = _signers[signerHash];
        until = record.answerableUntil(_tenureEndOf(record.agentId, record.tenure));
        return (record.agentId, Signers.purposeAt(record.purposeIndex), record.validFrom, until);
    }

    /// @inheritdoc IBindings
    function isSignerUnchecked(bytes32 signerHash) external view returns (bool) {
        return _signers[signerHash].purposeIndex == Signers.UNCHECKED_INDEX;
    }

    /// @inheritdoc IBindings
    function tenureOf(uint256 agentId) external view returns (uint24 tenure, uint48 since) {
        return _tenureNow(agentId);
    }

    /// @inheritdoc IBindings
    function agentOfSigner(bytes32 signerHash) external view returns (uint256) {
        return _signers[signerHash].agentId;
    }

    /// @inheritdoc IBindings
    function signerOf(
        bytes32 signerHash
    )
        external
        view
        returns (uint256 agentId, bytes32 purpose, uint48 validFrom, uint48 validUntil, uint48 invalidFrom)
    {
        SignerRecord memory record = _signers[signerHash];
        purpose = Signers.purposeAt(record.purposeIndex);
        invalidFrom = record.invalidFromOf(_tenureEndOf(record.agentId, record.tenure));
        return (record.agentId, purpose, record.validFrom, record.validUntil, invalidFrom);
    }

    // ------------------------------------------------- what the registry decides

    /// @dev The authorisation check of every owner's action.
    /// @return owner in whose name the sender acts
    function _requireAuthorized(uint256 agentId) internal virtual returns (address owner);

    /// @dev Who owns the agent at this moment; reverts where nobody does.
    function _observe(uint256 agentId) internal virtual returns (address owner);

    /// @return tenure how often the agent changed hands
    /// @return since second (Unix) of the last time; 0 = never
    function _tenureNow(uint256 agentId) internal view virtual returns (uint24 tenure, uint40 since);

    // ------------------------------------------------------- for the registries

    /// @param agentId for whom it speaks; `binding.agentId` is 0 where the agent is registered in the same transaction
    function _bindSigner(
        uint256 agentId,
        uint24 tenure,
        SignerBinding memory binding,
        bytes calldata signer,
        bytes calldata proof
    ) internal {
        bytes32 digest = _hashTypedDataV4(StructHash.hash(binding));
        _signers.bind(agentId, tenure, binding, digest, signer, proof);
    }

    /// @dev Version 1, of an agent that has just been registered.
    function _commitFirst(uint256 agentId, bytes32 commitment) internal {
        _chains[agentId].commitment = commitment;
        emit CommitmentUpdated(agentId, 1, commitment, commitment, "");
    }

    /// @dev Remembers when the tenure began that another one follows; the first one began with the agent.
    function _keepTenure(uint256 agentId, uint24 tenure, uint40 since) internal {
        if (tenure != 0) _pastTenures[agentId][tenure] = since;
    }

    // ------------------------------------------------------------------ private

    /// @dev What the new signer has signed: in the name of the owner for whom the sender acts, whom it checks.
    function _bindingOf(
        uint256 agentId,
        bytes32 signerHash,
        bytes32 purpose,
        uint48 validFrom,
        uint48 validUntil,
        uint48 deadline
    ) private returns (SignerBinding memory) {
        address owner = _requireAuthorized(agentId);
        return SignerBinding(agentId, owner, signerHash, purpose, validFrom, validUntil, deadline);
    }

    function _revokeSigner(uint256 agentId, bytes32 signerHash, uint48 compromisedAt) private {
        SignerRecord memory record = _signers[signerHash];
        record.requireOf(agentId, signerHash);
        _signers.revoke(record, signerHash, compromisedAt, _tenureEndOf(agentId, record.tenure));
    }

    /// @return the second (Unix) at which a tenure ended, or was seen to have; 0 = it lasts
    function _tenureEndOf(uint256 agentId, uint24 tenure) private view returns (uint48) {
        (uint24 present, uint40 since) = _tenureNow(agentId);
        if (tenure == present) return 0;
        return tenure + 1 == present ? since : _pastTenures[agentId][tenure + 1];
    }
}
