// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IBindings} from "../interfaces/IBindings.sol";
import {IEpochClock} from "../interfaces/IEpochClock.sol";
import {IStakeVault} from "../interfaces/IStakeVault.sol";
import {IWindowValidators} from "../interfaces/IWindowValidators.sol";
import {Speakers} from "../libraries/Speakers.sol";

/// @title Who can be drawn, with what weight, and what holds its stake
/// @dev Each place is double-buffered by epoch, as the vault's stakes are: a draw reads what stood there when the running epoch began,
/// and the seed's block is named after that. Places never move, so that nothing anybody does in the epoch changes a draw of it.
abstract contract WindowCandidates is IWindowValidators {
    /// @dev What a draw reads, at 2,100 gas each.
    uint256 internal constant MAX_CANDIDATES = 64;

    /// @dev One slot. agentId 0 = free.
    struct Place {
        uint32 epoch;
        uint32 agentId;
        uint32 weight;
        uint32 agentIdBefore;
        uint32 weightBefore;
    }

    /// @dev One slot. place counts from 1; 0 = no candidate.
    struct Enlistment {
        uint112 amount;
        uint48 releasableAt;
        uint8 place;
    }

    /// @inheritdoc IWindowValidators
    IStakeVault public immutable vault;
    /// @inheritdoc IWindowValidators
    IBindings public immutable registry;
    /// @inheritdoc IWindowValidators
    uint256 public immutable bond;
    /// @inheritdoc IWindowValidators
    uint256 public immutable evidencePeriod;
    /// @dev The clock's, which never change.
    uint256 internal immutable GENESIS;
    uint256 internal immutable EPOCH_LENGTH;

    mapping(uint256 topicAndPlace => Place) private _places;
    mapping(uint256 topicAndAgent => Enlistment) private _enlistments;

    constructor(IStakeVault vault_, uint256 bond_) {
        IEpochClock clock = vault_.clock();
        vault = vault_;
        registry = IBindings(address(vault_.registry()));
        bond = bond_;
        evidencePeriod = vault_.unbondingDelay();
        GENESIS = clock.genesis();
        EPOCH_LENGTH = clock.epochLength();
    }

    modifier onlySpeaker(uint32 agentId) {
        require(
            Speakers.speaksFor(address(registry), msg.sender, agentId),
            WindowValidatorsNotAuthorized(agentId, msg.sender)
        );
        _;
    }

    /// @inheritdoc IWindowValidators
    function enlist(uint64 topic, uint32 agentId, uint256 amount) external onlySpeaker(agentId) {
        require(topic != 0, WindowValidatorsZeroTopic());
        Enlistment memory entry = _enlistments[_key(topic, agentId)];
        uint256 enlisted = entry.amount + amount;
        require(enlisted >= bond, WindowValidatorsBelowBond(topic, agentId, enlisted, bond));
        uint32 weight = uint32(Math.min(enlisted / bond, type(uint32).max));
        uint256 place = entry.place == 0 ? _takePlace(topic, weight) : entry.place;

        _setPlace(topic, place, agentId, weight);
        // The vault holds no stake above 112 bits, and refuses below what is not there.
        _enlistments[_key(topic, agentId)] = Enlistment(uint112(enlisted), 0, uint8(place));
        emit Enlisted(topic, agentId, amount, enlisted, place, weight);
        // INVARIANT 12: what is enlisted is locked, once for each topic: no two uses rest on the same stake.
        if (amount != 0) vault.lock(agentId, amount);
    }

    /// @inheritdoc IWindowValidators
    function resign(uint64 topic, uint32 agentId) external onlySpeaker(agentId) {
        uint256 place = _enlistments[_key(topic, agentId)].place;
        require(place != 0, WindowValidatorsNotEnlisted(topic, agentId));
        _vacate(topic, agentId, place);
    }

    /// @inheritdoc IWindowValidators
    function release(uint64 topic, uint32 agentId) external returns (uint256 amount) {
        Enlistment memory entry = _enlistments[_key(topic, agentId)];
        require(entry.amount != 0 && entry.place == 0, WindowValidatorsNotEnlisted(topic, agentId));
        // INVARIANT: stake stays within reach for as long as its agent can be held to a window.
        require(
            block.timestamp >= entry.releasableAt,
            WindowValidatorsStillBound(topic, agentId, entry.releasableAt, block.timestamp)
        );
        amount = entry.amount;
        delete _enlistments[_key(topic, agentId)];
        emit Released(topic, agentId, amount);
        vault.unlock(agentId, amount);
    }

    /// @inheritdoc IWindowValidators
    function candidatesOf(uint64 topic) public view returns (uint32[] memory agentIds, uint32[] memory weights) {
        agentIds = new uint32[](MAX_CANDIDATES);
        weights = new uint32[](MAX_CANDIDATES);
        uint256 running = _epoch();
        for (uint256 k; k < MAX_CANDIDATES; ++k) {
            Place memory stored = _places[_key(topic, k + 1)];
            bool isChanged = stored.epoch == running;
            agentIds[k] = isChanged ? stored.agentIdBefore : stored.agentId;
            weights[k] = isChanged ? stored.weightBefore : stored.weight;
        }
    }

    /// @inheritdoc IWindowValidators
    function enlistmentOf(
        uint64 topic,
        uint32 agentId
    ) public view returns (uint256 enlisted, uint256 place, uint48 releasableAt) {
        Enlistment memory entry = _enlistments[_key(topic, agentId)];
        return (entry.amount, entry.place, entry.releasableAt);
    }

    /// @dev Takes all that the agent has at stake in the topic out of the records; the caller slashes the lock.
    function _forfeit(uint64 topic, uint32 agentId) internal returns (uint256 amount) {
        Enlistment memory entry = _enlistments[_key(topic, agentId)];
        amount = entry.amount;
        require(amount != 0, WindowValidatorsNothingAtStake(topic, agentId));
        if (entry.place != 0) _vacate(topic, agentId, entry.place);
        delete _enlistments[_key(topic, agentId)];
    }

    function _epoch() internal view returns (uint256) {
        return (block.timestamp - GENESIS) / EPOCH_LENGTH + 1;
    }

    /// @return first second of an epoch
    function _startOf(uint256 epoch) internal view returns (uint256) {
        return GENESIS + (epoch - 1) * EPOCH_LENGTH;
    }

    function _key(uint64 topic, uint256 part) internal pure returns (uint256) {
        return (uint256(topic) << 64) | part;
    }

    /// @dev The first free place, else that of the least, if this is more.
    function _takePlace(uint64 topic, uint32 weight) private returns (uint256 place) {
        uint256 least = type(uint256).max;
        for (uint256 k = 1; k <= MAX_CANDIDATES; ++k) {
            Place memory stored = _places[_key(topic, k)];
            if (stored.agentId == 0) return k;
            if (stored.weight < least) (least, place) = (stored.weight, k);
        }
        require(weight > least, WindowValidatorsFull(topic, weight, uint32(least)));
        _vacate(topic, _places[_key(topic, place)].agentId, place);
    }

    /// @dev Who leaves now may be drawn in this epoch for the next one, and for none after it.
    function _vacate(uint64 topic, uint32 agentId, uint256 place) private {
        _setPlace(topic, place, 0, 0);
        uint48 releasableAt = uint48(_startOf(_epoch() + 2) + evidencePeriod);
        Enlistment storage entry = _enlistments[_key(topic, agentId)];
        (entry.place, entry.releasableAt) = (0, releasableAt);
        emit Resigned(topic, agentId, place, releasableAt);
    }

    /// @dev INVARIANT: what stood here when the epoch began stays readable until it ends.
    function _setPlace(uint64 topic, uint256 place, uint32 agentId, uint32 weight) private {
        uint32 running = uint32(_epoch());
        Place memory stored = _places[_key(topic, place)];
        if (stored.epoch != running)
            (stored.epoch, stored.agentIdBefore, stored.weightBefore) = (running, stored.agentId, stored.weight);
        (stored.agentId, stored.weight) = (agentId, weight);
        _places[_key(topic, place)] = stored;
    }
}
