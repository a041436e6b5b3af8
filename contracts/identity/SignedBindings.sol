// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBindings} from "../interfaces/IBindings.sol";
import {ISignedBindings} from "../interfaces/ISignedBindings.sol";
import {Forwarded} from "../libraries/Forwarded.sol";
import {StructHash} from "../libraries/StructHash.sol";
import {SignerGrant, SignerRevocation, SignerRotation} from "../libraries/Types.sol";
import {SignedOrders} from "./SignedOrders.sol";
import {Signers} from "./Signers.sol";

/// @notice See ISignedBindings. One for each registry of bindings, which makes it and trusts it (ERC-2771).
contract SignedBindings is ISignedBindings, SignedOrders {
    constructor(address registry_) SignedOrders(registry_) {}

    /// @inheritdoc ISignedBindings
    function bindSignerWithSignature(uint256 agentId, NewSigner calldata newSigner, Consent calldata consent) external {
        bytes32 order = StructHash.hash(
            SignerGrant({
                agentId: agentId,
                signerHash: keccak256(newSigner.signer),
                purpose: newSigner.purpose,
                validFrom: newSigner.validFrom,
                validUntil: newSigner.validUntil,
                nonce: consent.nonce,
                deadline: consent.deadline
            })
        );
        address owner = _authorize(agentId, order, consent, _isOperable(newSigner.purpose));
        bytes memory input = abi.encodeCall(
            IBindings.bindSigner,
            (
                agentId,
                newSigner.signer,
                newSigner.purpose,
                newSigner.validFrom,
                newSigner.validUntil,
                newSigner.deadline,
                newSigner.proof
            )
        );
        Forwarded.forward(registry, owner, input);
    }

    /// @inheritdoc ISignedBindings
    function bindUncheckedKeyWithSignature(uint256 agentId, NewKey calldata newKey, Consent calldata consent) external {
        bytes32 order = StructHash.hash(
            SignerGrant({
                agentId: agentId,
                signerHash: keccak256(Signers.uncheckedBytes(agentId, newKey.key)),
                purpose: Signers.TRANSPORT,
                validFrom: newKey.validFrom,
                validUntil: newKey.validUntil,
                nonce: consent.nonce,
                deadline: consent.deadline
            })
        );
        address owner = _authorize(agentId, order, consent, true);
        bytes memory input = abi.encodeCall(
            IBindings.bindUncheckedKey,
            (agentId, newKey.key, newKey.validFrom, newKey.validUntil, newKey.deadline, newKey.proof)
        );
        Forwarded.forward(registry, owner, input);
    }

    /// @inheritdoc ISignedBindings
    function rotateSignerWithSignature(uint256 agentId, Rotation calldata rotation, Consent calldata consent) external {
        bytes32 order = StructHash.hash(
            SignerRotation({
                agentId: agentId,
                oldSignerHash: rotation.oldSignerHash,
                newSignerHash: keccak256(rotation.newSigner),
                validUntil: rotation.validUntil,
                nonce: consent.nonce,
                deadline: consent.deadline
            })
        );
        address owner = _authorize(agentId, order, consent, _isOperable(_purposeOf(rotation.oldSignerHash)));
        bytes memory input = abi.encodeCall(
            IBindings.rotateSigner,
            (
                agentId,
                rotation.oldSignerHash,
                rotation.newSigner,
                rotation.validUntil,
                rotation.deadline,
                rotation.proof
            )
        );
        Forwarded.forward(registry, owner, input);
    }

    /// @inheritdoc ISignedBindings
    function revokeSignerWithSignature(
        uint256 agentId,
        bytes32 signerHash,
        uint48 compromisedAt,
        Consent calldata consent
    ) external {
        bytes32 order = StructHash.hash(
            SignerRevocation({
                agentId: agentId,
                signerHash: signerHash,
                compromisedAt: compromisedAt,
                nonce: consent.nonce,
                deadline: consent.deadline
            })
        );
        address owner = _authorize(agentId, order, consent, _isOperable(_purposeOf(signerHash)));
        Forwarded.forward(
            registry,
            owner,
            abi.encodeCall(IBindings.revokeSigner, (agentId, signerHash, compromisedAt))
        );
    }

    function _purposeOf(bytes32 signerHash) private view returns (bytes32 purpose) {
        (, purpose, , , ) = IBindings(registry).signerOf(signerHash);
    }

    /// @dev INVARIANT: an OPERATOR signer makes neither operators nor guardians, and unmakes none.
    function _isOperable(bytes32 purpose) private pure returns (bool) {
        return purpose == Signers.LOG || purpose == Signers.TRANSPORT;
    }
}
