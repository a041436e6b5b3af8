// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBindings} from "../../contracts/interfaces/IBindings.sol";
import {IDealEscrow} from "../../contracts/interfaces/IDealEscrow.sol";
import {IdentityRegistry} from "../../contracts/identity/IdentityRegistry.sol";
import {Signers} from "../../contracts/identity/Signers.sol";
import {StructHash} from "../../contracts/libraries/StructHash.sol";
import {SignerBinding} from "../../contracts/libraries/Types.sol";
import {ReentrantWallet} from "../../contracts/mocks/ReentrantWallet.sol";
import {vm} from "./Vm.sol";

/// @notice Real agents on a real registry: two of plain keys, and a third whose account is a contract that re-enters.
contract Agents {
    uint256 public constant COUNT = 3;
    IdentityRegistry public immutable registry;
    ReentrantWallet public immutable wallet;
    /// @dev Index i is agent i + 1. Keys are small numbers: nothing of value hangs on them.
    address[3] public accounts;

    constructor() {
        registry = new IdentityRegistry();
        wallet = new ReentrantWallet(vm.addr(103));
        accounts = [vm.addr(101), vm.addr(102), address(wallet)];
        for (uint256 i = 0; i < COUNT; ++i) _register(i);
    }

    /// @notice The signature of an agent's key over a digest; index COUNT is nobody's key.
    function sign(uint256 index, bytes32 digest) public pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(101 + index, digest);
        return abi.encodePacked(r, s, v);
    }

    function consent(uint256 index, bytes32 digest) external view returns (IDealEscrow.Party memory) {
        return IDealEscrow.Party({signer: abi.encodePacked(accounts[index]), signature: sign(index, digest)});
    }

    /// @notice EIP-712 digest under the domain of a contract.
    function digestFor(string memory name, address verifier, bytes32 structHash) public view returns (bytes32) {
        bytes32 typehash = keccak256(
            "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
        );
        bytes32 domain = keccak256(
            abi.encode(typehash, keccak256(bytes(name)), keccak256("1"), block.chainid, verifier)
        );
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }

    function _register(uint256 index) private {
        uint48 deadline = uint48(block.timestamp + 1 hours);
        SignerBinding memory binding = SignerBinding({
            agentId: 0,
            owner: accounts[index],
            signerHash: keccak256(abi.encodePacked(accounts[index])),
            purpose: Signers.LOG,
            validFrom: 0,
            validUntil: 0,
            deadline: deadline
        });
        bytes32 digest = digestFor("ERC8004IdentityRegistry", address(registry), StructHash.hash(binding));
        IBindings.InitialBinding memory initial = IBindings.InitialBinding({
            commitment: 0,
            signer: abi.encodePacked(accounts[index]),
            validFrom: 0,
            validUntil: 0,
            deadline: deadline,
            proof: sign(index, digest)
        });
        vm.prank(accounts[index]);
        registry.registerBound("", initial);
    }
}
