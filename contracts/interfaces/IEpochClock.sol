// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Epochs are time buckets by block time: epoch e covers [genesis + (e-1)·length, genesis + e·length).
interface IEpochClock {
    /// @notice First second (Unix) of epoch 1.
    function genesis() external view returns (uint256);

    /// @notice Seconds an epoch lasts.
    function epochLength() external view returns (uint256);

    /// @notice The running epoch, from 1.
    function epoch() external view returns (uint256);
}
