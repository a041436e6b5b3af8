// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IDealEscrow} from "../interfaces/IDealEscrow.sol";
import {Deal} from "../libraries/Types.sol";
import {Credits} from "./Credits.sol";

/// @notice How a deal's money comes in: to the unit, from those who signed for it.
abstract contract DealMoney is IDealEscrow, Credits {
    using SafeERC20 for IERC20;

    /// @dev The caller brings the client's part, the account of the provider's signer its bond.
    function _bring(Deal calldata deal, Party calldata provider) internal {
        uint256 amount = deal.price + deal.clientBond;
        if (deal.providerBond == 0) return _bringFromCaller(deal, amount);
        if (deal.token == address(0)) {
            _requireValue(amount);
            _spendCredit(address(0), _accountOf(provider), deal.providerBond);
            return;
        }
        _requireValue(0);
        uint256 balanceBefore = IERC20(deal.token).balanceOf(address(this));
        IERC20(deal.token).safeTransferFrom(msg.sender, address(this), amount);
        _requireReceived(deal.token, balanceBefore, amount + _bringBond(deal, provider));
    }

    function _bringFromCaller(Deal calldata deal, uint256 amount) internal {
        address token = deal.token;
        if (token == address(0)) return _requireValue(amount);
        _requireValue(0);
        uint256 balanceBefore = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        _requireReceived(token, balanceBefore, amount);
    }

    /// @dev INVARIANT: the allowance that is spent is that of the account that signed these terms.
    function _bringBond(Deal calldata deal, Party calldata provider) internal returns (uint256 bond) {
        bond = deal.providerBond;
        if (bond != 0) IERC20(deal.token).safeTransferFrom(_accountOf(provider), address(this), bond);
    }

    function _requireValue(uint256 expected) internal view {
        if (msg.value != expected) revert DealEscrowWrongValue(expected, msg.value);
    }

    function _requireReceived(address token, uint256 balanceBefore, uint256 expected) internal view {
        uint256 balance = IERC20(token).balanceOf(address(this));
        uint256 received = balance > balanceBefore ? balance - balanceBefore : 0;
        // INVARIANT 8: what the deal promises has arrived, to the unit.
        if (received != expected) revert DealEscrowShortfall(token, expected, received);
    }

    /// @dev The account that signed for a side; a key without an account pays by an authorization.
    function _accountOf(Party calldata party) internal pure returns (address) {
        return party.signer.length == 20 ? address(bytes20(party.signer)) : address(0);
    }
}
