// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {IERC721Receiver} from "@openzeppelin/contracts/interfaces/IERC721Receiver.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @notice For tests: a smart account with one key. It executes what the key's account sends, answers ERC-1271 for
/// the key's signatures until it is closed, and receives ERC-721 tokens.
contract ExecutingWallet is IERC1271, IERC721Receiver {
    error ExecutingWalletNotOwner(address caller);

    address public immutable owner;
    bool public isClosed;

    constructor(address owner_) {
        owner = owner_;
    }

    function close() external {
        isClosed = true;
    }

    function execute(address target, bytes calldata input) external returns (bytes memory) {
        if (msg.sender != owner) revert ExecutingWalletNotOwner(msg.sender);
        (bool isOk, bytes memory output) = target.call(input);
        if (!isOk) {
            assembly ("memory-safe") {
                revert(add(output, 32), mload(output))
            }
        }
        return output;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        (address recovered, , ) = ECDSA.tryRecoverCalldata(digest, signature);
        return recovered == owner && !isClosed ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }

    function onERC721Received(address, address, uint256, bytes calldata) external pure returns (bytes4) {
        return IERC721Receiver.onERC721Received.selector;
    }
}
