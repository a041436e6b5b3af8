// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Signers} from "../identity/Signers.sol";
import {IBindings} from "../interfaces/IBindings.sol";
import {IEvidenceSlasher, Offence} from "../interfaces/IEvidenceSlasher.sol";
import {ILogEvidence} from "../interfaces/ILogEvidence.sol";
import {IStakeVault} from "../interfaces/IStakeVault.sol";
import {Domain} from "../libraries/Domain.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {StructHash} from "../libraries/StructHash.sol";
import {BatchHeader} from "../libraries/Types.sol";

/// @notice See IEvidenceSlasher.
contract EvidenceSlasher is IEvidenceSlasher {
    /// @inheritdoc IEvidenceSlasher
    ILogEvidence public immutable evidence;
    /// @inheritdoc IEvidenceSlasher
    uint256 public immutable penalty;
    IStakeVault private immutable VAULT;
    IBindings private immutable REGISTRY;

    /// @inheritdoc IEvidenceSlasher
    mapping(bytes32 offenceId => uint256) public takenOf;

    constructor(IStakeVault vault, ILogEvidence evidence_, uint256 penalty_) {
        require(penalty_ != 0, EvidenceSlasherZeroPenalty());
        VAULT = vault;
        REGISTRY = evidence_.registry();
        evidence = evidence_;
        penalty = penalty_;
    }

    /// @inheritdoc IEvidenceSlasher
    function reportEquivocation(
        ILogEvidence.SignedHeader calldata first,
        ILogEvidence.SignedHeader calldata second
    ) external returns (uint256 taken) {
        (uint256 agentId, bytes32 forkId) = evidence.judge(first, second);
        return _punish(agentId, forkId, Offence.Equivocation);
    }

    /// @inheritdoc IEvidenceSlasher
    function reportDoubleSigning(
        SignedBatch calldata first,
        SignedBatch calldata second
    ) external returns (uint256 taken) {
        (uint64 topic, uint48 window) = (first.header.topic, first.header.window);
        require(
            topic == second.header.topic && window == second.header.window,
            EvidenceSlasherOtherWindow(topic, window, second.header.topic, second.header.window)
        );
        (bytes32 digest, bytes32 otherDigest) = (digestOf(first.header), digestOf(second.header));
        require(digest != otherDigest, EvidenceSlasherSameHeader(digest));
        address signer = Signatures.recoverKey(digest, first.signature);
        address otherSigner = Signatures.recoverKey(otherDigest, second.signature);
        require(signer == otherSigner, EvidenceSlasherOtherSigner(signer, otherSigner));
        uint256 agentId = _answerableOf(signer, window);
        return _punish(agentId, keccak256(abi.encode(topic, window, signer)), Offence.DoubleSigning);
    }

    /// @inheritdoc IEvidenceSlasher
    function digestOf(BatchHeader calldata header) public view returns (bytes32) {
        return Domain.digest(Domain.BATCH, address(REGISTRY), StructHash.hash(header));
    }

    function _punish(uint256 agentId, bytes32 offenceId, Offence offence) private returns (uint256 taken) {
        uint256 takenBefore = takenOf[offenceId];
        // INVARIANT: an offence costs its penalty once, whatever pair of headers shows it and however often.
        require(takenBefore < penalty, EvidenceSlasherPaid(offenceId, penalty));
        // Who comes with a reserved report comes through the vault.
        address reporter = msg.sender == address(VAULT) ? VAULT.reporter() : address(0);
        // Settled below, before anything else can come in: the vault's token is the only stranger, and `seize` is not re-entered.
        takenOf[offenceId] = penalty;
        // Agents beyond the vault's 32 bits never had a stake: refused, not cut down to somebody else's id.
        taken = VAULT.seize(SafeCast.toUint32(agentId), penalty - takenBefore, reporter);
        takenOf[offenceId] = takenBefore + taken;
        emit Punished(agentId, offenceId, reporter, offence, taken, takenBefore + taken);
    }

    /// @dev As ILogEvidence judges a log's key: the signer answers for the window's second, whatever revocation was dated back
    /// since, and no longer than the evidence period after its end was on record.
    function _answerableOf(address signer, uint256 time) private view returns (uint256 agentId) {
        bytes32 signerHash = keccak256(abi.encodePacked(signer));
        bytes32 purpose;
        uint48 from;
        uint48 until;
        (agentId, purpose, from, until) = REGISTRY.answerableOf(signerHash);
        require(
            agentId != 0 && purpose == Signers.LOG && time >= from && (until == 0 || time < until),
            EvidenceSlasherNotAnswerable(signer, agentId, time)
        );
        uint256 latest = until == 0 ? type(uint256).max : uint256(until) + evidence.evidencePeriod();
        require(block.timestamp <= latest, EvidenceSlasherTooLate(signer, until, latest));
    }
}
