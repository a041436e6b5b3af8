// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC165} from "@openzeppelin/contracts/interfaces/IERC165.sol";
import {IERC4906} from "@openzeppelin/contracts/interfaces/IERC4906.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {ERC721Utils} from "@openzeppelin/contracts/token/ERC721/utils/ERC721Utils.sol";
import {IBindings} from "../interfaces/IBindings.sol";
import {IERC8004Identity} from "../interfaces/IERC8004Identity.sol";
import {IIdentityRegistry} from "../interfaces/IIdentityRegistry.sol";
import {CodeStorage, IContentSource} from "../libraries/CodeStorage.sol";
import {Forwarded} from "../libraries/Forwarded.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {StructHash} from "../libraries/StructHash.sol";
import {AgentWalletSet, SignerBinding} from "../libraries/Types.sol";
import {AgentURI} from "./AgentURI.sol";
import {Bindings} from "./Bindings.sol";
import {OwnerRecovery} from "./OwnerRecovery.sol";
import {SignedBindings} from "./SignedBindings.sol";
import {SignedProfile} from "./SignedProfile.sol";
import {Signers} from "./Signers.sol";

/// @title Agents: the ERC-8004 identity registry with BAID bindings
/// @notice Nobody owns it, nobody upgrades it. See contracts/identity/README.md.
contract IdentityRegistry is IERC4906, IERC8004Identity, IIdentityRegistry, IContentSource, ERC721, Bindings {
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

    constructor() ERC721("AgentIdentity", "AGENT") {
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
        if (binding.commitment != bytes32(0)) _commitFirst(agentId, binding.commitment);
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
    function observeOwner(uint256 agentId) external view returns (address) {
        return _requireOwned(agentId);
    }

    /// @inheritdoc IIdentityRegistry
    function isTrustedForwarder(address account) public view returns (bool) {
        return account == signedBindings || account == signedProfile || account == ownerRecovery;
    }

    // ----------------------------------------------------------------- shared

    /// @inheritdoc Bindings
    function _requireAuthorized(uint256 agentId) internal view override returns (address owner) {
        owner = _ownerOf(agentId);
        _checkAuthorized(owner, _msgSender(), agentId);
    }

    /// @inheritdoc Bindings
    function _observe(uint256 agentId) internal view override returns (address owner) {
        return _requireOwned(agentId);
    }

    /// @inheritdoc Bindings
    function _tenureNow(uint256 agentId) internal view override returns (uint24 tenure, uint40 since) {
        return (_changes[agentId].tenure, _changes[agentId].tenureSince);
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
        _keepTenure(agentId, changes.tenure, changes.tenureSince);
        // INVARIANT: a wallet that a former owner proved never receives for the new one, and no signer that it bound speaks.
        (changes.wallet, changes.isWalletChanged) = (address(0), true);
        changes.tenure++;
        changes.tenureSince = uint40(block.timestamp);
        _changes[agentId] = changes;

        emit MetadataSet(agentId, WALLET_KEY, WALLET_KEY, "");
    }

    function _isWalletKey(string calldata metadataKey) private pure returns (bool) {
        return keccak256(bytes(metadataKey)) == keccak256(bytes(WALLET_KEY));
    }
}
