// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Signers} from "../identity/Signers.sol";
import {IBindings} from "../interfaces/IBindings.sol";
import {IERC8004Identity} from "../interfaces/IERC8004Identity.sol";

/// @notice Whose transaction is an agent's own: its owner's, an approved account's, or that of one of its LOG signers.
library Speakers {
    function speaksFor(address registry, address caller, uint256 agentId) internal view returns (bool) {
        if (IERC8004Identity(registry).isAuthorizedOrOwner(caller, agentId)) return true;
        // An ERC-7913 signer that is an account is its 20 bytes.
        bytes32 signerHash = keccak256(abi.encodePacked(caller));
        return IBindings(registry).isSignerValidAt(agentId, signerHash, Signers.LOG, block.timestamp);
    }
}
