// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IdentityRegistry} from "../../contracts/identity/IdentityRegistry.sol";
import {SignedBindings} from "../../contracts/identity/SignedBindings.sol";
import {SignedProfile} from "../../contracts/identity/SignedProfile.sol";
import {BindingsInvariants} from "./bindings/BindingsModel.sol";
import {IdentityOrders} from "./bindings/IdentityOrders.sol";

/// @dev The fuzzer finds only contracts of the test's own file.
contract IdentityHandler is IdentityOrders {}

contract IdentityInvariants is BindingsInvariants {
    IdentityHandler private _handler;
    IdentityRegistry private _registry;

    function setUp() public {
        _handler = new IdentityHandler();
        _registry = _handler.registry();
        _checks(_handler, _registry, _handler.MAX_AGENTS());
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
        _requireSignersAreTheStorage();
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
