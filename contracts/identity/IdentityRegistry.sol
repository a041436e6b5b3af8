// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC165} from "@openzeppelin/contracts/interfaces/IERC165.sol";
import {IERC4906} from "@openzeppelin/contracts/interfaces/IERC4906.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {ERC721Utils} from "@openzeppelin/contracts/token/ERC721/utils/ERC721Utils.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IBindings} from "../interfaces/IBindings.sol";
import {IERC8004Identity} from "../interfaces/IERC8004Identity.sol";
import {IIdentityRegistry} from "../interfaces/IIdentityRegistry.sol";
import {CodeStorage, IContentSource} from "../libraries/CodeStorage.sol";
import {Forwarded} from "../libraries/Forwarded.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {StructHash} from "../libraries/StructHash.sol";
import {AgentWalletSet, BindingUpdate, SignerBinding} from "../libraries/Types.sol";
import {AgentURI} from "./AgentURI.sol";
import {OwnerRecovery} from "./OwnerRecovery.sol";
import {SignedBindings} from "./SignedBindings.sol";
import {SignedProfile} from "./SignedProfile.sol";
import {SignerRecord, Signers} from "./Signers.sol";
import {Chain, VersionChain} from "./VersionChain.sol";

/// @title Agents: the ERC-8004 identity registry with BAID bindings
/// @notice Nobody owns it, nobody upgrades it. See contracts/identity/README.md.
contract IdentityRegistry is IERC4906, IERC8004Identity, IBindings, IIdentityRegistry, IContentSource, ERC721, EIP712 {
    using Signers for mapping(bytes32 signerHash => SignerRecord);
    using Signers for SignerRecord;
    using VersionChain for Chain;

    /// @dev What changed since an agent was registered, in one slot; all zero until then, so registration writes none.
    struct Changes {
        /// Meaningful if `isWalletChanged`; else the wallet is the registrant, who is still the owner.
        address wallet;
        bool isWalletChanged;
        uint24 uriRevision;
        /// How often the agent changed hands, and the second (Unix) of the last time.
        uint24 tenure;
        uint40 tenureSince;
    }

    /// @dev ERC-8004 v2.0.0: a wallet's consent is fresh.
    uint256 private constant MAX_DEADLINE_DELAY = 5 minutes;
    string private constant WALLET_KEY = "agentWallet";
    bytes4 private constant ERC4906_INTERFACE_ID = 0x49064906;

    /// @inheritdoc IIdentityRegistry
    address public immutable signedBindings;
    /// @inheritdoc IIdentityRegistry
    address public immutable signedProfile;
    /// @inheritdoc IIdentityRegistry
    address public immutable ownerRecovery;

    uint256 private _lastAgentId;
    mapping(uint256 agentId => Changes) private _changes;
    mapping(uint256 agentId => mapping(string metadataKey => bytes)) private _metadata;
    mapping(bytes32 signerHash => SignerRecord) private _signers;
    mapping(uint256 agentId => Chain) private _chains;
    /// @dev Starts of the tenures from the first transfer on, but for the present one.
    mapping(uint256 agentId => mapping(uint24 tenure => uint40)) private _pastTenures;

    constructor() ERC721("AgentIdentity", "AGENT") EIP712("ERC8004IdentityRegistry", "1") {
        signedBindings = address(new SignedBindings(address(this)));
        signedProfile = address(new SignedProfile(address(this)));
        ownerRecovery = address(new OwnerRecovery(address(this)));
    }

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

        emit URIUpdated(agentId, newURI, _msgSender());
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
            interfaceId == type(IIdentityRegistry).interfaceId ||
            interfaceId == ERC4906_INTERFACE_ID ||
            super.supportsInterface(interfaceId);
    }

    // -------------------------------------------------------------------- BAID

    /// @inheritdoc IIdentityRegistry
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
            owner: _msgSender(),
            signerHash: keccak256(binding.signer),
            purpose: Signers.LOG,
            validFrom: binding.validFrom,
            validUntil: binding.validUntil,
            deadline: binding.deadline
        });
        _bindSigner(agentId, 0, first, binding.signer, binding.proof);
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
        _bindSigner(agentId, _changes[agentId].tenure, binding, signer, proof);
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
        _signers.bindUnchecked(_changes[agentId].tenure, binding, key, proof);
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
        _bindSigner(agentId, _changes[agentId].tenure, binding, newSigner, proof);
    }

    /// @inheritdoc IBindings
    function revokeSigner(uint256 agentId, bytes32 signerHash, uint48 compromisedAt) external {
        _requireAuthorized(agentId);
        _revokeSigner(agentId, signerHash, compromisedAt);
    }

    /// @inheritdoc IBindings
    function observeOwner(uint256 agentId) external view returns (address) {
        return _requireOwned(agentId);
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
        return (_changes[agentId].tenure, _changes[agentId].tenureSince);
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

    /// @inheritdoc IIdentityRegistry
    function isTrustedForwarder(address account) public view returns (bool) {
        return account == signedBindings || account == signedProfile || account == ownerRecovery;
    }

    // ----------------------------------------------------------------- shared

    /// @dev The authorisation check of every owner's action.
    function _requireAuthorized(uint256 agentId) private view returns (address owner) {
        owner = _ownerOf(agentId);
        _checkAuthorized(owner, _msgSender(), agentId);
    }

    /// @dev INVARIANT: nobody acts as somebody else, but for the three contracts that this one made (ERC-2771).
    function _msgSender() internal view override returns (address) {
        return isTrustedForwarder(msg.sender) ? Forwarded.sender() : msg.sender;
    }

    /// @dev Everything of a registration but the receiver's hook, which comes after all effects and events.
    function _register(string memory agentURI) private returns (uint256 agentId) {
        address sender = _msgSender();
        agentId = ++_lastAgentId;
        _mint(sender, agentId);
        AgentURI.write(agentId, 0, agentURI);

        emit Registered(agentId, agentURI, sender);
        emit MetadataSet(agentId, WALLET_KEY, WALLET_KEY, abi.encodePacked(sender));
    }

    function _askReceiver(uint256 agentId) private {
        address sender = _msgSender();
        ERC721Utils.checkOnERC721Received(sender, address(0), sender, agentId, "");
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
        if (_ownerOf(agentId) != address(0)) _endTenure(agentId);
        return super._update(to, agentId, auth);
    }

    /// @dev One slot, and from the second transfer on another one for the tenure that this one covers up.
    function _endTenure(uint256 agentId) private {
        Changes memory changes = _changes[agentId];
        if (changes.tenure != 0) _pastTenures[agentId][changes.tenure] = changes.tenureSince;
        // INVARIANT: a wallet that a former owner proved never receives for the new one, and no signer that it bound speaks.
        (changes.wallet, changes.isWalletChanged) = (address(0), true);
        changes.tenure++;
        changes.tenureSince = uint40(block.timestamp);
        _changes[agentId] = changes;

        emit MetadataSet(agentId, WALLET_KEY, WALLET_KEY, "");
    }

    /// @return the second (Unix) at which a tenure ended; 0 = it lasts
    function _tenureEndOf(uint256 agentId, uint24 tenure) private view returns (uint48) {
        uint24 present = _changes[agentId].tenure;
        if (tenure == present) return 0;
        return tenure + 1 == present ? _changes[agentId].tenureSince : _pastTenures[agentId][tenure + 1];
    }

    function _bindSigner(
        uint256 agentId,
        uint24 tenure,
        SignerBinding memory binding,
        bytes calldata signer,
        bytes calldata proof
    ) private {
        bytes32 digest = _hashTypedDataV4(StructHash.hash(binding));
        _signers.bind(agentId, tenure, binding, digest, signer, proof);
    }

    function _revokeSigner(uint256 agentId, bytes32 signerHash, uint48 compromisedAt) private {
        uint24 tenure = _signers.requireOf(agentId, signerHash);
        _signers.revoke(agentId, signerHash, compromisedAt, _tenureEndOf(agentId, tenure));
    }

    function _isWalletKey(string calldata metadataKey) private pure returns (bool) {
        return keccak256(bytes(metadataKey)) == keccak256(bytes(WALLET_KEY));
    }
}
