// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBindings} from "./IBindings.sol";

/// @title What the registry of our own agents has beside ERC-8004 and the bindings
interface IIdentityRegistry {
    /// @notice Registers the caller's agent with its commitment and its first LOG signer.
    function registerBound(
        string calldata agentURI,
        IBindings.InitialBinding calldata binding
    ) external returns (uint256 agentId);

    /// @notice True for the three contracts that may act in an owner's name (ERC-2771): they are part of the registry's
    /// code, made by its constructor, and do so by the owner's signature or the guardians' alone.
    function isTrustedForwarder(address account) external view returns (bool);

    /// @notice Twins by signature of what an owner does to its signers: see ISignedBindings.
    function signedBindings() external view returns (address);

    /// @notice Twins by signature of what an owner does by ERC-8004 and ERC-721: see ISignedProfile.
    function signedProfile() external view returns (address);

    /// @notice Guardians that give a lost agent a new owner: see IOwnerRecovery.
    function ownerRecovery() external view returns (address);
}
