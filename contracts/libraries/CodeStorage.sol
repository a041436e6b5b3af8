// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SlotDerivation} from "@openzeppelin/contracts/utils/SlotDerivation.sol";
import {TransientSlot} from "@openzeppelin/contracts/utils/TransientSlot.sol";

/// @notice What a contract that keeps bytes with CodeStorage answers to the code that it creates.
interface IContentSource {
    /// @notice The bytes that are being written in this call; empty at any other time.
    function contentInTransit() external view returns (bytes memory);
}

/// @notice Code that is nothing but bytes: one STOP, so that nobody can run it, then the content.
contract StoredContent {
    constructor() {
        bytes memory content = IContentSource(msg.sender).contentInTransit();
        assembly ("memory-safe") {
            let length := mload(content)
            mstore8(add(content, 31), 0)
            return(add(content, 31), add(length, 1))
        }
    }
}

/// @notice Bytes kept as code at an address that follows from a salt alone, so that no slot holds a pointer.
/// @dev A CREATE2 address follows from the creation code, which usually carries the content. Here the creation code is
/// constant and fetches the content from its creator's transient storage. Measured for 66 bytes, see the README.
library CodeStorage {
    using SlotDerivation for bytes32;
    using TransientSlot for bytes32;
    using TransientSlot for TransientSlot.Bytes32Slot;
    using TransientSlot for TransientSlot.Uint256Slot;

    /// keccak256("surety.CodeStorage.length"): the length, then the words.
    bytes32 private constant TRANSIT_SLOT = 0x089788bf2e151fc835108ff8783299f979ea327494c53cd3e1c7305dff5ed853;

    /// @param salt not used before
    /// @param content at most 24,575 bytes (EIP-170)
    function write(bytes32 salt, bytes memory content) internal {
        if (content.length == 0) return;
        TRANSIT_SLOT.asUint256().tstore(content.length);
        for (uint256 i = 0; i < content.length; i += 32) {
            bytes32 word;
            // The last word may end in bytes that are not content; the length cuts them off again.
            assembly ("memory-safe") {
                word := mload(add(add(content, 32), i))
            }
            TRANSIT_SLOT.offset(1 + i / 32).asBytes32().tstore(word);
        }
        new StoredContent{salt: salt}();
        TRANSIT_SLOT.asUint256().tstore(0);
    }

    /// @return content what was written under the salt; empty if nothing was
    function read(bytes32 salt) internal view returns (bytes memory content) {
        address account = addressOf(salt);
        uint256 size = account.code.length;
        if (size == 0) return content;
        content = new bytes(size - 1);
        assembly ("memory-safe") {
            extcodecopy(account, add(content, 32), 1, sub(size, 1))
        }
    }

    function addressOf(bytes32 salt) internal view returns (address) {
        bytes32 codeHash = keccak256(type(StoredContent).creationCode);
        return address(uint160(uint256(keccak256(abi.encodePacked(bytes1(0xff), address(this), salt, codeHash)))));
    }

    /// @notice Body of `contentInTransit`.
    function inTransit() internal view returns (bytes memory content) {
        content = new bytes(TRANSIT_SLOT.asUint256().tload());
        for (uint256 i = 0; i < content.length; i += 32) {
            bytes32 word = TRANSIT_SLOT.offset(1 + i / 32).asBytes32().tload();
            // `new bytes` reserves whole words, so the last one never spills.
            assembly ("memory-safe") {
                mstore(add(add(content, 32), i), word)
            }
        }
    }
}
