// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC165} from "@openzeppelin/contracts/interfaces/IERC165.sol";
import {IERC4906} from "@openzeppelin/contracts/interfaces/IERC4906.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {ERC721Utils} from "@openzeppelin/contracts/token/ERC721/utils/ERC721Utils.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IBindings} from "../interfaces/IBindings.sol";
import {IERC8004Identity} from "../interfaces/IERC8004Identity.sol";
import {CodeStorage, IContentSource} from "../libraries/CodeStorage.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {StructHash} from "../libraries/StructHash.sol";
import {AgentWalletSet, BindingUpdate, SignerBinding} from "../libraries/Types.sol";
import {AgentURI} from "./AgentURI.sol";
import {SignerRecord, Signers} from "./Signers.sol";
import {Chain, VersionChain} from "./VersionChain.sol";

/// @title Agents: the ERC-8004 identity registry with BAID bindings
/// @notice Nobody owns it, nobody upgrades it. See contracts/identity/README.md.
contract IdentityRegistry is IERC4906, IERC8004Identity, IBindings, IContentSource, ERC721, EIP712 {
    using Signers for mapping(bytes32 signerHash => SignerRecord);
    using Signers for SignerRecord;
    using VersionChain for Chain;

    /// @dev What changed since an agent was registered, in one slot; all zero until then, so registration writes none.
    struct Changes {
        /// Meaningful if `isWalletChanged`; else the wallet is the registrant, who is still the owner.
        address wallet;
        bool isWalletChanged;
        uint24 uriRevision;
    }

    /// @dev ERC-8004 v2.0.0: a wallet's consent is fresh.
    uint256 private constant MAX_DEADLINE_DELAY = 5 minutes;
    string private constant WALLET_KEY = "agentWallet";
    bytes4 private constant ERC4906_INTERFACE_ID = 0x49064906;

    uint256 private _lastAgentId;
    mapping(uint256 agentId => Changes) private _changes;
    mapping(uint256 agentId => mapping(string metadataKey => bytes)) private _metadata;
    mapping(bytes32 signerHash => SignerRecord) private _signers;
    mapping(uint256 agentId => Chain) private _chains;

    constructor() ERC721("AgentIdentity", "AGENT") EIP712("ERC8004IdentityRegistry", "1") {}

    // ---------------------------------------------------------------- ERC-8004

    /// @inheritdoc IERC8004Identity
    function register() external returns (uint256 agentId) {
        agentId = _register("");
        _askReceiver(agentId);
    }

    /// @inheritdoc IERC8004Identity
    function register(string calldata agentURI) external returns (uint256 agentId) {
        agentId = _register(agentURI);
        _askReceiver(agentId);
    }

    /// @inheritdoc IERC8004Identity
    function register(string calldata agentURI, MetadataEntry[] calldata metadata) external returns (uint256 agentId) {
        agentId = _register(agentURI);
        for (uint256 i = 0; i < metadata.length; i++) {
            _setMetadata(agentId, metadata[i].metadataKey, metadata[i].metadataValue);
        }
        _askReceiver(agentId);
    }

    /// @inheritdoc IERC8004Identity
    function setAgentURI(uint256 agentId, string calldata newURI) external {
        _requireAuthorized(agentId);

        AgentURI.write(agentId, ++_changes[agentId].uriRevision, newURI);

        emit URIUpdated(agentId, newURI, msg.sender);
        emit MetadataUpdate(agentId);
    }

    /// @inheritdoc IERC8004Identity
    function getMetadata(uint256 agentId, string calldata metadataKey) external view returns (bytes memory) {
        if (!_isWalletKey(metadataKey)) return _metadata[agentId][metadataKey];
        address wallet = getAgentWallet(agentId);
        return wallet == address(0) ? bytes("") : abi.encodePacked(wallet);
    }

    /// @inheritdoc IERC8004Identity
    function setMetadata(uint256 agentId, string calldata metadataKey, bytes calldata metadataValue) external {
        _requireAuthorized(agentId);
        _setMetadata(agentId, metadataKey, metadataValue);
    }

    /// @inheritdoc IERC8004Identity
    function getAgentWallet(uint256 agentId) public view returns (address) {
        Changes storage changes = _changes[agentId];
        return changes.isWalletChanged ? changes.wallet : _ownerOf(agentId);
    }

    /// @inheritdoc IERC8004Identity
    function setAgentWallet(uint256 agentId, address newWallet, uint256 deadline, bytes calldata signature) external {
        address owner = _requireAuthorized(agentId);
        if (newWallet == address(0)) revert IdentityZeroWallet(agentId);
        if (block.timestamp > deadline) revert IdentityExpired(deadline, block.timestamp);
        uint256 latest = block.timestamp + MAX_DEADLINE_DELAY;
        if (deadline > latest) revert IdentityDeadlineTooFar(deadline, latest);
        // INVARIANT: a wallet receives for an agent only by its own consent, given to this owner.
        bytes32 digest = _hashTypedDataV4(
            StructHash.hash(AgentWalletSet({agentId: agentId, newWallet: newWallet, owner: owner, deadline: deadline}))
        );
        if (!Signatures.isValid(newWallet, digest, signature)) revert IdentityBadWalletSignature(agentId, newWallet);

        _changeWallet(agentId, newWallet);
    }

    /// @inheritdoc IERC8004Identity
    function unsetAgentWallet(uint256 agentId) external {
        _requireAuthorized(agentId);
        _changeWallet(agentId, address(0));
    }

    /// @inheritdoc IERC8004Identity
    function isAuthorizedOrOwner(address spender, uint256 agentId) external view returns (bool) {
        return _isAuthorized(_requireOwned(agentId), spender, agentId);
    }

    /// @inheritdoc IERC8004Identity
    function getVersion() external pure returns (string memory) {
        return "2.0.0";
    }

    /// @inheritdoc ERC721
    function tokenURI(uint256 agentId) public view override returns (string memory) {
        _requireOwned(agentId);
        return AgentURI.read(agentId, _changes[agentId].uriRevision);
    }

    /// @inheritdoc IContentSource
    function contentInTransit() external view returns (bytes memory) {
        return CodeStorage.inTransit();
    }

    /// @inheritdoc ERC721
    function supportsInterface(bytes4 interfaceId) public view override(ERC721, IERC165) returns (bool) {
        return
            interfaceId == type(IERC8004Identity).interfaceId ||
            interfaceId == type(IBindings).interfaceId ||
            interfaceId == ERC4906_INTERFACE_ID ||
            super.supportsInterface(interfaceId);
    }

    // -------------------------------------------------------------------- BAID

    /// @inheritdoc IBindings
    function registerBound(
        string calldata agentURI,
        InitialBinding calldata binding
    ) external returns (uint256 agentId) {
        agentId = _register(agentURI);
        if (binding.commitment != bytes32(0)) {
            _chains[agentId].commitment = binding.commitment;
            emit CommitmentUpdated(agentId, 1, binding.commitment, binding.commitment, "");
        }
        SignerBinding memory first = SignerBinding({
            agentId: 0,
            owner: msg.sender,
            signerHash: keccak256(binding.signer),
            purpose: Signers.LOG,
            validFrom: binding.validFrom,
            validUntil: binding.validUntil,
            deadline: binding.deadline
        });
        _bindSigner(agentId, first, binding.signer, binding.proof);
        _askReceiver(agentId);
    }

    /// @inheritdoc IBindings
    function updateCommitment(
        uint256 agentId,
        uint64 version,
        bytes32 delta,
        uint48 deadline,
        bytes calldata signature
    ) external {
        address owner = _requireOwned(agentId);
        BindingUpdate memory update = _chains[agentId].next(agentId, version, delta, deadline);
        // INVARIANT: only the owner's signature advances the chain, whoever relays it.
        if (!Signatures.isValid(owner, _hashTypedDataV4(StructHash.hash(update)), signature)) {
            revert BindingsBadSignature(agentId, owner);
        }

        bytes32 head = _chains[agentId].advance(update, signature);

        emit CommitmentUpdated(agentId, version, head, delta, signature);
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
    ) external view returns (bool) {
        return _signers[signerHash].isValidAt(agentId, purpose, time);
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
        return (record.agentId, purpose, record.validFrom, record.validUntil, record.invalidFrom);
    }

    /// @inheritdoc IBindings
    function commitmentOf(uint256 agentId) external view returns (bytes32 commitment, uint64 version, bytes32 head) {
        (version, head) = _chains[agentId].tip();
        commitment = _chains[agentId].commitment;
    }

    /// @inheritdoc IBindings
    function verifyOpening(
        uint256 agentId,
        bytes32 cp,
        bytes32 configDigest,
        bytes32 userId,
        bytes32 salt
    ) external view returns (bool) {
        // Nobody knows a preimage of zero, so an agent without a commitment opens to nothing.
        return _chains[agentId].commitment == keccak256(abi.encode(cp, configDigest, userId, salt));
    }

    // ----------------------------------------------------------------- shared

    /// @dev The authorisation check of every owner's action.
    function _requireAuthorized(uint256 agentId) private view returns (address owner) {
        owner = _ownerOf(agentId);
        _checkAuthorized(owner, msg.sender, agentId);
    }

    /// @dev Everything of a registration but the receiver's hook, which comes after all effects and events.
    function _register(string memory agentURI) private returns (uint256 agentId) {
        agentId = ++_lastAgentId;
        _mint(msg.sender, agentId);
        AgentURI.write(agentId, 0, agentURI);

        emit Registered(agentId, agentURI, msg.sender);
        emit MetadataSet(agentId, WALLET_KEY, WALLET_KEY, abi.encodePacked(msg.sender));
    }

    function _askReceiver(uint256 agentId) private {
        ERC721Utils.checkOnERC721Received(msg.sender, address(0), msg.sender, agentId, "");
    }

    function _setMetadata(uint256 agentId, string calldata metadataKey, bytes calldata metadataValue) private {
        // INVARIANT: the wallet changes by consent, unset or transfer only.
        if (_isWalletKey(metadataKey)) revert IdentityReservedKey(agentId, metadataKey);

        _metadata[agentId][metadataKey] = metadataValue;

        emit MetadataSet(agentId, metadataKey, metadataKey, metadataValue);
    }

    function _changeWallet(uint256 agentId, address wallet) private {
        Changes storage changes = _changes[agentId];
        changes.wallet = wallet;
        changes.isWalletChanged = true;

        bytes memory shown = wallet == address(0) ? bytes("") : abi.encodePacked(wallet);
        emit MetadataSet(agentId, WALLET_KEY, WALLET_KEY, shown);
    }

    /// @dev Every mint and every transfer leads through here.
    function _update(address to, uint256 agentId, address auth) internal override returns (address from) {
        // INVARIANT: a wallet that a former owner proved never receives for the new one.
        if (_ownerOf(agentId) != address(0)) _changeWallet(agentId, address(0));
        return super._update(to, agentId, auth);
    }

    function _bindSigner(
        uint256 agentId,
        SignerBinding memory binding,
        bytes calldata signer,
        bytes calldata proof
    ) private {
        Signers.checkForm(signer);
        if (block.timestamp > binding.deadline) revert BindingsExpired(binding.deadline, block.timestamp);
        SignerRecord memory record = _signers.admit(agentId, binding);
        // INVARIANT: no key speaks for an agent against its will.
        if (!Signatures.isValid(signer, _hashTypedDataV4(StructHash.hash(binding)), proof)) {
            revert BindingsBadProof(agentId, binding.signerHash);
        }

        _signers[binding.signerHash] = record;

        emit SignerBound(agentId, binding.signerHash, binding.purpose, signer, record.validFrom, record.validUntil);
    }

    function _revokeSigner(uint256 agentId, bytes32 signerHash, uint48 compromisedAt) private {
        uint48 invalidFrom = _signers.revoke(agentId, signerHash, compromisedAt);
        emit SignerRevoked(agentId, signerHash, invalidFrom);
    }

    function _isWalletKey(string calldata metadataKey) private pure returns (bool) {
        return keccak256(bytes(metadataKey)) == keccak256(bytes(WALLET_KEY));
    }
}
