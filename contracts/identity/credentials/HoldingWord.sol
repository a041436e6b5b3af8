// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What an operator holds, as one word: owner160 | validUntil48 | agentId32 | source8 | level8, least significant field
/// first. `owner` 0 = renounced; `agentId` 0 = never presented. A word and no struct, which would be written in two parts.
library HoldingWord {
    function pack(
        address owner,
        uint48 validUntil,
        uint256 agentId,
        uint8 source,
        uint8 level
    ) internal pure returns (uint256 holding) {
        return
            uint256(uint160(owner)) |
            (uint256(validUntil) << 160) |
            (uint256(uint32(agentId)) << 208) |
            (uint256(source) << 240) |
            (uint256(level) << 248);
    }

    function renounced(uint256 holding) internal pure returns (uint256) {
        return holding & ~uint256(type(uint160).max);
    }

    function ownerOf(uint256 holding) internal pure returns (address) {
        return address(uint160(holding));
    }

    function validUntilOf(uint256 holding) internal pure returns (uint48) {
        return uint48(holding >> 160);
    }

    function agentIdOf(uint256 holding) internal pure returns (uint256) {
        return uint32(holding >> 208);
    }

    function sourceOf(uint256 holding) internal pure returns (uint8) {
        return uint8(holding >> 240);
    }

    function levelOf(uint256 holding) internal pure returns (uint8) {
        return uint8(holding >> 248);
    }
}
