// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC721} from "@openzeppelin/contracts/interfaces/IERC721.sol";
import {IBindings} from "../interfaces/IBindings.sol";
import {IERC8004Identity} from "../interfaces/IERC8004Identity.sol";
import {IIdentityRegistry} from "../interfaces/IIdentityRegistry.sol";
import {ISignedProfile} from "../interfaces/ISignedProfile.sol";
import {Forwarded} from "../libraries/Forwarded.sol";
import {StructHash} from "../libraries/StructHash.sol";
import {
    AgentApproval,
    AgentMetadataSet,
    AgentTransfer,
    AgentURISet,
    AgentWalletChange,
    OperatorApproval,
    Registration
} from "../libraries/Types.sol";
import {SignedOrders} from "./SignedOrders.sol";

/// @notice See ISignedProfile. Made by IdentityRegistry, which trusts it (ERC-2771).
contract SignedProfile is ISignedProfile, SignedOrders {
    constructor(address registry_) SignedOrders(registry_) {}

    /// @inheritdoc ISignedProfile
    function registerWithSignature(
        address owner,
        string calldata agentURI,
        IBindings.InitialBinding calldata binding,
        Consent calldata consent
    ) external returns (uint256 agentId) {
        Registration memory order = Registration({
            owner: owner,
            uriHash: keccak256(bytes(agentURI)),
            commitment: binding.commitment,
            signerHash: keccak256(binding.signer),
            nonce: consent.nonce,
            deadline: consent.deadline
        });
        _authorizeAccount(owner, StructHash.hash(order), consent);
        bool isBare = binding.commitment == 0 && binding.signer.length == 0;
        bytes memory input =
            isBare
                ? abi.encodeWithSignature("register(string)", agentURI)
                : abi.encodeCall(IIdentityRegistry.registerBound, (agentURI, binding));
        agentId = abi.decode(Forwarded.forward(registry, owner, input), (uint256));
    }

    /// @inheritdoc ISignedProfile
    function setAgentURIWithSignature(uint256 agentId, string calldata newURI, Consent calldata consent) external {
        AgentURISet memory order = AgentURISet({
            agentId: agentId,
            uriHash: keccak256(bytes(newURI)),
            nonce: consent.nonce,
            deadline: consent.deadline
        });
        address owner = _authorize(agentId, StructHash.hash(order), consent, true);
        Forwarded.forward(registry, owner, abi.encodeCall(IERC8004Identity.setAgentURI, (agentId, newURI)));
    }

    /// @inheritdoc ISignedProfile
    function setMetadataWithSignature(
        uint256 agentId,
        string calldata metadataKey,
        bytes calldata metadataValue,
        Consent calldata consent
    ) external {
        AgentMetadataSet memory order = AgentMetadataSet({
            agentId: agentId,
            keyHash: keccak256(bytes(metadataKey)),
            valueHash: keccak256(metadataValue),
            nonce: consent.nonce,
            deadline: consent.deadline
        });
        address owner = _authorize(agentId, StructHash.hash(order), consent, true);
        bytes memory input = abi.encodeCall(IERC8004Identity.setMetadata, (agentId, metadataKey, metadataValue));
        Forwarded.forward(registry, owner, input);
    }

    /// @inheritdoc ISignedProfile
    function setAgentWalletWithSignature(
        uint256 agentId,
        address newWallet,
        uint256 walletDeadline,
        bytes calldata walletSignature,
        Consent calldata consent
    ) external {
        address owner = _authorizeWallet(agentId, newWallet, consent);
        bytes memory input = abi.encodeCall(
            IERC8004Identity.setAgentWallet,
            (agentId, newWallet, walletDeadline, walletSignature)
        );
        Forwarded.forward(registry, owner, input);
    }

    /// @inheritdoc ISignedProfile
    function unsetAgentWalletWithSignature(uint256 agentId, Consent calldata consent) external {
        address owner = _authorizeWallet(agentId, address(0), consent);
        Forwarded.forward(registry, owner, abi.encodeCall(IERC8004Identity.unsetAgentWallet, (agentId)));
    }

    /// @inheritdoc ISignedProfile
    function transferWithSignature(uint256 agentId, address to, Consent calldata consent) external {
        AgentTransfer memory order = AgentTransfer({
            agentId: agentId,
            to: to,
            nonce: consent.nonce,
            deadline: consent.deadline
        });
        address owner = _authorize(agentId, StructHash.hash(order), consent, false);
        Forwarded.forward(registry, owner, abi.encodeCall(IERC721.transferFrom, (owner, to, agentId)));
    }

    /// @inheritdoc ISignedProfile
    function approveWithSignature(uint256 agentId, address approved, Consent calldata consent) external {
        AgentApproval memory order = AgentApproval({
            agentId: agentId,
            approved: approved,
            nonce: consent.nonce,
            deadline: consent.deadline
        });
        address owner = _authorize(agentId, StructHash.hash(order), consent, false);
        Forwarded.forward(registry, owner, abi.encodeCall(IERC721.approve, (approved, agentId)));
    }

    /// @inheritdoc ISignedProfile
    function setApprovalForAllWithSignature(
        address owner,
        address operator,
        bool isApproved,
        Consent calldata consent
    ) external {
        OperatorApproval memory order = OperatorApproval({
            owner: owner,
            operator: operator,
            isApproved: isApproved,
            nonce: consent.nonce,
            deadline: consent.deadline
        });
        _authorizeAccount(owner, StructHash.hash(order), consent);
        Forwarded.forward(registry, owner, abi.encodeCall(IERC721.setApprovalForAll, (operator, isApproved)));
    }

    function _authorizeWallet(
        uint256 agentId,
        address newWallet,
        Consent calldata consent
    ) private returns (address owner) {
        AgentWalletChange memory order = AgentWalletChange({
            agentId: agentId,
            newWallet: newWallet,
            nonce: consent.nonce,
            deadline: consent.deadline
        });
        // Where an agent is paid is its owner's business alone.
        return _authorize(agentId, StructHash.hash(order), consent, false);
    }
}
