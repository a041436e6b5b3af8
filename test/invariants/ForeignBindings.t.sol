// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ForeignBindings} from "../../contracts/identity/ForeignBindings.sol";
import {IdentityRegistry} from "../../contracts/identity/IdentityRegistry.sol";
import {IBindings} from "../../contracts/interfaces/IBindings.sol";
import {IForeignBindings} from "../../contracts/interfaces/IForeignBindings.sol";
import {StructHash} from "../../contracts/libraries/StructHash.sol";
import {BindingUpdate, SignerBinding} from "../../contracts/libraries/Types.sol";
import {HostileRegistry} from "../../contracts/mocks/HostileRegistry.sol";
import {BindingsInvariants, BindingsModel} from "./bindings/BindingsModel.sol";
import {vm, Log} from "./Vm.sol";

/// @notice Agents 1 and 2 of an honest registry and agent 3 of one that lies, reverts and eats gas. The model of what was observed is folded
/// from events; who owns an agent at this moment is asked of its own registry, and whether a call may succeed is predicted from both.
contract ForeignHandler is BindingsModel {
    uint256 public constant AGENTS = 3;

    struct Agent {
        address owner;
        uint24 tenure;
        uint48 since;
        bytes32 commitment;
        uint64 version;
        bytes32 head;
    }

    ForeignBindings public immutable bindings;
    IdentityRegistry private immutable HONEST;
    HostileRegistry private immutable HOSTILE;
    mapping(uint256 agentId => Agent) private _agents;

    constructor() {
        bindings = new ForeignBindings();
        HONEST = new IdentityRegistry();
        HOSTILE = new HostileRegistry(actorAt(2));
        _modelOf(bindings);
        for (uint256 id = 1; id < AGENTS; ++id) {
            vm.prank(actorAt(uint8(id)));
            HONEST.register();
            _attempt(address(this), abi.encodeCall(IForeignBindings.adopt, (address(HONEST), id)), true);
        }
        _attempt(address(this), abi.encodeCall(IForeignBindings.adopt, (address(HOSTILE), 77)), true);
    }

    // ------------------------------------------------------------- what happens

    /// @dev A second adoption changes nothing and gives the number of the first.
    function adopt(uint8 agent) external {
        uint256 agentId = agentAt(agent);
        if (agentId == 0) return;
        (address origin, uint256 id) = bindings.originOf(agentId);
        require(bindings.adopt(origin, id) == agentId, "adopted under another number");
    }

    function bind(uint8 agent, uint8 caller, uint8 key, uint8 purpose, uint8 from, uint8 until, uint8 fault) external {
        uint256 agentId = agentAt(agent);
        SignerBinding memory binding = _draftBinding(
            agentId,
            fault % 8 == 4 ? _agents[agentId].owner : ownerNow(agentId),
            key,
            purpose,
            from,
            until,
            fault
        );
        bytes32 signed = fault % 8 == 3 ? _hashForAnother(binding) : StructHash.hash(binding);
        // A proof given to an owner of before is one for somebody else.
        bool isProven = binding.owner == ownerNow(agentId) && (fault % 8 == 0 || fault % 8 > 3);
        bytes memory proof = _sign(secretOf(_nextIf(fault % 8 == 2, key)), signed);
        bool isAccepted = _mayAct(caller, agentId) && isProven && _isFree(binding) && _hasInside(binding);
        _attempt(actorAt(caller), _encodeBind(binding, abi.encodePacked(signerAt(key)), proof), isAccepted);
        if (isAccepted) _requireBound(agentId, binding);
    }

    function rotate(uint8 agent, uint8 caller, uint8 oldKey, uint8 newKey, uint8 until, uint8 fault) external {
        uint256 agentId = agentAt(agent);
        bytes32 oldHash = hashOf(signerAt(oldKey));
        SignerBinding memory binding = _draftRotation(
            agentId,
            ownerNow(agentId),
            newKey,
            _signers[oldHash].purpose,
            until
        );
        bytes memory proof = _sign(secretOf(_nextIf(fault % 8 == 2, newKey)), StructHash.hash(binding));
        bool isAccepted = fault % 8 != 2 && _mayAct(caller, agentId) && _serves(agentId, oldHash);
        isAccepted = isAccepted && _isFree(binding) && _hasInside(binding);
        bytes memory input = _encodeRotate(binding, oldHash, abi.encodePacked(signerAt(newKey)), proof);
        _attempt(actorAt(caller), input, isAccepted);
        if (!isAccepted) return;
        _requireBound(agentId, binding);
        require(_signers[oldHash].invalidFrom == _now, "rotation left the old signer in office");
    }

    function revoke(uint8 agent, uint8 caller, uint8 key, uint8 ago) external {
        uint256 agentId = agentAt(agent);
        (bytes32 signerHash, uint48 compromisedAt, uint256 end, bool isDue) = _draftRevocation(key, ago);
        bool isMine = _signers[signerHash].agentId == agentId && !_isOwnerUnseen(agentId);
        bool isAccepted = _mayAct(caller, agentId) && isMine && isDue;
        bytes memory input = abi.encodeCall(IBindings.revokeSigner, (agentId, signerHash, compromisedAt));
        _attempt(actorAt(caller), input, isAccepted);
        if (isAccepted) require(_signers[signerHash].invalidFrom == end, "revoked at another second");
    }

    function updateCommitment(uint8 agent, uint8 relayer, uint8 author, bytes32 delta, uint8 fault) external {
        uint256 agentId = agentAt(agent);
        BindingUpdate memory update = _next(agentId, delta);
        if (fault % 8 == 1) update.previous = keccak256(abi.encode(update.previous));
        bytes memory signature = _sign(actorSecret(author), StructHash.hash(update));
        bool isAccepted =
            delta != 0 && fault % 8 != 1 && ownerNow(agentId) != address(0) && actorAt(author) == ownerNow(agentId);
        _attempt(
            actorAt(relayer),
            abi.encodeCall(IBindings.updateCommitment, (agentId, update.version, delta, update.deadline, signature)),
            isAccepted
        );
    }

    function updateAsOperator(uint8 agent, uint8 key, bytes32 delta) external {
        uint256 agentId = agentAt(agent);
        BindingUpdate memory update = _next(agentId, delta);
        bytes memory signature = _sign(secretOf(key), StructHash.hash(update));
        bytes memory operator = abi.encodePacked(signerAt(key));
        bytes memory input = abi.encodeCall(
            IBindings.updateCommitmentAsOperator,
            (agentId, update.version, delta, update.deadline, operator, signature)
        );
        bool isAccepted =
            delta != 0 &&
                ownerNow(agentId) != address(0) &&
                !_isOwnerUnseen(agentId) &&
                _speaksNow(key, agentId, "OPERATOR");
        _attempt(address(this), input, isAccepted);
    }

    /// @dev The agent changes hands at its own registry, and nothing here has seen it yet.
    function transfer(uint8 agent, uint8 to, uint8 vice) external {
        uint256 agentId = agentAt(agent);
        if (agentId == AGENTS) HOSTILE.turn(actorAt(to), HostileRegistry.Vice(vice % 7));
        if (agentId == 0 || agentId == AGENTS) return;
        address owner = HONEST.ownerOf(agentId);
        vm.prank(owner);
        HONEST.transferFrom(owner, actorAt(to), agentId);
    }

    function setOperator(uint8 actor, uint8 operator, bool isApproved) external {
        vm.prank(actorAt(actor));
        HONEST.setApprovalForAll(actorAt(operator), isApproved);
    }

    function observeOwner(uint8 agent, uint8 caller) external {
        uint256 agentId = agentAt(agent);
        bool isAccepted = ownerNow(agentId) != address(0);
        _attempt(actorAt(caller), abi.encodeCall(IBindings.observeOwner, (agentId)), isAccepted);
        if (isAccepted) require(_agents[agentId].owner == ownerNow(agentId), "observed somebody else");
    }

    // ------------------------------------------------------------ what was seen

    function agentOf(uint256 agentId) external view returns (Agent memory) {
        return _agents[agentId];
    }

    /// @dev The number 0 is drawn too: nobody has it.
    function agentAt(uint8 seed) public pure returns (uint256) {
        return seed % (AGENTS + 1);
    }

    /// @dev What the agent's own registry says; zero = no answer that counts.
    function ownerNow(uint256 agentId) public view returns (address) {
        if (agentId == 0) return address(0);
        if (agentId < AGENTS) return HONEST.ownerOf(agentId);
        HostileRegistry.Vice vice = HOSTILE.vice();
        bool isAnswered = vice == HostileRegistry.Vice.None || vice == HostileRegistry.Vice.AnswersAtLength;
        return isAnswered ? HOSTILE.owner() : address(0);
    }

    // ------------------------------------------------------------------- inside

    function _attempt(address caller, bytes memory input, bool isAccepted) private {
        vm.warp(_now);
        vm.recordLogs();
        vm.prank(caller);
        (bool isOk, ) = address(bindings).call(input);
        Log[] memory logs = vm.getRecordedLogs();
        require(isOk == isAccepted, isOk ? "accepted without authority" : "refused although rightful");
        if (!isOk) return;
        acceptedCount++;
        for (uint256 i = 0; i < logs.length; ++i) _fold(logs[i]);
    }

    function _mayAct(uint8 caller, uint256 agentId) private view returns (bool) {
        address owner = ownerNow(agentId);
        if (owner == address(0)) return false;
        return actorAt(caller) == owner || (agentId < AGENTS && HONEST.isApprovedForAll(owner, actorAt(caller)));
    }

    /// @dev The next change will see that the agent has another owner, and end the signers of the last one.
    function _isOwnerUnseen(uint256 agentId) private view returns (bool) {
        return ownerNow(agentId) != _agents[agentId].owner;
    }

    function _serves(uint256 agentId, bytes32 signerHash) private view returns (bool) {
        return !_isOwnerUnseen(agentId) && _isInOffice(agentId, _signers[signerHash]);
    }

    function _next(uint256 agentId, bytes32 delta) private view returns (BindingUpdate memory) {
        Agent memory model = _agents[agentId];
        return
            BindingUpdate({
                agentId: agentId,
                version: model.version + 1,
                previous: model.head,
                delta: delta,
                deadline: uint48(_now)
            });
    }

    function _fold(Log memory log) private {
        require(log.emitter == address(bindings), "foreign event");
        bytes32 topic = log.topics[0];
        uint256 agentId = uint256(log.topics[1]);
        if (topic == IForeignBindings.Adopted.selector) {
            require(_agents[agentId].owner == address(0), "adopted twice");
        } else if (topic == IForeignBindings.OwnerObserved.selector) {
            _foldOwner(agentId, log);
        } else if (topic == IBindings.CommitmentUpdated.selector) {
            Agent storage model = _agents[agentId];
            require(uint64(uint256(log.topics[2])) == model.version + 1, "versions do not follow one another");
            model.version++;
            (model.head, model.commitment, ) = abi.decode(log.data, (bytes32, bytes32, bytes));
        } else {
            _foldSigner(agentId, log);
        }
    }

    function _foldOwner(uint256 agentId, Log memory log) private {
        Agent storage model = _agents[agentId];
        bool isFirst = model.owner == address(0);
        uint24 before = model.tenure;
        (model.tenure, model.since) = abi.decode(log.data, (uint24, uint48));
        model.owner = address(uint160(uint256(log.topics[2])));
        require(model.tenure == (isFirst ? 0 : before + 1), "tenures do not follow one another");
        if (!isFirst) _endSigners(agentId);
    }
}

contract ForeignInvariants is BindingsInvariants {
    ForeignHandler private _handler;
    ForeignBindings private _bindings;

    function setUp() public {
        _handler = new ForeignHandler();
        _bindings = _handler.bindings();
        _checks(_handler, _bindings, _handler.AGENTS());
    }

    /// Whoever folds the events knows the storage: owners as last observed, tenures, commitments, signers.
    function invariant_FoldedEventsAreTheStorage() public view {
        for (uint256 agentId = 1; agentId <= _handler.AGENTS(); ++agentId) {
            ForeignHandler.Agent memory model = _handler.agentOf(agentId);
            require(_bindings.ownerOf(agentId) == model.owner, "owner");
            (uint24 tenure, uint48 since) = _bindings.tenureOf(agentId);
            require(tenure == model.tenure && since == model.since, "tenure");
            (bytes32 commitment, uint64 version, bytes32 head) = _bindings.commitmentOf(agentId);
            require(commitment == model.commitment && version == model.version && head == model.head, "chain");
        }
        _requireSignersAreTheStorage();
    }
}

contract ForeignHandlerTest {
    /// Every kind of authority is used once, so that what the handler accepts is seen to be reachable.
    function test_HandlerReachesEveryKindOfAuthority() public {
        ForeignHandler handler = new ForeignHandler();
        require(handler.acceptedCount() == 3, "adoption");
        handler.bind(1, 1, 0, 2, 0, 0, 0);
        handler.updateAsOperator(1, 0, "delta");
        handler.updateCommitment(1, 2, 1, "other", 0);
        handler.rotate(1, 1, 0, 1, 0, 0);
        handler.setOperator(1, 0, true);
        handler.revoke(1, 0, 1, 0);
        handler.bind(1, 1, 2, 2, 0, 0, 0);
        require(handler.acceptedCount() == 9, "the owner, its operator, an approved account");
        // Sold, and not yet seen: the seller's operator has no say, and the buyer's first action ends it.
        handler.passTime(9);
        handler.transfer(1, 2, 0);
        handler.updateAsOperator(1, 2, "late");
        handler.bind(1, 1, 3, 0, 0, 0, 0);
        require(handler.acceptedCount() == 9, "the seller acted after the sale");
        handler.bind(1, 2, 3, 0, 0, 0, 0);
        require(handler.acceptedCount() == 10, "the buyer");
        require(handler.endOf(handler.hashOf(handler.signerAt(2))) != 0, "the seller's operator is still in office");
        handler.bind(3, 2, 4, 0, 0, 0, 0);
        handler.transfer(3, 2, 2);
        handler.revoke(3, 2, 4, 0);
        require(handler.acceptedCount() == 11, "a registry that eats gas was believed");
        handler.transfer(3, 0, 6);
        handler.observeOwner(3, 1);
        require(handler.agentOf(3).tenure == 1 && handler.acceptedCount() == 12, "an answer at length");
    }
}
