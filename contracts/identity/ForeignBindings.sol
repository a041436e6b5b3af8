// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC721} from "@openzeppelin/contracts/interfaces/IERC721.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IBindings} from "../interfaces/IBindings.sol";
import {IForeignBindings} from "../interfaces/IForeignBindings.sol";
import {Forwarded} from "../libraries/Forwarded.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {StructHash} from "../libraries/StructHash.sol";
import {BindingUpdate, SignerBinding} from "../libraries/Types.sol";
import {SignedBindings} from "./SignedBindings.sol";
import {SignerRecord, Signers} from "./Signers.sol";
import {Chain, VersionChain} from "./VersionChain.sol";

/// @notice See IForeignBindings.
contract ForeignBindings is IBindings, IForeignBindings, EIP712 {
    using Signers for mapping(bytes32 signerHash => SignerRecord);
    using Signers for SignerRecord;
    using VersionChain for Chain;

    struct Origin {
        address registry;
        uint256 id;
    }

    /// @dev What the foreign registry said last, in one slot.
    struct Tenure {
        address owner;
        uint24 tenure;
        uint40 since;
    }

    /// @dev An ERC-721 answers from a slot or two, a proxy's with some more: ten times that, and a registry that eats all of it
    /// has cost its caller a third of a transfer.
    uint256 private constant QUESTION_GAS = 50_000;

    /// @inheritdoc IForeignBindings
    address public immutable signedBindings;

    uint256 private _lastAgentId;
    mapping(uint256 agentId => Origin) private _origins;
    mapping(address registry => mapping(uint256 id => uint256 agentId)) private _ids;
    mapping(uint256 agentId => Tenure) private _tenures;
    /// @dev Starts of the tenures from the first change of hands on, but for the present one.
    mapping(uint256 agentId => mapping(uint24 tenure => uint40)) private _pastTenures;
    mapping(bytes32 signerHash => SignerRecord) private _signers;
    mapping(uint256 agentId => Chain) private _chains;

    /// @dev The domain's name is IdentityRegistry's: the same statements, told apart by the contract's address.
    constructor() EIP712("ERC8004IdentityRegistry", "1") {
        signedBindings = address(new SignedBindings(address(this)));
    }

    // ---------------------------------------------------------------- adoption

    /// @inheritdoc IForeignBindings
    function adopt(address foreignRegistry, uint256 foreignId) external returns (uint256 agentId) {
        agentId = _ids[foreignRegistry][foreignId];
        if (agentId != 0) return agentId;
        if (foreignRegistry.code.length == 0) revert ForeignNotAContract(foreignRegistry);
        address owner = _askOwner(foreignRegistry, foreignId);

        agentId = ++_lastAgentId;
        _ids[foreignRegistry][foreignId] = agentId;
        _origins[agentId] = Origin({registry: foreignRegistry, id: foreignId});
        _tenures[agentId].owner = owner;
        emit Adopted(agentId, foreignRegistry, foreignId);
        emit OwnerObserved(agentId, owner, 0, 0);
    }

    /// @inheritdoc IForeignBindings
    function idOf(address foreignRegistry, uint256 foreignId) external view returns (uint256 agentId) {
        return _ids[foreignRegistry][foreignId];
    }

    /// @inheritdoc IForeignBindings
    function originOf(uint256 agentId) external view returns (address foreignRegistry, uint256 foreignId) {
        Origin memory origin = _origins[agentId];
        return (origin.registry, origin.id);
    }

    /// @inheritdoc IForeignBindings
    function ownerOf(uint256 agentId) public view returns (address owner) {
        owner = _tenures[agentId].owner;
        if (owner == address(0)) revert ForeignUnknownAgent(agentId);
    }

    /// @inheritdoc IForeignBindings
    function isAuthorizedOrOwner(address account, uint256 agentId) external view returns (bool) {
        return account == ownerOf(agentId);
    }

    /// @inheritdoc IForeignBindings
    function getAgentWallet(uint256 agentId) external view returns (address) {
        return ownerOf(agentId);
    }

    // -------------------------------------------------------------------- BAID

    /// @inheritdoc IBindings
    function observeOwner(uint256 agentId) external returns (address owner) {
        return _observe(agentId);
    }

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
    function bindSigner(
        uint256 agentId,
        bytes calldata signer,
        bytes32 purpose,
        uint48 validFrom,
        uint48 validUntil,
        uint48 deadline,
        bytes calldata proof
    ) external {
        SignerBinding memory binding = SignerBinding({
            agentId: agentId,
            owner: _requireAuthorized(agentId),
            signerHash: keccak256(signer),
            purpose: purpose,
            validFrom: validFrom,
            validUntil: validUntil,
            deadline: deadline
        });
        _bindSigner(agentId, binding, signer, proof);
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
        SignerBinding memory binding = SignerBinding({
            agentId: agentId,
            owner: _requireAuthorized(agentId),
            signerHash: keccak256(Signers.uncheckedBytes(agentId, key)),
            purpose: Signers.TRANSPORT,
            validFrom: validFrom,
            validUntil: validUntil,
            deadline: deadline
        });
        _signers.bindUnchecked(_tenures[agentId].tenure, binding, key, proof);
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
        SignerBinding memory binding = SignerBinding({
            agentId: agentId,
            owner: _requireAuthorized(agentId),
            signerHash: keccak256(newSigner),
            purpose: Signers.purposeAt(_signers[oldSignerHash].purposeIndex),
            validFrom: 0,
            validUntil: validUntil,
            deadline: deadline
        });
        _revokeSigner(agentId, oldSignerHash, 0);
        _bindSigner(agentId, binding, newSigner, proof);
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
        return (_tenures[agentId].tenure, _tenures[agentId].since);
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

    // ----------------------------------------------------------------- shared

    function _bindSigner(
        uint256 agentId,
        SignerBinding memory binding,
        bytes calldata signer,
        bytes calldata proof
    ) private {
        bytes32 digest = _hashTypedDataV4(StructHash.hash(binding));
        _signers.bind(agentId, _tenures[agentId].tenure, binding, digest, signer, proof);
    }

    function _revokeSigner(uint256 agentId, bytes32 signerHash, uint48 compromisedAt) private {
        uint24 tenure = _signers.requireOf(agentId, signerHash);
        _signers.revoke(agentId, signerHash, compromisedAt, _tenureEndOf(agentId, tenure));
    }

    /// @dev The authorisation check of every owner's action: the owner, or whom ERC-721 lets act for it.
    function _requireAuthorized(uint256 agentId) private returns (address owner) {
        owner = _observe(agentId);
        address sender = msg.sender == signedBindings ? Forwarded.sender() : msg.sender;
        if (sender == owner || _isApproved(_origins[agentId], owner, sender)) return owner;
        revert ForeignNotAuthorized(agentId, sender);
    }

    /// @dev INVARIANT: whoever acts for an agent acts under the owner of this moment, and no earlier owner's signer outlives that
    /// this owner was seen.
    function _observe(uint256 agentId) private returns (address owner) {
        Origin memory origin = _origins[agentId];
        if (origin.registry == address(0)) revert ForeignUnknownAgent(agentId);
        owner = _askOwner(origin.registry, origin.id);
        Tenure memory present = _tenures[agentId];
        if (owner == present.owner) return owner;

        if (present.tenure != 0) _pastTenures[agentId][present.tenure] = present.since;
        present = Tenure({owner: owner, tenure: present.tenure + 1, since: uint40(block.timestamp)});
        _tenures[agentId] = present;
        emit OwnerObserved(agentId, owner, present.tenure, present.since);
    }

    /// @return the second (Unix) at which a tenure was seen to have ended; 0 = it lasts
    function _tenureEndOf(uint256 agentId, uint24 tenure) private view returns (uint48) {
        Tenure memory present = _tenures[agentId];
        if (tenure == present.tenure) return 0;
        return tenure + 1 == present.tenure ? present.since : _pastTenures[agentId][tenure + 1];
    }

    function _askOwner(address foreignRegistry, uint256 foreignId) private view returns (address) {
        (bool isOk, uint256 answer) = _ask(foreignRegistry, abi.encodeCall(IERC721.ownerOf, (foreignId)));
        if (!isOk || answer == 0 || answer > type(uint160).max) revert ForeignNoOwner(foreignRegistry, foreignId);
        return address(uint160(answer));
    }

    function _isApproved(Origin memory origin, address owner, address account) private view returns (bool) {
        (bool isOk, uint256 answer) = _ask(origin.registry, abi.encodeCall(IERC721.getApproved, (origin.id)));
        if (isOk && answer == uint160(account)) return true;
        (isOk, answer) = _ask(origin.registry, abi.encodeCall(IERC721.isApprovedForAll, (owner, account)));
        return isOk && answer == 1;
    }

    /// @dev A static call, so that nothing changes meanwhile; with bounded gas; one word of the answer is read, however long it is.
    function _ask(address foreignRegistry, bytes memory question) private view returns (bool isOk, uint256 answer) {
        assembly ("memory-safe") {
            isOk := staticcall(QUESTION_GAS, foreignRegistry, add(question, 32), mload(question), 0, 32)
            isOk := and(isOk, gt(returndatasize(), 31))
            answer := mload(0)
        }
    }
}
