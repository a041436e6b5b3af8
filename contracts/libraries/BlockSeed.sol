// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Memory} from "@openzeppelin/contracts/utils/Memory.sol";
import {RLP} from "@openzeppelin/contracts/utils/RLP.sol";

/// @notice The beacon's randomness (prevrandao) of one certain block, read out of its header, in any of the 256 blocks after it.
/// @dev Taking `block.prevrandao` of whatever block a draw happens to be mined in would let the drawer wait for one that it likes; the
/// block's hash itself can be ground by its proposer as often as it can hash. What is left is the beacon's own bias: who proposes
/// the k last slots before the block may withhold their reveals, and so choose among at most 2^k outcomes, each withheld slot
/// at the price of its block. An event of probability p is then met with at most 2^k·p.
library BlockSeed {
    /// @dev Place of mixHash, which is prevrandao since the merge, among the header's fields.
    uint256 private constant MIX_HASH = 13;

    /// @param header RLP of the block's header, whose hash the caller has compared with the block's
    function prevrandaoOf(bytes memory header) internal pure returns (bytes32) {
        Memory.Slice[] memory fields = RLP.decodeList(header);
        return RLP.readBytes32(fields[MIX_HASH]);
    }
}
