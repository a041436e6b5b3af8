// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What could not be paid out, kept for whom it belongs to
/// @notice Every payment that fails is credited and pulled: no recipient blocks anybody. Token zero is native value.
interface ICredits {
    event Credited(address indexed token, address indexed account, uint256 amount);
    event CreditWithdrawn(address indexed token, address indexed account, uint256 amount);

    error CreditsNone(address token, address account);
    error CreditsTransferFailed(address to, uint256 amount);

    /// @notice Pays out the caller's whole credit.
    function withdrawCredit(address token, address to) external returns (uint256 amount);

    function creditOf(address token, address account) external view returns (uint256);
}
