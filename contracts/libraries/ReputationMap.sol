// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice The exact integer map of EigenTrust (arXiv 2606.17368 eq. 11) whose fixed point an epoch commits:
///   F_j = ((65536 - A)·Σ_i w_ij·⌊t_i / W_i⌋ >> 16) + (multiplier·prior_j >> shift).
/// @dev Nothing here can overflow: a term of the sum is below 2^48·2^64, a row has fewer than 2^32 of them, and
/// multiplier·prior is below 2^63·2^48. An engine that computes the same numbers in any width gets the same result.
library ReputationMap {
    /// @dev Sum of all scores of a topic, dust included.
    uint256 internal constant TOTAL = 1 << 62;
    /// @dev What rounding may leave to seat 0: TOTAL >> 28.
    uint256 internal constant MAX_DUST = 1 << 34;
    uint256 internal constant MAX_PRIOR = (1 << 48) - 1;
    uint256 internal constant MAX_MULTIPLIER = (1 << 63) - 1;
    /// @dev The largest shift that an honest λ needs: λ >= α·TOTAL / Σ prior > 2^59 / 2^80, and multiplier < 2^63.
    uint256 internal constant MAX_SHIFT = 84;
    /// @dev α·2^16, α = .15.
    uint256 private constant ALPHA = 9_830;
    /// @dev 1 as a share, of ω and of the couplings' cap.
    uint256 internal constant ONE = 1 << 16;

    /// @notice What one in-neighbour passes on: w·⌊t / W⌋. A leaf with row sum 0 passes nothing on.
    function flowOf(uint256 weight, uint256 score, uint256 rowSum) internal pure returns (uint256) {
        return rowSum == 0 ? 0 : weight * (score / rowSum);
    }

    /// @notice F_j from the sum of the flows into j.
    function scoreOf(uint256 flow, uint256 prior, uint256 multiplier, uint256 shift) internal pure returns (uint256) {
        return (((65_536 - ALPHA) * flow) >> 16) + ((multiplier * prior) >> shift);
    }

    /// @notice T = α·TOTAL / λ, at most the sum of the priors under this λ: λ·Σ prior is what flows leave of TOTAL, and they take
    /// (1 - α) of it at most.
    /// @dev Below 2^144: multiplier >= 1, shift <= MAX_SHIFT.
    function budgetOf(uint256 multiplier, uint256 shift) internal pure returns (uint256) {
        return ((ALPHA * (TOTAL >> 16)) << shift) / multiplier;
    }

    /// @notice What a score in a source brings, in 2^-16 of the stake token's smallest unit. Below 2^163.
    function bridgedBy(uint256 score, uint256 omega, uint256 budget) internal pure returns (uint256) {
        return omega * ((score * budget) / TOTAL);
    }

    /// @notice The prior of a stake and of what its sources bring together.
    function priorOf(uint256 stake, uint256 bridged, uint256 maxShare) internal pure returns (uint256 prior) {
        uint256 most = (stake * maxShare) / ONE;
        bridged /= ONE;
        prior = stake + (bridged < most ? bridged : most);
        if (prior > MAX_PRIOR) prior = MAX_PRIOR;
    }
}
