// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOperators} from "../interfaces/IOperators.sol";

/// @notice Asks who answers for an agent, and is neither stopped nor drained by the answer, whatever it is.
library OperatorQuery {
    /// @return operator zero = nobody known: no credential, no contract, a revert, or an answer too short or too dear
    function operatorOf(
        IOperators operators,
        uint256 agentId,
        uint256 gasLimit
    ) internal view returns (bytes32 operator) {
        bytes memory question = abi.encodeCall(IOperators.operatorOf, (agentId));
        assembly ("memory-safe") {
            let isDone := staticcall(gasLimit, operators, add(question, 32), mload(question), 0, 32)
            // One word at bytes 0-31, however long the answer is: a long one costs its giver.
            if and(isDone, gt(returndatasize(), 31)) {
                operator := mload(0)
            }
        }
    }
}
