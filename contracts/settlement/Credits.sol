// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ICredits} from "../interfaces/ICredits.sol";

/// @notice Payments that cannot block: what a recipient does not take is credited to it.
abstract contract Credits is ICredits {
    using SafeERC20 for IERC20;

    mapping(address token => mapping(address account => uint256)) private _credits;

    /// @inheritdoc ICredits
    function withdrawCredit(address token, address to) external returns (uint256 amount) {
        amount = _credits[token][msg.sender];
        if (amount == 0) revert CreditsNone(token, msg.sender);

        _credits[token][msg.sender] = 0;
        emit CreditWithdrawn(token, msg.sender, amount);
        if (token != address(0)) IERC20(token).safeTransfer(to, amount);
        else if (!_send(to, amount)) revert CreditsTransferFailed(to, amount);
    }

    /// @inheritdoc ICredits
    function creditOf(address token, address account) external view returns (uint256) {
        return _credits[token][account];
    }

    /// @dev INVARIANT 7: a recipient that cannot be paid is credited, and blocks nobody. All gas is forwarded: a transfer that
    /// runs out of it leaves a 64th, and a credit costs over 22,000, so no caller can turn a payment into a credit by
    /// giving little gas, unless the transfer itself needs over a million.
    function _pay(address token, address to, uint256 amount) internal {
        if (amount == 0) return;
        if (token == address(0) ? _send(to, amount) : IERC20(token).trySafeTransfer(to, amount)) return;
        _credit(token, to, amount);
    }

    function _credit(address token, address account, uint256 amount) internal {
        _credits[token][account] += amount;
        emit Credited(token, account, amount);
    }

    /// @dev Takes from a credit that the account has agreed to spend.
    function _spendCredit(address token, address account, uint256 amount) internal {
        uint256 credit = _credits[token][account];
        if (credit < amount) revert CreditsNone(token, account);
        _credits[token][account] = credit - amount;
        emit CreditWithdrawn(token, account, amount);
    }

    /// @dev No answer is copied: a recipient cannot make the payer pay for memory.
    function _send(address to, uint256 amount) private returns (bool isSent) {
        assembly ("memory-safe") {
            isSent := call(gas(), to, amount, 0, 0, 0, 0)
        }
    }
}
