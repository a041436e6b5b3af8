// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {LogEvidence} from "../../contracts/identity/LogEvidence.sol";
import {SignerRecord, Signers} from "../../contracts/identity/Signers.sol";
import {IBindings} from "../../contracts/interfaces/IBindings.sol";
import {CodeStorage, IContentSource} from "../../contracts/libraries/CodeStorage.sol";
import {Domain} from "../../contracts/libraries/Domain.sol";
import {StructHash} from "../../contracts/libraries/StructHash.sol";
import {LogHeader} from "../../contracts/libraries/Types.sol";
import {vm} from "./Vm.sol";

contract IdentityFuzz is IContentSource {
    function contentInTransit() external view returns (bytes memory) {
        return CodeStorage.inTransit();
    }

    function testFuzz_CodeStorageGivesBackAnyBytes(bytes32 salt, bytes calldata content) public {
        bytes32 other = keccak256(abi.encode(salt));
        CodeStorage.write(salt, content);
        require(keccak256(CodeStorage.read(salt)) == keccak256(content), "other bytes");
        require(CodeStorage.inTransit().length == 0, "bytes left in transit");
        require(CodeStorage.read(other).length == 0, "bytes under a salt that was never used");
        if (content.length == 0) return;
        // A second content in the same transaction, shorter: nothing of the first may show.
        CodeStorage.write(other, content[:content.length / 2]);
        require(
            keccak256(CodeStorage.read(other)) == keccak256(content[:content.length / 2]),
            "the first shines through"
        );
        (bool isOk, bytes memory output) = CodeStorage.addressOf(salt).call(content);
        require(isOk && output.length == 0, "the code runs");
    }

    /// The judge keeps its domain, and makes it anew where the chain has forked into another.
    function testFuzz_LogsDigestFollowsTheChain(LogHeader memory header, uint32 chainId, address registry) public {
        LogEvidence evidence = new LogEvidence(IBindings(registry));
        uint256 here = block.chainid;
        bytes32 structHash = StructHash.hash(header);
        bytes32 first = evidence.digestOf(header);
        require(first == Domain.digest(Domain.LOG, registry, structHash), "another domain");
        uint256 there = uint256(chainId) + (chainId >= here ? 1 : 0);
        vm.chainId(there);
        require(evidence.digestOf(header) != first, "one digest on two chains");
        require(evidence.digestOf(header) == Domain.digest(Domain.LOG, registry, structHash), "the domain stayed");
        vm.chainId(here);
        require(evidence.digestOf(header) == first, "the domain did not come back");
    }

    function testFuzz_ValidityIsAHalfOpenWindow(
        SignerRecord memory record,
        uint256 agentId,
        uint8 purposeSeed,
        uint256 time
    ) public pure {
        bytes32 purpose = Signers.purposeAt(1 + (purposeSeed % 4));
        // Steer half of the runs to the record's own agent, purpose and edges, where the truth is decided.
        if (purposeSeed & 0x80 == 0) {
            record.purposeIndex = 1 + (purposeSeed % 4);
            agentId = record.agentId;
            time = [record.validFrom, record.validUntil, record.invalidFrom, uint48(time)][
                (purposeSeed % 3) + (time % 2)
            ];
        }
        bool isExpected = record.agentId != 0 && agentId == record.agentId && record.purposeIndex >= 1;
        isExpected = isExpected && record.purposeIndex <= 4 && Signers.purposeAt(record.purposeIndex) == purpose;
        if (time < record.validFrom) isExpected = false;
        if (record.validUntil != 0 && time >= record.validUntil) isExpected = false;
        if (record.invalidFrom != 0 && time >= record.invalidFrom) isExpected = false;
        require(Signers.isValidAt(record, agentId, purpose, time, 0) == isExpected, "validity");
    }

    function testFuzz_PurposesAreFourWords(bytes32 purpose) public view {
        for (uint8 index = 1; index <= 4; ++index) {
            require(Signers.indexOf(Signers.purposeAt(index)) == index, "index");
        }
        bool isWord = purpose == "LOG" || purpose == "TRANSPORT" || purpose == "OPERATOR" || purpose == "RECOVERY";
        try this.indexOf(purpose) {
            require(isWord, "an unknown purpose has an index");
        } catch (bytes memory reason) {
            require(!isWord, "a known purpose has none");
            bytes memory expected = abi.encodeWithSelector(IBindings.BindingsUnknownPurpose.selector, purpose);
            require(keccak256(reason) == keccak256(expected), "another error");
        }
    }

    function indexOf(bytes32 purpose) external pure returns (uint8) {
        return Signers.indexOf(purpose);
    }
}
