// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Both sides of ERC-2771: a call in somebody's name carries that account as its last 20 bytes.
library Forwarded {
    /// @notice In whose name the current call is made. The caller is a forwarder that is trusted never to lie.
    function sender() internal pure returns (address) {
        return address(bytes20(msg.data[msg.data.length - 20:]));
    }

    /// @notice Calls `target` in the name of `account`, and reverts as it does.
    function forward(address target, address account, bytes memory input) internal returns (bytes memory output) {
        bool isOk;
        // Any call, in another name: there is no interface to name.
        // solhint-disable-next-line avoid-low-level-calls
        (isOk, output) = target.call(abi.encodePacked(input, account));
        if (isOk) return output;
        assembly ("memory-safe") {
            revert(add(output, 32), mload(output))
        }
    }
}
