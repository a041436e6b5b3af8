// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {IERC721Receiver} from "@openzeppelin/contracts/token/ERC721/IERC721Receiver.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {ITokenHooks} from "./HostileToken.sol";

// Calling anything is what this account is for.
// solhint-disable avoid-low-level-calls, no-complex-fallback

/// @title An ERC-1271 account that re-enters wherever it is called. TEST ONLY.
/// @notice Its key's signatures are its own. Each hook makes the planned calls and remembers what became of them.
contract ReentrantWallet is IERC1271, IERC721Receiver, ITokenHooks {
    struct PlannedCall {
        address target;
        bytes input;
    }

    address public immutable key;
    PlannedCall[] private _plan;
    /// @notice True: a planned call that fails makes the hook fail.
    bool public isStrict;
    /// @notice True: signature checks make the planned calls too; a write there burns the check's gas.
    bool public isCheckReentrant;
    /// @notice True: it takes no native value.
    bool public isRefusing;
    uint256 public attemptCount;
    uint256 public successCount;
    bytes public lastFailure;

    error ReentrantWalletCallFailed(bytes reason);
    error ReentrantWalletRefused(uint256 value);

    constructor(address key_) {
        key = key_;
    }

    receive() external payable {
        if (isRefusing) revert ReentrantWalletRefused(msg.value);
        _reenter();
    }

    /// @notice Calls anything as this account.
    function execute(address target, bytes calldata input) external returns (bytes memory output) {
        bool isDone;
        (isDone, output) = target.call(input);
        if (!isDone) revert ReentrantWalletCallFailed(output);
    }

    function setPlan(PlannedCall[] calldata plan, bool isStrict_, bool isCheckReentrant_) external {
        delete _plan;
        for (uint256 i = 0; i < plan.length; ++i) _plan.push(plan[i]);
        isStrict = isStrict_;
        isCheckReentrant = isCheckReentrant_;
        attemptCount = 0;
        successCount = 0;
        lastFailure = "";
    }

    function setRefusing(bool isRefusing_) external {
        isRefusing = isRefusing_;
    }

    function tokensToSend(address, uint256) external {
        _reenter();
    }

    function tokensReceived(address, uint256) external {
        _reenter();
    }

    /// @dev A check by staticcall leaves no room for a write, so a re-entry that counts would revert here.
    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        if (ECDSA.recoverCalldata(digest, signature) != key) return bytes4(0xffffffff);
        for (uint256 i = 0; isCheckReentrant && i < _plan.length; ++i) {
            (bool isDone, bytes memory reason) = _plan[i].target.staticcall(_plan[i].input);
            if (isStrict && !isDone) revert ReentrantWalletCallFailed(reason);
        }
        return IERC1271.isValidSignature.selector;
    }

    function onERC721Received(address, address, uint256, bytes calldata) external pure returns (bytes4) {
        return IERC721Receiver.onERC721Received.selector;
    }

    function _reenter() private {
        for (uint256 i = 0; i < _plan.length; ++i) {
            ++attemptCount;
            (bool isDone, bytes memory reason) = _plan[i].target.call(_plan[i].input);
            if (isDone) ++successCount;
            else lastFailure = reason;
            if (isStrict && !isDone) revert ReentrantWalletCallFailed(reason);
        }
    }
}
