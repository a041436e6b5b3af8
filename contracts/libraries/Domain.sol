// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

/// @notice EIP-712 digests under the domain of another contract, version "1", on this chain whatever it forks into.
library Domain {
    bytes32 private constant TYPEHASH = keccak256(
        "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    );
    bytes32 private constant VERSION = keccak256("1");
    /// Name of the domain of every statement about an agent: IdentityRegistry and ForeignBindings, told apart by address.
    bytes32 internal constant IDENTITY = keccak256("ERC8004IdentityRegistry");
    bytes32 internal constant LOG = keccak256("SuretyLog");
    bytes32 internal constant BATCH = keccak256("SuretyBatch");

    /// @param name keccak256 of the domain's name
    function digest(bytes32 name, address verifyingContract, bytes32 structHash) internal view returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(separator(name, verifyingContract), structHash);
    }

    /// @notice What the digests of one domain have in common, for who needs several.
    function separator(bytes32 name, address verifyingContract) internal view returns (bytes32) {
        return keccak256(abi.encode(TYPEHASH, name, VERSION, block.chainid, verifyingContract));
    }
}
