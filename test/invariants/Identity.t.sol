// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC721} from "@openzeppelin/contracts/interfaces/IERC721.sol";
import {IdentityRegistry} from "../../contracts/identity/IdentityRegistry.sol";
import {OwnerRecovery} from "../../contracts/identity/OwnerRecovery.sol";
import {SignedBindings} from "../../contracts/identity/SignedBindings.sol";
import {SignedProfile} from "../../contracts/identity/SignedProfile.sol";
import {SignerRecord, Signers} from "../../contracts/identity/Signers.sol";
import {IBindings} from "../../contracts/interfaces/IBindings.sol";
import {IERC8004Identity} from "../../contracts/interfaces/IERC8004Identity.sol";
import {IIdentityRegistry} from "../../contracts/interfaces/IIdentityRegistry.sol";
import {IOwnerRecovery} from "../../contracts/interfaces/IOwnerRecovery.sol";
import {ISignedBindings} from "../../contracts/interfaces/ISignedBindings.sol";
import {ISignedOrders} from "../../contracts/interfaces/ISignedOrders.sol";
import {ISignedProfile} from "../../contracts/interfaces/ISignedProfile.sol";
import {CodeStorage, IContentSource} from "../../contracts/libraries/CodeStorage.sol";
import {StructHash} from "../../contracts/libraries/StructHash.sol";
import {
    AgentTransfer,
    AgentWalletSet,
    BindingUpdate,
    OwnerChange,
    SignerBinding,
    SignerGrant,
    SignerRevocation
} from "../../contracts/libraries/Types.sol";
import {vm, Log} from "./Vm.sol";

/// @notice Acts as owners, operators, strangers, keys and thieves. It folds the registry's events, and nothing else,
/// into a model, and predicts from the model whether each call may succeed: a call that does otherwise fails the test.
contract IdentityHandler {
    uint256 public constant ACTORS = 3;
    uint256 public constant KEYS = 7;
    uint256 public constant MAX_AGENTS = 4;
    uint256 private constant MAX_SAMPLES = 24;
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
    struct Signer {
        uint256 agentId;
        bytes32 purpose;
        uint48 validFrom;
        uint48 validUntil;
        uint48 invalidFrom;
        /// Second at which the agent left the owner who bound it; 0 = it has not.
        uint48 tenureEnd;
    }
    /// A moment at which the registry called a signer valid.
    struct Sample {
        uint256 agentId;
        bytes32 signerHash;
        bytes32 purpose;
        uint256 time;
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
    uint256 public acceptedCount;
    Sample[] private _samples;
    bytes32 private immutable _domainSeparator;
    uint256 private _now;
    mapping(uint256 agentId => Agent) private _agents;
    mapping(bytes32 signerHash => Signer) private _signers;
    mapping(address owner => mapping(address operator => bool)) private _isOperator;
    mapping(uint256 agentId => Recovery) private _recoveries;
    mapping(address emitter => mapping(bytes32 signerHash => mapping(uint256 nonce => bool))) private _isUsed;

    constructor() {
        registry = new IdentityRegistry();
        twins = SignedBindings(registry.signedBindings());
        profile = SignedProfile(registry.signedProfile());
        recovery = OwnerRecovery(registry.ownerRecovery());
        _now = block.timestamp + 1_000;
        _domainSeparator = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("ERC8004IdentityRegistry"),
                keccak256("1"),
                block.chainid,
                address(registry)
            )
        );
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
        SignerBinding memory binding = SignerBinding({
            agentId: agentId,
            owner: _agents[agentId].owner,
            signerHash: hashOf(signerAt(key)),
            purpose: purposeAt(purpose),
            validFrom: from < 128 ? 0 : uint48(_now + from - 160),
            validUntil: until < 128 ? 0 : uint48(_now + until - 140),
            deadline: uint48(fault % 8 == 1 ? _now - 1 : _now)
        });
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
        SignerBinding memory binding = SignerBinding({
            agentId: agentId,
            owner: _agents[agentId].owner,
            signerHash: hashOf(signerAt(newKey)),
            purpose: fault % 8 == 1 ? bytes32("OPERATOR") : old.purpose,
            validFrom: 0,
            validUntil: until < 128 ? 0 : uint48(_now + until - 140),
            deadline: uint48(_now)
        });
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
        bytes32 signerHash = hashOf(signerAt(key));
        Signer memory signer = _signers[signerHash];
        uint48 compromisedAt = ago < 64 ? 0 : uint48(_now + 80 - ago);
        uint256 end = compromisedAt == 0 ? _now : compromisedAt;
        bool isWithin =
            end <= _now &&
                (compromisedAt == 0 || end >= signer.validFrom) &&
                (signer.validUntil == 0 || end < signer.validUntil);
        bool isMine = agentId != 0 && signer.agentId == agentId && signer.tenureEnd == 0;
        bool isAccepted = _mayAct(caller, agentId) && isMine && signer.invalidFrom == 0 && isWithin;
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

    function passTime(uint8 secondsLater) external {
        _now += secondsLater;
    }

    function passHours(uint8 hoursLater) external {
        _now += uint256(hoursLater % 32) * 1 hours;
    }

    // ---------------------------------------------------- by signature, by guardians

    /// @dev Authors are actors and keys: owners, strangers, and signers of every purpose.
    function bindBySignature(uint8 agent, uint8 author, uint8 key, uint8 purpose, uint8 nonce, uint8 fault) external {
        uint256 agentId = agentAt(agent);
        SignerBinding memory binding = SignerBinding({
            agentId: agentId,
            owner: _agents[agentId].owner,
            signerHash: hashOf(signerAt(key)),
            purpose: purposeAt(purpose),
            validFrom: 0,
            validUntil: 0,
            deadline: uint48(_now)
        });
        SignerGrant memory order = SignerGrant({
            agentId: agentId,
            signerHash: binding.signerHash,
            purpose: binding.purpose,
            validFrom: 0,
            validUntil: 0,
            nonce: nonce % NONCES,
            deadline: uint48(fault % 8 == 1 ? _now - 1 : _now)
        });
        ISignedOrders.Consent memory consent = _consent(author, StructHash.hash(order), order.nonce, order.deadline);
        if (fault % 8 == 2) consent.nonce = (consent.nonce + 1) % NONCES;
        bool isAccepted =
            _mayOrder(author, agentId, purpose % 4 < 2) &&
                _isFree(binding) &&
                fault % 8 != 1 &&
                fault % 8 != 2 &&
                !_isUsed[address(twins)][keccak256(consent.signer)][order.nonce];
        ISignedBindings.NewSigner memory offer = ISignedBindings.NewSigner({
            signer: abi.encodePacked(signerAt(key)),
            purpose: binding.purpose,
            validFrom: 0,
            validUntil: 0,
            deadline: binding.deadline,
            proof: _sign(secretOf(key), StructHash.hash(binding))
        });
        bytes memory input = abi.encodeCall(ISignedBindings.bindSignerWithSignature, (agentId, offer, consent));
        _attemptOn(address(twins), address(this), input, isAccepted);
        if (isAccepted) _requireBound(agentId, binding);
    }

    function revokeBySignature(uint8 agent, uint8 author, uint8 key, uint8 nonce) external {
        uint256 agentId = agentAt(agent);
        bytes32 signerHash = hashOf(signerAt(key));
        Signer memory signer = _signers[signerHash];
        SignerRevocation memory order = SignerRevocation({
            agentId: agentId,
            signerHash: signerHash,
            compromisedAt: 0,
            nonce: nonce % NONCES,
            deadline: uint48(_now)
        });
        ISignedOrders.Consent memory consent = _consent(author, StructHash.hash(order), order.nonce, order.deadline);
        bool isOperable = signer.purpose == "LOG" || signer.purpose == "TRANSPORT";
        bool isAccepted =
            _mayOrder(author, agentId, isOperable) &&
                _isInOffice(agentId, signer) &&
                !_isUsed[address(twins)][keccak256(consent.signer)][order.nonce];
        bytes memory input = abi.encodeCall(
            ISignedBindings.revokeSignerWithSignature,
            (agentId, signerHash, 0, consent)
        );
        _attemptOn(address(twins), address(this), input, isAccepted);
        if (isAccepted) require(_signers[signerHash].invalidFrom == _now, "revoked at another second");
    }

    function transferBySignature(uint8 agent, uint8 author, uint8 to, uint8 nonce) external {
        uint256 agentId = agentAt(agent);
        AgentTransfer memory order = AgentTransfer({
            agentId: agentId,
            to: actorAt(to),
            nonce: nonce % NONCES,
            deadline: uint48(_now)
        });
        ISignedOrders.Consent memory consent = _consent(author, StructHash.hash(order), order.nonce, order.deadline);
        bool isAccepted =
            _mayOrder(author, agentId, false) && !_isUsed[address(profile)][keccak256(consent.signer)][order.nonce];
        bytes memory input = abi.encodeCall(ISignedProfile.transferWithSignature, (agentId, actorAt(to), consent));
        _attemptOn(address(profile), address(this), input, isAccepted);
    }

    function updateAsOperator(uint8 agent, uint8 key, bytes32 delta) external {
        uint256 agentId = agentAt(agent);
        Agent memory model = _agents[agentId];
        BindingUpdate memory update = BindingUpdate({
            agentId: agentId,
            version: model.version + 1,
            previous: model.head,
            delta: delta,
            deadline: uint48(_now)
        });
        bytes memory input = abi.encodeCall(
            IBindings.updateCommitmentAsOperator,
            (
                agentId,
                update.version,
                delta,
                update.deadline,
                abi.encodePacked(signerAt(key)),
                _sign(secretOf(key), StructHash.hash(update))
            )
        );
        bool isAccepted = delta != 0 && _speaksNow(key, agentId, "OPERATOR");
        _attempt(address(this), input, isAccepted);
    }

    function setRecovery(uint8 agent, uint8 caller, uint8 threshold) external {
        uint256 agentId = agentAt(agent);
        uint8 wanted = threshold % 3;
        bytes memory input = abi.encodeCall(
            IOwnerRecovery.setRecovery,
            (agentId, wanted, wanted == 0 ? uint32(0) : uint32(1 days))
        );
        _attemptOn(address(recovery), actorAt(caller), input, _mayAct(caller, agentId));
    }

    /// @dev One or two votes, of keys of every purpose and none.
    function startRecovery(uint8 agent, uint8 to, uint8 first, uint8 second, bool isAlone) external {
        uint256 agentId = agentAt(agent);
        Agent memory model = _agents[agentId];
        Recovery memory plan = _recoveries[agentId];
        OwnerChange memory change = OwnerChange({
            agentId: agentId,
            owner: model.owner,
            newOwner: actorAt(to),
            attempt: plan.attempts,
            deadline: uint48(_now)
        });
        if (hashOf(signerAt(first)) > hashOf(signerAt(second))) (first, second) = (second, first);
        IOwnerRecovery.Vote[] memory votes = new IOwnerRecovery.Vote[](isAlone ? 1 : 2);
        votes[0] = _vote(first, change);
        if (!isAlone) votes[1] = _vote(second, change);
        bool isAccepted =
            model.owner != address(0) &&
                plan.threshold == votes.length &&
                plan.tenure == model.tenure &&
                actorAt(to) != model.owner &&
                _speaksNow(first, agentId, "RECOVERY") &&
                (isAlone || (signerAt(first) != signerAt(second) && _speaksNow(second, agentId, "RECOVERY")));
        bytes memory input = abi.encodeCall(
            IOwnerRecovery.startRecovery,
            (agentId, change.newOwner, change.deadline, votes)
        );
        _attemptOn(address(recovery), address(this), input, isAccepted);
    }

    function cancelRecovery(uint8 agent, uint8 caller) external {
        uint256 agentId = agentAt(agent);
        bytes memory input = abi.encodeCall(IOwnerRecovery.cancelRecovery, (agentId));
        _attemptOn(
            address(recovery),
            actorAt(caller),
            input,
            _mayAct(caller, agentId) && pendingOf(agentId).newOwner != address(0)
        );
    }

    function executeRecovery(uint8 agent) external {
        uint256 agentId = agentAt(agent);
        Recovery memory plan = pendingOf(agentId);
        bool isAccepted = plan.newOwner != address(0) && _now >= plan.executableAt;
        bytes memory input = abi.encodeCall(IOwnerRecovery.executeRecovery, (agentId));
        _attemptOn(address(recovery), address(this), input, isAccepted);
        if (isAccepted) require(_agents[agentId].owner == plan.newOwner, "recovered for somebody else");
    }

    /// @dev Remembers a moment, past or present, at which a signer counted.
    function observe(uint8 key, uint8 ago) external {
        vm.warp(_now);
        bytes32 signerHash = hashOf(signerAt(key));
        Signer memory signer = _signers[signerHash];
        uint256 time = _now - ago;
        if (_samples.length == MAX_SAMPLES) return;
        if (!registry.isSignerValidAt(signer.agentId, signerHash, signer.purpose, time)) return;
        _samples.push(Sample(signer.agentId, signerHash, signer.purpose, time));
    }

    // ------------------------------------------------------------ what was seen

    function warp() external returns (uint256) {
        vm.warp(_now);
        return _now;
    }

    function agentOf(uint256 agentId) external view returns (Agent memory) {
        return _agents[agentId];
    }

    function signerOf(bytes32 signerHash) external view returns (Signer memory) {
        return _signers[signerHash];
    }

    /// @dev First second from which it does not count, by revocation or transfer; 0 = neither.
    function endOf(bytes32 signerHash) external view returns (uint48) {
        Signer memory signer = _signers[signerHash];
        if (signer.invalidFrom == 0 || signer.tenureEnd == 0) return signer.invalidFrom + signer.tenureEnd;
        return signer.invalidFrom < signer.tenureEnd ? signer.invalidFrom : signer.tenureEnd;
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

    function samples() external view returns (Sample[] memory) {
        return _samples;
    }

    /// @dev The id 0 is drawn too: nobody owns it.
    function agentAt(uint8 seed) public view returns (uint256) {
        return seed % (agentCount + 1);
    }

    function actorAt(uint8 seed) public pure returns (address) {
        return vm.addr(actorSecret(seed));
    }

    function actorSecret(uint8 seed) public pure returns (uint256) {
        return 0xac70_0000 + (seed % ACTORS);
    }

    function secretOf(uint8 seed) public pure returns (uint256) {
        return 0x5160_0000 + (seed % KEYS);
    }

    function signerAt(uint8 seed) public pure returns (address) {
        return vm.addr(secretOf(seed));
    }

    function hashOf(address signer) public pure returns (bytes32) {
        return keccak256(abi.encodePacked(signer));
    }

    function purposeAt(uint8 seed) public pure returns (bytes32) {
        return [bytes32("LOG"), bytes32("TRANSPORT"), bytes32("OPERATOR"), bytes32("RECOVERY")][seed % 4];
    }

    // ------------------------------------------------------------------- inside

    function _attempt(address caller, bytes memory input, bool isAccepted) private {
        _attemptOn(address(registry), caller, input, isAccepted);
    }

    function _attemptOn(address target, address caller, bytes memory input, bool isAccepted) private {
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

    function _mayAct(uint8 caller, uint256 agentId) private view returns (bool) {
        address owner = _agents[agentId].owner;
        return owner != address(0) && (actorAt(caller) == owner || _isOperator[owner][actorAt(caller)]);
    }

    /// @dev Seeds below 128 are actors, the others keys.
    function _authorSecret(uint8 author) private pure returns (uint256) {
        return author < 128 ? actorSecret(author) : secretOf(author);
    }

    function _mayOrder(uint8 author, uint256 agentId, bool mayOperate) private view returns (bool) {
        if (_agents[agentId].owner == address(0)) return false;
        if (vm.addr(_authorSecret(author)) == _agents[agentId].owner) return true;
        return mayOperate && author >= 128 && _speaksNow(author, agentId, "OPERATOR");
    }

    function _speaksNow(uint8 key, uint256 agentId, bytes32 purpose) private view returns (bool) {
        Signer memory signer = _signers[hashOf(signerAt(key))];
        return _isInOffice(agentId, signer) && signer.purpose == purpose && signer.validFrom <= _now;
    }

    function _consent(
        uint8 author,
        bytes32 structHash,
        uint256 nonce,
        uint48 deadline
    ) private view returns (ISignedOrders.Consent memory) {
        uint256 secret = _authorSecret(author);
        return
            ISignedOrders.Consent({
                signer: abi.encodePacked(vm.addr(secret)),
                nonce: nonce,
                deadline: deadline,
                signature: _sign(secret, structHash)
            });
    }

    function _vote(uint8 key, OwnerChange memory change) private view returns (IOwnerRecovery.Vote memory) {
        return
            IOwnerRecovery.Vote({
                signer: abi.encodePacked(signerAt(key)),
                signature: _sign(secretOf(key), StructHash.hash(change))
            });
    }

    /// @dev A neighbour's seed, where asked: another key, or another actor.
    function _nextIf(bool isNext, uint8 seed) private pure returns (uint8) {
        if (!isNext) return seed;
        return seed == type(uint8).max ? seed - 1 : seed + 1;
    }

    function _isFree(SignerBinding memory binding) private view returns (bool) {
        return _signers[binding.signerHash].agentId == 0;
    }

    function _hasInside(SignerBinding memory binding) private view returns (bool) {
        uint256 begin = binding.validFrom == 0 ? _now : binding.validFrom;
        return begin >= _now && (binding.validUntil == 0 || binding.validUntil > begin);
    }

    function _isInOffice(uint256 agentId, Signer memory signer) private view returns (bool) {
        bool isMine = agentId != 0 && signer.agentId == agentId && signer.tenureEnd == 0;
        return isMine && signer.invalidFrom == 0 && (signer.validUntil == 0 || _now < signer.validUntil);
    }

    function _encodeBind(
        SignerBinding memory binding,
        bytes memory signer,
        bytes memory proof
    ) private pure returns (bytes memory) {
        return
            abi.encodeWithSelector(
                IBindings.bindSigner.selector,
                binding.agentId,
                signer,
                binding.purpose,
                binding.validFrom,
                binding.validUntil,
                binding.deadline,
                proof
            );
    }

    function _encodeRotate(
        SignerBinding memory binding,
        bytes32 oldHash,
        bytes memory signer,
        bytes memory proof
    ) private pure returns (bytes memory) {
        return
            abi.encodeCall(
                IBindings.rotateSigner,
                (binding.agentId, oldHash, signer, binding.validUntil, binding.deadline, proof)
            );
    }

    /// @dev The record is what the caller asked for and the signer signed.
    function _requireBound(uint256 agentId, SignerBinding memory binding) private view {
        Signer memory signer = _signers[binding.signerHash];
        require(signer.agentId == agentId && signer.purpose == binding.purpose, "bound to another agent or purpose");
        require(signer.validFrom == (binding.validFrom == 0 ? _now : binding.validFrom), "another start");
        require(signer.validUntil == binding.validUntil && signer.invalidFrom == 0, "another end");
    }

    function _hashForAnother(SignerBinding memory binding) private pure returns (bytes32) {
        return
            StructHash.hash(
                SignerBinding({
                    agentId: binding.agentId + 1,
                    owner: binding.owner,
                    signerHash: binding.signerHash,
                    purpose: binding.purpose,
                    validFrom: binding.validFrom,
                    validUntil: binding.validUntil,
                    deadline: binding.deadline
                })
            );
    }

    function _sign(uint256 secret, bytes32 structHash) private view returns (bytes memory) {
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", _domainSeparator, structHash));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(secret, digest);
        return abi.encodePacked(r, s, v);
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
            else _endSigners(id);
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

    function _foldCommitment(uint256 agentId, uint64 version, bytes memory body) private {
        Agent storage model = _agents[agentId];
        require(version == model.version + 1, "versions do not follow one another");
        model.version = version;
        (model.head, model.commitment, ) = abi.decode(body, (bytes32, bytes32, bytes));
    }

    function _endSigners(uint256 agentId) private {
        _agents[agentId].tenure++;
        for (uint8 key = 0; key < KEYS; ++key) {
            Signer storage signer = _signers[hashOf(signerAt(key))];
            if (signer.agentId == agentId && signer.tenureEnd == 0) signer.tenureEnd = uint48(_now);
        }
    }

    function _foldSigner(uint256 agentId, Log memory log) private {
        Signer storage signer = _signers[log.topics[2]];
        if (log.topics[0] == IBindings.SignerRevoked.selector) {
            require(signer.agentId == agentId && signer.invalidFrom == 0, "revoked twice, or another's");
            signer.invalidFrom = abi.decode(log.data, (uint48));
            return;
        }
        require(log.topics[0] == IBindings.SignerBound.selector, "unknown event");
        require(signer.agentId == 0, "bound twice");
        bytes memory signerBytes;
        (signer.agentId, signer.purpose) = (agentId, log.topics[3]);
        (signerBytes, signer.validFrom, signer.validUntil) = abi.decode(log.data, (bytes, uint48, uint48));
        require(keccak256(signerBytes) == log.topics[2], "signer bytes");
    }
}

contract IdentityInvariants {
    IdentityHandler private _handler;
    IdentityRegistry private _registry;

    function setUp() public {
        _handler = new IdentityHandler();
        _registry = _handler.registry();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    /// Whoever folds the events knows the storage: owners, wallets, URIs, metadata, commitments, signers.
    function invariant_FoldedEventsAreTheStorage() public view {
        for (uint256 agentId = 1; agentId <= _handler.agentCount(); ++agentId) {
            IdentityHandler.Agent memory model = _handler.agentOf(agentId);
            require(_registry.ownerOf(agentId) == model.owner, "owner");
            require(_registry.getAgentWallet(agentId) == model.wallet, "wallet");
            (uint24 tenure, ) = _registry.tenureOf(agentId);
            require(tenure == model.tenure, "tenure");
            require(address(bytes20(_registry.getMetadata(agentId, "agentWallet"))) == model.wallet, "wallet's key");
            require(keccak256(bytes(_registry.tokenURI(agentId))) == model.uriHash, "URI");
            bytes memory value = _registry.getMetadata(agentId, "model");
            require(value.length == 0 ? model.metadataHash == 0 : keccak256(value) == model.metadataHash, "metadata");
            (bytes32 commitment, uint64 version, bytes32 head) = _registry.commitmentOf(agentId);
            require(commitment == model.commitment && version == model.version && head == model.head, "chain");
        }
        for (uint8 key = 0; key < _handler.KEYS(); ++key) {
            bytes32 signerHash = _handler.hashOf(_handler.signerAt(key));
            IdentityHandler.Signer memory model = _handler.signerOf(signerHash);
            (uint256 agentId, bytes32 purpose, uint48 from, uint48 until, uint48 invalidFrom) = _registry.signerOf(
                signerHash
            );
            require(agentId == model.agentId && purpose == model.purpose, "signer's agent and purpose");
            require(from == model.validFrom && until == model.validUntil, "signer's window");
            require(invalidFrom == _handler.endOf(signerHash), "signer's end");
            require(_registry.agentOfSigner(signerHash) == agentId, "agent of signer");
        }
    }

    /// Folding the events of the parts gives theirs: nonces, recoveries asked for and under way.
    function invariant_FoldedEventsAreTheStorageOfTheParts() public view {
        for (uint256 agentId = 1; agentId <= _handler.agentCount(); ++agentId) {
            IdentityHandler.Recovery memory model = _handler.pendingOf(agentId);
            (uint8 threshold, uint32 delay, uint64 attempt) = _handler.recovery().recoveryOf(agentId);
            require(threshold == model.threshold && delay == model.delay, "recovery asked for");
            require(attempt == model.attempts, "attempts");
            (address newOwner, uint48 executableAt) = _handler.recovery().pendingOf(agentId);
            require(newOwner == model.newOwner && executableAt == model.executableAt, "recovery under way");
        }
        for (uint8 author = 0; author < _handler.ACTORS() + _handler.KEYS(); ++author) {
            bool isActor = author < _handler.ACTORS();
            bytes32 hash = _handler.hashOf(isActor ? _handler.actorAt(author) : _handler.signerAt(author));
            for (uint256 nonce = 0; nonce < _handler.NONCES(); ++nonce) {
                SignedBindings twins = _handler.twins();
                SignedProfile profile = _handler.profile();
                require(twins.isNonceUsed(hash, nonce) == _handler.isUsed(address(twins), hash, nonce), "nonce");
                require(profile.isNonceUsed(hash, nonce) == _handler.isUsed(address(profile), hash, nonce), "nonce");
            }
        }
    }

    /// A signer is valid for at most one agent and purpose, and it is as its window says.
    function invariant_SignerSpeaksForOneAgentAndPurpose() public {
        uint256 time = _handler.warp();
        for (uint8 key = 0; key < _handler.KEYS(); ++key) {
            bytes32 signerHash = _handler.hashOf(_handler.signerAt(key));
            IdentityHandler.Signer memory model = _handler.signerOf(signerHash);
            uint256 validCount = 0;
            for (uint256 agentId = 0; agentId <= _handler.agentCount(); ++agentId) {
                for (uint8 i = 0; i < 4; ++i) {
                    if (_registry.isSignerValidAt(agentId, signerHash, _handler.purposeAt(i), time)) validCount++;
                }
            }
            bool isWithin =
                model.agentId != 0 &&
                    model.validFrom <= time &&
                    (model.validUntil == 0 || time < model.validUntil) &&
                    (_handler.endOf(signerHash) == 0 || time < _handler.endOf(signerHash));
            require(validCount == (isWithin ? 1 : 0), "a signer speaks for several, or not for its own");
        }
    }

    /// What a signer was once seen to be valid for stays valid, but for what a revocation dates after the compromise.
    function invariant_HistoryBeforeACompromiseStaysValid() public view {
        IdentityHandler.Sample[] memory samples = _handler.samples();
        for (uint256 i = 0; i < samples.length; ++i) {
            IdentityHandler.Sample memory seen = samples[i];
            uint48 invalidFrom = _handler.endOf(seen.signerHash);
            bool isValid = _registry.isSignerValidAt(seen.agentId, seen.signerHash, seen.purpose, seen.time);
            require(isValid == (invalidFrom == 0 || seen.time < invalidFrom), "history was rewritten");
        }
    }
}

contract IdentityFuzz is IContentSource {
    function contentInTransit() external view returns (bytes memory) {
        return CodeStorage.inTransit();
    }

    function testFuzz_CodeStorageGivesBackAnyBytes(bytes32 salt, bytes calldata content) public {
        bytes32 other = keccak256(abi.encode(salt));
        CodeStorage.write(salt, content);
        require(keccak256(CodeStorage.read(salt)) == keccak256(content), "other bytes");
        require(CodeStorage.inTransit().length == 0, "bytes left in transit");
        require(CodeStorage.read(other).length == 0, "bytes under a salt that was never used");
        if (content.length == 0) return;
        // A second content in the same transaction, shorter: nothing of the first may show.
        CodeStorage.write(other, content[:content.length / 2]);
        require(
            keccak256(CodeStorage.read(other)) == keccak256(content[:content.length / 2]),
            "the first shines through"
        );
        (bool isOk, bytes memory output) = CodeStorage.addressOf(salt).call(content);
        require(isOk && output.length == 0, "the code runs");
    }

    function testFuzz_ValidityIsAHalfOpenWindow(
        SignerRecord memory record,
        uint256 agentId,
        uint8 purposeSeed,
        uint256 time
    ) public pure {
        bytes32 purpose = Signers.purposeAt(1 + (purposeSeed % 4));
        // Steer half of the runs to the record's own agent, purpose and edges, where the truth is decided.
        if (purposeSeed & 0x80 == 0) {
            record.purposeIndex = 1 + (purposeSeed % 4);
            agentId = record.agentId;
            time = [record.validFrom, record.validUntil, record.invalidFrom, uint48(time)][
                (purposeSeed % 3) + (time % 2)
            ];
        }
        bool isExpected = record.agentId != 0 && agentId == record.agentId && record.purposeIndex >= 1;
        isExpected = isExpected && record.purposeIndex <= 4 && Signers.purposeAt(record.purposeIndex) == purpose;
        if (time < record.validFrom) isExpected = false;
        if (record.validUntil != 0 && time >= record.validUntil) isExpected = false;
        if (record.invalidFrom != 0 && time >= record.invalidFrom) isExpected = false;
        require(Signers.isValidAt(record, agentId, purpose, time, 0) == isExpected, "validity");
    }

    function testFuzz_PurposesAreFourWords(bytes32 purpose) public view {
        for (uint8 index = 1; index <= 4; ++index) {
            require(Signers.indexOf(Signers.purposeAt(index)) == index, "index");
        }
        bool isWord = purpose == "LOG" || purpose == "TRANSPORT" || purpose == "OPERATOR" || purpose == "RECOVERY";
        try this.indexOf(purpose) {
            require(isWord, "an unknown purpose has an index");
        } catch (bytes memory reason) {
            require(!isWord, "a known purpose has none");
            bytes memory expected = abi.encodeWithSelector(IBindings.BindingsUnknownPurpose.selector, purpose);
            require(keccak256(reason) == keccak256(expected), "another error");
        }
    }

    function indexOf(bytes32 purpose) external pure returns (uint8) {
        return Signers.indexOf(purpose);
    }
}

contract IdentityHandlerTest {
    /// Random calls rarely find a recovery from its first step to its last: here every kind of authority is used once, so that
    /// what the handler accepts is seen to be reachable.
    function test_HandlerReachesEveryKindOfAuthority() public {
        IdentityHandler handler = new IdentityHandler();
        handler.register(0, 5);
        handler.bind(1, 0, 0, 3, 0, 0, 0);
        handler.setRecovery(1, 0, 1);
        handler.startRecovery(1, 1, 0, 0, true);
        handler.passHours(24);
        handler.executeRecovery(1);
        require(handler.agentOf(1).owner == handler.actorAt(1), "guardians");
        handler.bindBySignature(1, 1, 1, 2, 0, 0);
        // 134 is the key with the number 1: the operator just bound.
        handler.bindBySignature(1, 134, 2, 0, 1, 0);
        handler.revokeBySignature(1, 134, 2, 2);
        handler.updateAsOperator(1, 1, "delta");
        handler.transferBySignature(1, 1, 2, 3);
        require(handler.agentOf(1).owner == handler.actorAt(2), "the owner's signature");
        require(handler.acceptedCount() == 10, "an order was refused");
    }
}
