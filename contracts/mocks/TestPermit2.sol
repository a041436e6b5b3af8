// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {IPermit2} from "../interfaces/IPermit2.sol";

/// @title Permit2's SignatureTransfer with witness, after its published interface. TEST ONLY.
/// @notice Domain, type strings, unordered nonces and errors are those of the contract in use; a test puts this code at its
/// address. Built of no immutables, so that its code works wherever it is put.
contract TestPermit2 is IPermit2 {
    using SafeERC20 for IERC20;

    mapping(address owner => mapping(uint256 wordPosition => uint256)) public nonceBitmap;

    error SignatureExpired(uint256 signatureDeadline);
    error InvalidAmount(uint256 maxAmount);
    error InvalidNonce();
    error InvalidSigner();

    function permitWitnessTransferFrom(
        PermitTransferFrom calldata permit,
        SignatureTransferDetails calldata transferDetails,
        address owner,
        bytes32 witness,
        string calldata witnessTypeString,
        bytes calldata signature
    ) external {
        if (block.timestamp > permit.deadline) revert SignatureExpired(permit.deadline);
        if (transferDetails.requestedAmount > permit.permitted.amount) revert InvalidAmount(permit.permitted.amount);
        uint256 bit = 1 << uint8(permit.nonce);
        uint256 word = nonceBitmap[owner][permit.nonce >> 8] ^= bit;
        if (word & bit == 0) revert InvalidNonce();
        bytes32 digest = _digestOf(permit, witness, witnessTypeString);
        if (!SignatureChecker.isValidSignatureNow(owner, digest, signature)) revert InvalidSigner();
        IERC20(permit.permitted.token).safeTransferFrom(owner, transferDetails.to, transferDetails.requestedAmount);
    }

    function _digestOf(
        PermitTransferFrom calldata permit,
        bytes32 witness,
        string calldata witnessTypeString
    ) private view returns (bytes32) {
        bytes32 permissionsTypehash = keccak256("TokenPermissions(address token,uint256 amount)");
        bytes32 permissions = keccak256(abi.encode(permissionsTypehash, permit.permitted));
        bytes32 typehash = keccak256(
            abi.encodePacked(
                "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,",
                witnessTypeString
            )
        );
        bytes32 structHash = keccak256(
            abi.encode(typehash, permissions, msg.sender, permit.nonce, permit.deadline, witness)
        );
        bytes32 domainTypehash = keccak256("EIP712Domain(string name,uint256 chainId,address verifyingContract)");
        bytes32 domain = keccak256(abi.encode(domainTypehash, keccak256("Permit2"), block.chainid, address(this)));
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }
}
