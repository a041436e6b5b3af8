// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";
import {Signers} from "../identity/Signers.sol";
import {IBindings} from "../interfaces/IBindings.sol";
import {IDealEscrow} from "../interfaces/IDealEscrow.sol";
import {IERC8004Identity} from "../interfaces/IERC8004Identity.sol";
import {Signatures} from "../libraries/Signatures.sol";

/// @notice What is found of one side's consent.
enum Consent {
    Valid,
    InvalidSigner,
    BadSignature
}

/// @notice Who speaks for an agent, what counts as its consent, and where it is paid.
library Parties {
    /// @dev The usual caller, a LOG signer, is asked for first. An unknown agent has no speaker.
    function speaksFor(IBindings registry, uint256 agentId, address account) internal view returns (bool) {
        if (registry.isSignerValidAt(agentId, keccak256(abi.encodePacked(account)), Signers.LOG, block.timestamp))
            return true;
        try IERC8004Identity(address(registry)).isAuthorizedOrOwner(account, agentId) returns (bool isAuthorized) {
            return isAuthorized;
        } catch {
            return false;
        }
    }

    function consentOf(
        IBindings registry,
        uint256 agentId,
        bytes32 digest,
        IDealEscrow.Party calldata party
    ) internal view returns (Consent) {
        bytes32 signerHash = keccak256(party.signer);
        if (!registry.isSignerValidAt(agentId, signerHash, Signers.LOG, block.timestamp)) return Consent.InvalidSigner;
        // The caller's own transaction carries the same content under its own key.
        if (party.signature.length == 0 && signerHash == keccak256(abi.encodePacked(msg.sender))) return Consent.Valid;
        return Signatures.isValid(party.signer, digest, party.signature) ? Consent.Valid : Consent.BadSignature;
    }

    /// @notice The agent wallet, else the owner.
    function payeeOf(IBindings registry, uint256 agentId) internal view returns (address) {
        address wallet = IERC8004Identity(address(registry)).getAgentWallet(agentId);
        return wallet == address(0) ? IERC721(address(registry)).ownerOf(agentId) : wallet;
    }
}
