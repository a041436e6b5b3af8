// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {LogEvidence} from "../identity/LogEvidence.sol";
import {IEvidenceSlasher} from "../interfaces/IEvidenceSlasher.sol";
import {ILogEvidence} from "../interfaces/ILogEvidence.sol";
import {IStakeVault} from "../interfaces/IStakeVault.sol";
import {Forwarded} from "../libraries/Forwarded.sol";

/// @notice See IEvidenceSlasher.
/// @dev It is a judge itself, by the same code as `evidence`: asking there would copy both headers and cost 5,000 gas more a slash.
contract EvidenceSlasher is IEvidenceSlasher, LogEvidence {
    /// @inheritdoc IEvidenceSlasher
    ILogEvidence public immutable evidence;
    /// @inheritdoc IEvidenceSlasher
    uint256 public immutable penalty;
    IStakeVault private immutable VAULT;

    /// @inheritdoc IEvidenceSlasher
    mapping(bytes32 offenceId => uint256) public takenOf;

    constructor(IStakeVault vault, ILogEvidence evidence_, uint256 penalty_) LogEvidence(evidence_.registry()) {
        require(penalty_ != 0, EvidenceSlasherZeroPenalty());
        VAULT = vault;
        evidence = evidence_;
        penalty = penalty_;
    }

    /// @inheritdoc IEvidenceSlasher
    function reportEquivocation(
        SignedHeader calldata first,
        SignedHeader calldata second
    ) external returns (uint256 taken) {
        (uint256 agentId, bytes32 forkId) = judge(first, second);
        return _punish(agentId, forkId);
    }

    function _punish(uint256 agentId, bytes32 offenceId) private returns (uint256 taken) {
        uint256 takenBefore = takenOf[offenceId];
        // INVARIANT: an offence costs its penalty once, whatever pair of headers shows it and however often.
        require(takenBefore < penalty, EvidenceSlasherPaid(offenceId, penalty));
        // Who comes with a reserved report comes through the vault.
        address reporter = msg.sender == address(VAULT) ? Forwarded.sender() : address(0);
        // Settled below, before anything else can come in: the vault's token is the only stranger, and `seize` is not re-entered.
        takenOf[offenceId] = penalty;
        // Agents beyond the vault's 32 bits never had a stake: refused, not cut down to somebody else's id.
        taken = VAULT.seize(SafeCast.toUint32(agentId), penalty - takenBefore, reporter);
        if (taken != penalty - takenBefore) takenOf[offenceId] = takenBefore + taken;
        emit Punished(agentId, offenceId, reporter, taken, takenBefore + taken);
    }
}
