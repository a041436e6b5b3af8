// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC721} from "@openzeppelin/contracts/interfaces/IERC721.sol";
import {IBindings} from "../interfaces/IBindings.sol";
import {IERC8004Identity} from "../interfaces/IERC8004Identity.sol";
import {IOwnerRecovery} from "../interfaces/IOwnerRecovery.sol";
import {Domain} from "../libraries/Domain.sol";
import {Forwarded} from "../libraries/Forwarded.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {StructHash} from "../libraries/StructHash.sol";
import {OwnerChange, RecoveryCancel, RecoverySetting} from "../libraries/Types.sol";
import {SignedOrders} from "./SignedOrders.sol";
import {Signers} from "./Signers.sol";

/// @notice See IOwnerRecovery. Made by IdentityRegistry, which trusts it (ERC-2771): it acts in an owner's name only to hand an
/// agent over as the guardians decided and the owner did not cancel.
contract OwnerRecovery is IOwnerRecovery, SignedOrders {
    struct Setting {
        uint8 threshold;
        uint32 delay;
        /// Tenure of the owner who set it; of another tenure it counts as never set.
        uint24 tenure;
        uint64 attempt;
    }

    struct Pending {
        address newOwner;
        uint48 executableAt;
        uint24 tenure;
    }

    /// @dev As many signature checks as fit a transaction many times over.
    uint8 private constant MAX_THRESHOLD = 32;
    /// @dev An owner who is watching gets a day at the least; one who lost its keys is not locked out for longer than a quarter.
    uint32 private constant MIN_DELAY = 1 days;
    uint32 private constant MAX_DELAY = 90 days;

    mapping(uint256 agentId => Setting) private _settings;
    mapping(uint256 agentId => Pending) private _pending;

    constructor(address registry_) SignedOrders(registry_) {}

    /// @inheritdoc IOwnerRecovery
    function setRecovery(uint256 agentId, uint8 threshold, uint32 delay) external {
        _requireAuthorized(agentId);
        _setRecovery(agentId, threshold, delay);
    }

    /// @inheritdoc IOwnerRecovery
    function setRecoveryWithSignature(
        uint256 agentId,
        uint8 threshold,
        uint32 delay,
        Consent calldata consent
    ) external {
        RecoverySetting memory order = RecoverySetting({
            agentId: agentId,
            threshold: threshold,
            delay: delay,
            nonce: consent.nonce,
            deadline: consent.deadline
        });
        _authorize(agentId, StructHash.hash(order), consent, false);
        _setRecovery(agentId, threshold, delay);
    }

    /// @inheritdoc IOwnerRecovery
    function startRecovery(uint256 agentId, address newOwner, uint48 deadline, Vote[] calldata votes) external {
        address owner = IERC721(registry).ownerOf(agentId);
        uint24 tenure = _tenureOf(agentId);
        Setting storage setting = _settings[agentId];
        if (setting.threshold == 0 || setting.tenure != tenure) revert RecoveryNotSet(agentId);
        if (newOwner == address(0) || newOwner == owner) revert RecoveryBadNewOwner(agentId, newOwner);
        if (block.timestamp > deadline) revert RecoveryExpired(deadline, block.timestamp);
        // INVARIANT: a recovery has as many guardians behind it as the present owner asked for.
        if (votes.length != setting.threshold) revert RecoveryTooFewVotes(agentId, votes.length, setting.threshold);
        OwnerChange memory change = OwnerChange({
            agentId: agentId,
            owner: owner,
            newOwner: newOwner,
            attempt: setting.attempt,
            deadline: deadline
        });
        _requireVotes(agentId, Domain.digest(Domain.IDENTITY, registry, StructHash.hash(change)), votes);

        uint64 attempt = setting.attempt++;
        uint48 executableAt = uint48(block.timestamp) + setting.delay;
        _pending[agentId] = Pending({newOwner: newOwner, executableAt: executableAt, tenure: tenure});
        emit RecoveryStarted(agentId, newOwner, attempt, tenure, executableAt);
    }

    /// @inheritdoc IOwnerRecovery
    function cancelRecovery(uint256 agentId) external {
        _requireAuthorized(agentId);
        _cancel(agentId);
    }

    /// @inheritdoc IOwnerRecovery
    function cancelRecoveryWithSignature(uint256 agentId, Consent calldata consent) external {
        RecoveryCancel memory order = RecoveryCancel({
            agentId: agentId,
            nonce: consent.nonce,
            deadline: consent.deadline
        });
        _authorize(agentId, StructHash.hash(order), consent, false);
        _cancel(agentId);
    }

    /// @inheritdoc IOwnerRecovery
    function executeRecovery(uint256 agentId) external {
        Pending memory pending = _requirePending(agentId);
        // INVARIANT: the owner has its delay, to the second.
        if (block.timestamp < pending.executableAt) {
            revert RecoveryTooEarly(agentId, pending.executableAt, block.timestamp);
        }
        address owner = IERC721(registry).ownerOf(agentId);

        delete _pending[agentId];
        emit RecoveryExecuted(agentId, owner, pending.newOwner);
        // Without a receiver's hook: the new owner was chosen by guardians, and nothing of its code runs here.
        Forwarded.forward(registry, owner, abi.encodeCall(IERC721.transferFrom, (owner, pending.newOwner, agentId)));
    }

    /// @inheritdoc IOwnerRecovery
    function recoveryOf(uint256 agentId) external view returns (uint8 threshold, uint32 delay, uint64 attempt) {
        Setting memory setting = _settings[agentId];
        if (setting.tenure == _tenureOf(agentId)) (threshold, delay) = (setting.threshold, setting.delay);
        attempt = setting.attempt;
    }

    /// @inheritdoc IOwnerRecovery
    function pendingOf(uint256 agentId) external view returns (address newOwner, uint48 executableAt) {
        Pending memory pending = _pending[agentId];
        if (pending.tenure == _tenureOf(agentId)) return (pending.newOwner, pending.executableAt);
    }

    function _setRecovery(uint256 agentId, uint8 threshold, uint32 delay) private {
        if (threshold > MAX_THRESHOLD) revert RecoveryBadThreshold(threshold, MAX_THRESHOLD);
        bool isWithin = threshold == 0 ? delay == 0 : delay >= MIN_DELAY && delay <= MAX_DELAY;
        if (!isWithin) {
            revert RecoveryBadDelay(delay, threshold == 0 ? 0 : MIN_DELAY, threshold == 0 ? 0 : MAX_DELAY);
        }
        uint24 tenure = _tenureOf(agentId);
        Setting storage setting = _settings[agentId];
        (setting.threshold, setting.delay, setting.tenure) = (threshold, delay, tenure);
        emit RecoverySet(agentId, tenure, threshold, delay);
    }

    function _cancel(uint256 agentId) private {
        address newOwner = _requirePending(agentId).newOwner;
        delete _pending[agentId];
        emit RecoveryCancelled(agentId, newOwner);
    }

    function _requireVotes(uint256 agentId, bytes32 digest, Vote[] calldata votes) private view {
        bytes32 previous = 0;
        for (uint256 i = 0; i < votes.length; ++i) {
            bytes32 signerHash = keccak256(votes[i].signer);
            // INVARIANT: nobody votes twice.
            if (signerHash <= previous) revert RecoveryVotesUnordered(previous, signerHash);
            bool isGuardian = IBindings(registry).isSignerValidAt(
                agentId,
                signerHash,
                Signers.RECOVERY,
                block.timestamp
            );
            if (!isGuardian) revert RecoveryNotGuardian(agentId, signerHash);
            if (!Signatures.isValid(votes[i].signer, digest, votes[i].signature)) {
                revert RecoveryBadVote(agentId, signerHash);
            }
            previous = signerHash;
        }
    }

    /// @dev INVARIANT: what was started against a former owner ended with its tenure.
    function _requirePending(uint256 agentId) private view returns (Pending memory pending) {
        pending = _pending[agentId];
        if (pending.newOwner == address(0) || pending.tenure != _tenureOf(agentId)) revert RecoveryNotStarted(agentId);
    }

    function _requireAuthorized(uint256 agentId) private view {
        if (!IERC8004Identity(registry).isAuthorizedOrOwner(msg.sender, agentId)) {
            revert RecoveryNotAuthorized(agentId, msg.sender);
        }
    }

    function _tenureOf(uint256 agentId) private view returns (uint24 tenure) {
        (tenure, ) = IBindings(registry).tenureOf(agentId);
    }
}
