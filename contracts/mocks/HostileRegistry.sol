// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice For tests: a registry of agents that lies as it is told. It answers `ownerOf` alone, one agent or many.
contract HostileRegistry {
    enum Vice {
        None,
        Reverts,
        EatsGas,
        AnswersNothing,
        AnswersNoAddress,
        AnswersZero,
        AnswersAtLength
    }

    address public owner;
    Vice public vice;

    constructor(address owner_) {
        owner = owner_;
    }

    function turn(address owner_, Vice vice_) external {
        owner = owner_;
        vice = vice_;
    }

    function ownerOf(uint256) external view returns (address) {
        // Foreign registries revert with text.
        // solhint-disable-next-line gas-custom-errors
        if (vice == Vice.Reverts) revert("no");
        if (vice == Vice.AnswersNothing) _answer(0, 0);
        if (vice == Vice.AnswersNoAddress) _answer(type(uint256).max, 32);
        if (vice == Vice.AnswersZero) _answer(0, 32);
        // More than anybody wants to pay for copying.
        if (vice == Vice.AnswersAtLength) _answer(uint160(owner), 8_192);
        while (vice == Vice.EatsGas) {}
        return owner;
    }

    function _answer(uint256 word, uint256 length) private pure {
        assembly ("memory-safe") {
            let at := mload(0x40)
            mstore(at, word)
            return(at, length)
        }
    }
}
