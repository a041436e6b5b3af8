// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

// Calling anything is what this hook is for.
// solhint-disable avoid-low-level-calls, no-complex-fallback

/// @title A hook with every vice. TEST ONLY.
/// @notice Whatever it is called with, it does what it was told.
contract HostileHook {
    enum Vice {
        None,
        Revert,
        BurnGas,
        /// Answers 100,000 bytes, which a careless caller copies.
        ReturnBomb,
        Reenter
    }

    Vice public vice;
    address private _target;
    bytes private _input;
    uint256 public callCount;
    bool public hasReentered;

    error HostileHookRefused();

    function setVice(Vice vice_, address target, bytes calldata input) external {
        vice = vice_;
        _target = target;
        _input = input;
    }

    fallback() external {
        if (vice == Vice.Revert) revert HostileHookRefused();
        if (vice == Vice.BurnGas) while (gasleft() > 0) {}
        if (vice == Vice.ReturnBomb) {
            assembly ("memory-safe") {
                return(0, 100000)
            }
        }
        ++callCount;
        if (vice != Vice.Reenter) return;
        (bool isDone, ) = _target.call(_input);
        if (isDone) hasReentered = true;
    }
}
