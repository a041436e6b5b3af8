// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBindings} from "./IBindings.sol";
import {ISignedOrders} from "./ISignedOrders.sol";

/// @title What an owner does by ERC-8004 and ERC-721, by signature
/// @notice An OPERATOR signer of the agent may set its URI and its metadata; everything else is the owner's alone.
interface ISignedProfile is ISignedOrders {
    /// @notice Twin of `register` and `registerBound`: Registration, signed by the new owner.
    /// @param binding its signer may be empty where its commitment is zero: then the agent has neither
    function registerWithSignature(
        address owner,
        string calldata agentURI,
        IBindings.InitialBinding calldata binding,
        Consent calldata consent
    ) external returns (uint256 agentId);

    /// @notice Twin of `setAgentURI`: AgentURISet.
    function setAgentURIWithSignature(uint256 agentId, string calldata newURI, Consent calldata consent) external;

    /// @notice Twin of `setMetadata`: AgentMetadataSet.
    function setMetadataWithSignature(
        uint256 agentId,
        string calldata metadataKey,
        bytes calldata metadataValue,
        Consent calldata consent
    ) external;

    /// @notice Twin of `setAgentWallet`: AgentWalletChange.
    function setAgentWalletWithSignature(
        uint256 agentId,
        address newWallet,
        uint256 walletDeadline,
        bytes calldata walletSignature,
        Consent calldata consent
    ) external;

    /// @notice Twin of `unsetAgentWallet`: AgentWalletChange to zero.
    function unsetAgentWalletWithSignature(uint256 agentId, Consent calldata consent) external;

    /// @notice Twin of ERC-721's `transferFrom` by the owner: AgentTransfer.
    function transferWithSignature(uint256 agentId, address to, Consent calldata consent) external;

    /// @notice Twin of ERC-721's `approve`: AgentApproval.
    function approveWithSignature(uint256 agentId, address approved, Consent calldata consent) external;

    /// @notice Twin of ERC-721's `setApprovalForAll`: OperatorApproval, signed by `owner`.
    function setApprovalForAllWithSignature(
        address owner,
        address operator,
        bool isApproved,
        Consent calldata consent
    ) external;
}
