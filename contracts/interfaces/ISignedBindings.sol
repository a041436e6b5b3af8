// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISignedOrders} from "./ISignedOrders.sol";

/// @title What an owner does to its signers, by signature
/// @notice An OPERATOR signer of the agent may order the same for LOG and TRANSPORT signers, and for those alone.
interface ISignedBindings is ISignedOrders {
    /// @notice Arguments of `IBindings.bindSigner` but the agent.
    struct NewSigner {
        bytes signer;
        bytes32 purpose;
        uint48 validFrom;
        uint48 validUntil;
        uint48 deadline;
        bytes proof;
    }

    /// @notice Arguments of `IBindings.bindUncheckedKey` but the agent.
    struct NewKey {
        bytes32 key;
        uint48 validFrom;
        uint48 validUntil;
        uint48 deadline;
        bytes proof;
    }

    /// @notice Arguments of `IBindings.rotateSigner` but the agent.
    struct Rotation {
        bytes32 oldSignerHash;
        bytes newSigner;
        uint48 validUntil;
        uint48 deadline;
        bytes proof;
    }

    /// @notice Twin of `IBindings.bindSigner`: SignerGrant.
    function bindSignerWithSignature(uint256 agentId, NewSigner calldata newSigner, Consent calldata consent) external;

    /// @notice Twin of `IBindings.bindUncheckedKey`: SignerGrant for TRANSPORT, over the hash of the unchecked signer bytes.
    function bindUncheckedKeyWithSignature(uint256 agentId, NewKey calldata newKey, Consent calldata consent) external;

    /// @notice Twin of `IBindings.rotateSigner`: SignerRotation.
    function rotateSignerWithSignature(uint256 agentId, Rotation calldata rotation, Consent calldata consent) external;

    /// @notice Twin of `IBindings.revokeSigner`: SignerRevocation.
    function revokeSignerWithSignature(
        uint256 agentId,
        bytes32 signerHash,
        uint48 compromisedAt,
        Consent calldata consent
    ) external;
}
