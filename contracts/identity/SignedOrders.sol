// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBindings} from "../interfaces/IBindings.sol";
import {ISignedOrders} from "../interfaces/ISignedOrders.sol";
import {Domain} from "../libraries/Domain.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {Signers} from "./Signers.sol";

/// @notice Nonces, and who may order what. See ISignedOrders.
abstract contract SignedOrders is ISignedOrders {
    /// @inheritdoc ISignedOrders
    address public immutable registry;

    mapping(bytes32 signerHash => mapping(uint256 word => uint256)) private _usedNonces;

    constructor(address registry_) {
        registry = registry_;
    }

    /// @inheritdoc ISignedOrders
    function cancelNonce(uint256 nonce) external {
        _useNonce(keccak256(abi.encodePacked(msg.sender)), nonce);
    }

    /// @inheritdoc ISignedOrders
    function isNonceUsed(bytes32 signerHash, uint256 nonce) external view returns (bool) {
        return (_usedNonces[signerHash][nonce >> 8] >> (nonce & 0xff)) & 1 == 1;
    }

    /// @dev Checks an order about an agent and uses its nonce. A nonce is used before anything else happens, so that no
    /// contract that is called later finds the order alive.
    /// @param mayOperate whether an OPERATOR signer of the agent may order this
    /// @return owner in whose name it is executed
    function _authorize(
        uint256 agentId,
        bytes32 structHash,
        Consent calldata consent,
        bool mayOperate
    ) internal returns (address owner) {
        owner = IBindings(registry).observeOwner(agentId);
        if (!_isAccount(consent.signer, owner)) {
            bytes32 signerHash = keccak256(consent.signer);
            // INVARIANT: only the owner's signature and its operators' within their bounds move an agent.
            bool isOperator =
                mayOperate &&
                    IBindings(registry).isSignerValidAt(agentId, signerHash, Signers.OPERATOR, block.timestamp);
            if (!isOperator) revert SignedOrdersNotAuthorized(agentId, signerHash);
        }
        _consume(agentId, structHash, consent);
    }

    /// @dev Checks an order that an account gives about itself.
    function _authorizeAccount(address account, bytes32 structHash, Consent calldata consent) internal {
        if (!_isAccount(consent.signer, account)) revert SignedOrdersNotAuthorized(0, keccak256(consent.signer));
        _consume(0, structHash, consent);
    }

    function _consume(uint256 agentId, bytes32 structHash, Consent calldata consent) private {
        if (block.timestamp > consent.deadline) revert SignedOrdersExpired(consent.deadline, block.timestamp);
        bytes32 signerHash = keccak256(consent.signer);
        _useNonce(signerHash, consent.nonce);
        bytes32 digest = Domain.digest(Domain.IDENTITY, registry, structHash);
        if (!Signatures.isValid(consent.signer, digest, consent.signature)) {
            revert SignedOrdersBadSignature(agentId, signerHash);
        }
    }

    function _useNonce(bytes32 signerHash, uint256 nonce) private {
        uint256 used = _usedNonces[signerHash][nonce >> 8];
        uint256 bit = 1 << (nonce & 0xff);
        // INVARIANT: an order is executed once.
        if (used & bit != 0) revert SignedOrdersNonceUsed(signerHash, nonce);
        _usedNonces[signerHash][nonce >> 8] = used | bit;
        emit NonceUsed(signerHash, nonce);
    }

    function _isAccount(bytes calldata signer, address account) private pure returns (bool) {
        return signer.length == 20 && address(bytes20(signer)) == account;
    }
}
