// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC721Receiver} from "@openzeppelin/contracts/interfaces/IERC721Receiver.sol";

/// @notice For tests: an owner that, while the registry gives it an agent, calls the registry as often as it was told.
contract ReenteringReceiver is IERC721Receiver {
    event Reentered(uint256 indexed agentId, bool isOk, bytes output);

    bytes[] private _calls;
    bool private _isInside;

    /// @param calls what to call on the registry from within its callback
    function start(address registry, bytes calldata registration, bytes[] calldata calls) external {
        for (uint256 i = 0; i < calls.length; i++) _calls.push(calls[i]);
        (bool isOk, bytes memory output) = registry.call(registration);
        if (!isOk) {
            assembly ("memory-safe") {
                revert(add(output, 32), mload(output))
            }
        }
    }

    function onERC721Received(address, address, uint256 agentId, bytes calldata) external returns (bytes4) {
        if (!_isInside) {
            _isInside = true;
            for (uint256 i = 0; i < _calls.length; i++) {
                (bool isOk, bytes memory output) = msg.sender.call(_calls[i]);
                emit Reentered(agentId, isOk, output);
            }
            _isInside = false;
        }
        return IERC721Receiver.onERC721Received.selector;
    }
}
