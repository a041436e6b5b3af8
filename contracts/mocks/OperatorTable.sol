// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOperators} from "../interfaces/IOperators.sol";

/// @notice Operators as a test names them; can be told to burn all its gas. For tests only.
contract OperatorTable is IOperators {
    mapping(uint256 agentId => bytes32) private _operators;
    bool private _isFailing;

    function set(uint256 agentId, bytes32 operator) external {
        _operators[agentId] = operator;
    }

    function setFailing(bool isFailing) external {
        _isFailing = isFailing;
    }

    /// @inheritdoc IOperators
    function operatorOf(uint256 agentId) external view returns (bytes32) {
        // All gas that it was given, gone.
        if (_isFailing) {
            assembly ("memory-safe") {
                invalid()
            }
        }
        return _operators[agentId];
    }
}
