// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IArbitrable, IArbitrator} from "../interfaces/IArbitrator.sol";

/// @notice An arbitrable that anybody may quarrel through, and that can be told to refuse rulings. For tests only.
contract RulingTaker is IArbitrable {
    error RulingTakerRefuses();

    IArbitrator private immutable ARBITRATOR;
    bool private _isRefusing;
    mapping(uint256 disputeId => uint256 rulingPlusOne) private _rulings;

    constructor(IArbitrator arbitrator) {
        ARBITRATOR = arbitrator;
    }

    receive() external payable {}

    function ask(uint256 choices, bytes calldata extraData) external payable returns (uint256 disputeId) {
        return ARBITRATOR.createDispute{value: msg.value}(choices, extraData);
    }

    function setRefusing(bool isRefusing) external {
        _isRefusing = isRefusing;
    }

    /// @inheritdoc IArbitrable
    function rule(uint256 disputeId, uint256 ruling) external {
        if (_isRefusing || msg.sender != address(ARBITRATOR) || _rulings[disputeId] != 0) revert RulingTakerRefuses();
        _rulings[disputeId] = ruling + 1;
        emit Ruling(ARBITRATOR, disputeId, ruling);
    }

    /// @notice 0 = none yet, else the ruling and one.
    function rulingOf(uint256 disputeId) external view returns (uint256) {
        return _rulings[disputeId];
    }
}
