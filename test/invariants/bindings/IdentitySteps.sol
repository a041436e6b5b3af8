// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC721} from "@openzeppelin/contracts/interfaces/IERC721.sol";
import {IdentityRegistry} from "../../../contracts/identity/IdentityRegistry.sol";
import {OwnerRecovery} from "../../../contracts/identity/OwnerRecovery.sol";
import {SignedBindings} from "../../../contracts/identity/SignedBindings.sol";
import {SignedProfile} from "../../../contracts/identity/SignedProfile.sol";
import {IBindings} from "../../../contracts/interfaces/IBindings.sol";
import {IERC8004Identity} from "../../../contracts/interfaces/IERC8004Identity.sol";
import {IIdentityRegistry} from "../../../contracts/interfaces/IIdentityRegistry.sol";
import {IOwnerRecovery} from "../../../contracts/interfaces/IOwnerRecovery.sol";
import {ISignedOrders} from "../../../contracts/interfaces/ISignedOrders.sol";
import {StructHash} from "../../../contracts/libraries/StructHash.sol";
import {AgentWalletSet, BindingUpdate, SignerBinding} from "../../../contracts/libraries/Types.sol";
import {vm, Log} from "../Vm.sol";
import {BindingsModel} from "./BindingsModel.sol";

/// @notice Acts as owners, operators, strangers, keys and thieves. It folds the registry's events, and nothing else,
/// into a model, and predicts from the model whether each call may succeed: a call that does otherwise fails the test.
abstract contract IdentitySteps is BindingsModel {
    uint256 public constant MAX_AGENTS = 4;
    string private constant KEY = "model";

    struct Agent {
        address owner;
        address wallet;
        bytes32 uriHash;
        bytes32 metadataHash;
        bytes32 commitment;
        uint64 version;
        bytes32 head;
        uint24 tenure;
    }
    /// What the guardians of an agent may do, and have begun.
    struct Recovery {
        uint8 threshold;
        uint32 delay;
        uint24 tenure;
        uint64 attempts;
        address newOwner;
        uint48 executableAt;
        uint24 pendingTenure;
    }

    /// Few, so that some are used twice.
    uint256 public constant NONCES = 4;
    IdentityRegistry public immutable registry;
    SignedBindings public immutable twins;
    SignedProfile public immutable profile;
    OwnerRecovery public immutable recovery;
    uint256 public agentCount;
    mapping(uint256 agentId => Agent) internal _agents;
    mapping(address owner => mapping(address operator => bool)) private _isOperator;
    mapping(uint256 agentId => Recovery) internal _recoveries;
    mapping(address emitter => mapping(bytes32 signerHash => mapping(uint256 nonce => bool))) internal _isUsed;

    constructor() {
        registry = new IdentityRegistry();
        twins = SignedBindings(registry.signedBindings());
        profile = SignedProfile(registry.signedProfile());
        recovery = OwnerRecovery(registry.ownerRecovery());
        _modelOf(registry);
    }

    // ------------------------------------------------------------- what happens

    function register(uint8 actor, uint8 uriLength) external {
        if (agentCount == MAX_AGENTS) return;
        string memory uri = string(new bytes(uriLength));
        _attempt(actorAt(actor), abi.encodeWithSignature("register(string)", uri), true);
    }

    function registerBound(uint8 actor, uint8 key, bytes32 commitment, uint16 length, uint8 fault) external {
        if (agentCount == MAX_AGENTS) return;
        address signer = signerAt(key);
        SignerBinding memory binding = SignerBinding({
            agentId: 0,
            owner: actorAt(_nextIf(fault % 8 == 1, actor)),
            signerHash: hashOf(signer),
            purpose: "LOG",
            validFrom: 0,
            validUntil: length == 0 ? 0 : uint48(_now + length),
            deadline: uint48(_now)
        });
        IBindings.InitialBinding memory initial = IBindings.InitialBinding({
            commitment: commitment,
            signer: abi.encodePacked(signer),
            validFrom: 0,
            validUntil: binding.validUntil,
            deadline: binding.deadline,
            proof: _sign(secretOf(_nextIf(fault % 8 == 2, key)), StructHash.hash(binding))
        });
        bool isFree = _signers[binding.signerHash].agentId == 0;
        bool isAccepted = isFree && fault % 8 != 1 && fault % 8 != 2;
        _attempt(actorAt(actor), abi.encodeCall(IIdentityRegistry.registerBound, ("bound", initial)), isAccepted);
        if (isAccepted) _requireBound(agentCount, binding);
    }

    function bind(uint8 agent, uint8 caller, uint8 key, uint8 purpose, uint8 from, uint8 until, uint8 fault) external {
        uint256 agentId = agentAt(agent);
        SignerBinding memory binding = _draftBinding(agentId, _agents[agentId].owner, key, purpose, from, until, fault);
        bytes32 signed = fault % 8 == 3 ? _hashForAnother(binding) : StructHash.hash(binding);
        bool isProven = fault % 8 == 0 || fault % 8 > 3;
        bytes memory proof = _sign(secretOf(_nextIf(fault % 8 == 2, key)), signed);
        bool isAccepted = _mayAct(caller, agentId) && isProven && _isFree(binding) && _hasInside(binding);
        bytes memory input = _encodeBind(binding, abi.encodePacked(signerAt(key)), proof);
        _attempt(actorAt(caller), input, isAccepted);
        if (isAccepted) _requireBound(agentId, binding);
    }

    function rotate(uint8 agent, uint8 caller, uint8 oldKey, uint8 newKey, uint8 until, uint8 fault) external {
        uint256 agentId = agentAt(agent);
        bytes32 oldHash = hashOf(signerAt(oldKey));
        Signer memory old = _signers[oldHash];
        SignerBinding memory binding = _draftRotation(
            agentId,
            _agents[agentId].owner,
            newKey,
            fault % 8 == 1 ? bytes32("OPERATOR") : old.purpose,
            until
        );
        bytes memory proof = _sign(secretOf(_nextIf(fault % 8 == 2, newKey)), StructHash.hash(binding));
        bool isAccepted = binding.purpose == old.purpose && fault % 8 != 2;
        isAccepted = isAccepted && _mayAct(caller, agentId) && _isInOffice(agentId, old);
        isAccepted = isAccepted && _isFree(binding) && _hasInside(binding);
        _attempt(
            actorAt(caller),
            _encodeRotate(binding, oldHash, abi.encodePacked(signerAt(newKey)), proof),
            isAccepted
        );
        if (!isAccepted) return;
        _requireBound(agentId, binding);
        require(_signers[oldHash].invalidFrom == _now, "rotation left the old signer in office");
    }

    function revoke(uint8 agent, uint8 caller, uint8 key, uint8 ago) external {
        uint256 agentId = agentAt(agent);
        (bytes32 signerHash, uint48 compromisedAt, uint256 end, bool isDue) = _draftRevocation(key, ago);
        bool isMine = agentId != 0 && _signers[signerHash].agentId == agentId;
        bool isAccepted = _mayAct(caller, agentId) && isMine && isDue;
        _attempt(
            actorAt(caller),
            abi.encodeCall(IBindings.revokeSigner, (agentId, signerHash, compromisedAt)),
            isAccepted
        );
        if (isAccepted) require(_signers[signerHash].invalidFrom == end, "revoked at another second");
    }

    function updateCommitment(uint8 agent, uint8 relayer, uint8 author, bytes32 delta, uint8 fault) external {
        uint256 agentId = agentAt(agent);
        Agent memory model = _agents[agentId];
        BindingUpdate memory update = BindingUpdate({
            agentId: agentId,
            version: model.version + (fault % 8 == 1 ? 0 : 1),
            previous: fault % 8 == 2 ? keccak256(abi.encode(model.head)) : model.head,
            delta: delta,
            deadline: uint48(fault % 8 == 3 ? _now - 1 : _now)
        });
        bytes memory signature = _sign(actorSecret(author), StructHash.hash(update));
        bool isAccepted =
            agentId != 0 && actorAt(author) == model.owner && delta != 0 && (fault % 8 == 0 || fault % 8 > 3);
        _attempt(
            actorAt(relayer),
            abi.encodeCall(IBindings.updateCommitment, (agentId, update.version, delta, update.deadline, signature)),
            isAccepted
        );
        if (!isAccepted) return;
        bytes32 head = model.version == 0 ? delta : keccak256(abi.encode(model.head, delta, keccak256(signature)));
        require(_agents[agentId].head == head, "head is not eq. 10");
    }

    function setWallet(uint8 agent, uint8 caller, uint8 key, uint16 delay, uint8 fault) external {
        uint256 agentId = agentAt(agent);
        AgentWalletSet memory consent = AgentWalletSet({
            agentId: agentId,
            newWallet: signerAt(key),
            owner: fault % 8 == 1 ? address(this) : _agents[agentId].owner,
            deadline: _now + (delay % 400)
        });
        bytes memory signature = _sign(secretOf(_nextIf(fault % 8 == 2, key)), StructHash.hash(consent));
        bool isConsent = fault % 8 != 1 && fault % 8 != 2 && delay % 400 <= 300;
        bool isAccepted = _mayAct(caller, agentId) && isConsent;
        _attempt(
            actorAt(caller),
            abi.encodeCall(IERC8004Identity.setAgentWallet, (agentId, consent.newWallet, consent.deadline, signature)),
            isAccepted
        );
        if (isAccepted) require(_agents[agentId].wallet == consent.newWallet, "another wallet");
    }

    function unsetWallet(uint8 agent, uint8 caller) external {
        uint256 agentId = agentAt(agent);
        bool isAccepted = _mayAct(caller, agentId);
        _attempt(actorAt(caller), abi.encodeCall(IERC8004Identity.unsetAgentWallet, (agentId)), isAccepted);
        if (isAccepted) require(_agents[agentId].wallet == address(0), "wallet left");
    }

    function setURI(uint8 agent, uint8 caller, uint8 length, bytes32 seed) external {
        uint256 agentId = agentAt(agent);
        bytes memory uri = new bytes(length);
        for (uint256 i = 0; i < uri.length; ++i) uri[i] = seed[i % 32];
        bool isAccepted = _mayAct(caller, agentId);
        _attempt(actorAt(caller), abi.encodeCall(IERC8004Identity.setAgentURI, (agentId, string(uri))), isAccepted);
    }

    function setMetadata(uint8 agent, uint8 caller, bytes32 value, bool isReserved) external {
        uint256 agentId = agentAt(agent);
        string memory key = isReserved ? "agentWallet" : KEY;
        _attempt(
            actorAt(caller),
            abi.encodeCall(IERC8004Identity.setMetadata, (agentId, key, abi.encode(value))),
            _mayAct(caller, agentId) && !isReserved
        );
    }

    function transfer(uint8 agent, uint8 caller, uint8 to) external {
        uint256 agentId = agentAt(agent);
        address owner = _agents[agentId].owner;
        bool isAccepted = _mayAct(caller, agentId);
        _attempt(actorAt(caller), abi.encodeCall(IERC721.transferFrom, (owner, actorAt(to), agentId)), isAccepted);
        if (isAccepted) require(_agents[agentId].wallet == address(0), "the wallet went along with the agent");
    }

    function setOperator(uint8 actor, uint8 operator, bool isApproved) external {
        address owner = actorAt(actor);
        bytes memory input = abi.encodeCall(IERC721.setApprovalForAll, (actorAt(operator), isApproved));
        _attempt(owner, input, true);
    }

    // ------------------------------------------------------------ what was seen

    function agentOf(uint256 agentId) external view returns (Agent memory) {
        return _agents[agentId];
    }

    /// @dev What is under way for the present owner; what concerned a former one counts as nothing.
    function pendingOf(uint256 agentId) public view returns (Recovery memory plan) {
        plan = _recoveries[agentId];
        if (plan.pendingTenure != _agents[agentId].tenure) (plan.newOwner, plan.executableAt) = (address(0), 0);
        if (plan.tenure != _agents[agentId].tenure) (plan.threshold, plan.delay) = (0, 0);
    }

    function isUsed(address part, bytes32 signerHash, uint256 nonce) external view returns (bool) {
        return _isUsed[part][signerHash][nonce];
    }

    /// @dev The id 0 is drawn too: nobody owns it.
    function agentAt(uint8 seed) public view returns (uint256) {
        return seed % (agentCount + 1);
    }

    // ------------------------------------------------------------------- inside

    function _attempt(address caller, bytes memory input, bool isAccepted) internal {
        _attemptOn(address(registry), caller, input, isAccepted);
    }

    function _attemptOn(address target, address caller, bytes memory input, bool isAccepted) internal {
        vm.warp(_now);
        vm.recordLogs();
        vm.prank(caller);
        (bool isOk, ) = target.call(input);
        Log[] memory logs = vm.getRecordedLogs();
        require(isOk == isAccepted, isOk ? "accepted without authority" : "refused although rightful");
        if (!isOk) return;
        acceptedCount++;
        for (uint256 i = 0; i < logs.length; ++i) _fold(logs[i]);
    }

    function _mayAct(uint8 caller, uint256 agentId) internal view returns (bool) {
        address owner = _agents[agentId].owner;
        return owner != address(0) && (actorAt(caller) == owner || _isOperator[owner][actorAt(caller)]);
    }

    function _fold(Log memory log) private {
        if (log.emitter != address(registry)) return _foldPart(log);
        bytes32 topic = log.topics[0];
        if (topic == IERC721.ApprovalForAll.selector) {
            address operator = address(uint160(uint256(log.topics[2])));
            _isOperator[address(uint160(uint256(log.topics[1])))][operator] = abi.decode(log.data, (bool));
            return;
        }
        if (topic == IERC721.Transfer.selector) {
            uint256 id = uint256(log.topics[3]);
            if (log.topics[1] == 0) require(id == ++agentCount, "ids do not follow one another");
            else _endTenure(id);
            _agents[id].owner = address(uint160(uint256(log.topics[2])));
            return;
        }
        // ERC-4906 announces a change that another event carries.
        if (topic == keccak256("MetadataUpdate(uint256)")) return;
        uint256 agentId = uint256(log.topics[1]);
        require(_agents[agentId].owner != address(0), "event of an agent that nobody owns");
        if (topic == IERC8004Identity.Registered.selector || topic == IERC8004Identity.URIUpdated.selector) {
            _agents[agentId].uriHash = keccak256(bytes(abi.decode(log.data, (string))));
        } else if (topic == IERC8004Identity.MetadataSet.selector) {
            (string memory key, bytes memory value) = abi.decode(log.data, (string, bytes));
            require(log.topics[2] == keccak256(bytes(key)), "indexed key");
            if (log.topics[2] == keccak256("agentWallet")) _agents[agentId].wallet = address(bytes20(value));
            else _agents[agentId].metadataHash = keccak256(value);
        } else if (topic == IBindings.CommitmentUpdated.selector) {
            _foldCommitment(agentId, uint64(uint256(log.topics[2])), log.data);
        } else {
            _foldSigner(agentId, log);
        }
    }

    function _foldPart(Log memory log) private {
        if (log.topics[0] == ISignedOrders.NonceUsed.selector) {
            uint256 nonce = abi.decode(log.data, (uint256));
            require(!_isUsed[log.emitter][log.topics[1]][nonce], "a nonce used twice");
            _isUsed[log.emitter][log.topics[1]][nonce] = true;
            return;
        }
        require(log.emitter == address(recovery), "foreign event");
        Recovery storage plan = _recoveries[uint256(log.topics[1])];
        if (log.topics[0] == IOwnerRecovery.RecoverySet.selector) {
            (plan.tenure, plan.threshold, plan.delay) = abi.decode(log.data, (uint24, uint8, uint32));
        } else if (log.topics[0] == IOwnerRecovery.RecoveryStarted.selector) {
            uint64 attempt;
            (attempt, plan.pendingTenure, plan.executableAt) = abi.decode(log.data, (uint64, uint24, uint48));
            require(attempt == plan.attempts++, "attempts do not follow one another");
            plan.newOwner = address(uint160(uint256(log.topics[2])));
        } else {
            (plan.newOwner, plan.executableAt) = (address(0), 0);
        }
    }

    function _endTenure(uint256 agentId) private {
        _agents[agentId].tenure++;
        _endSigners(agentId);
    }

    function _foldCommitment(uint256 agentId, uint64 version, bytes memory body) private {
        Agent storage model = _agents[agentId];
        require(version == model.version + 1, "versions do not follow one another");
        model.version = version;
        (model.head, model.commitment, ) = abi.decode(body, (bytes32, bytes32, bytes));
    }
}
