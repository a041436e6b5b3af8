// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBindings} from "../../../contracts/interfaces/IBindings.sol";
import {IOwnerRecovery} from "../../../contracts/interfaces/IOwnerRecovery.sol";
import {ISignedBindings} from "../../../contracts/interfaces/ISignedBindings.sol";
import {ISignedOrders} from "../../../contracts/interfaces/ISignedOrders.sol";
import {ISignedProfile} from "../../../contracts/interfaces/ISignedProfile.sol";
import {StructHash} from "../../../contracts/libraries/StructHash.sol";
import {
    AgentTransfer,
    BindingUpdate,
    OwnerChange,
    SignerBinding,
    SignerGrant,
    SignerRevocation
} from "../../../contracts/libraries/Types.sol";
import {vm} from "../Vm.sol";
import {IdentitySteps} from "./IdentitySteps.sol";

/// @notice What is done by signature and by guardians: authors are actors and keys, so owners, strangers, and signers of every purpose.
abstract contract IdentityOrders is IdentitySteps {
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

    // ------------------------------------------------------------------- inside

    /// @dev Seeds below 128 are actors, the others keys.
    function _authorSecret(uint8 author) private pure returns (uint256) {
        return author < 128 ? actorSecret(author) : secretOf(author);
    }

    function _mayOrder(uint8 author, uint256 agentId, bool mayOperate) private view returns (bool) {
        if (_agents[agentId].owner == address(0)) return false;
        if (vm.addr(_authorSecret(author)) == _agents[agentId].owner) return true;
        return mayOperate && author >= 128 && _speaksNow(author, agentId, "OPERATOR");
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
}
