// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Signers} from "../identity/Signers.sol";
import {IStakeVault} from "../interfaces/IStakeVault.sol";
import {IWindowValidators} from "../interfaces/IWindowValidators.sol";
import {BlockSeed} from "../libraries/BlockSeed.sol";
import {Domain} from "../libraries/Domain.sol";
import {Forwarded} from "../libraries/Forwarded.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {StructHash} from "../libraries/StructHash.sol";
import {BatchHeader} from "../libraries/Types.sol";
import {WindowCandidates} from "./WindowCandidates.sol";

/// @notice See IWindowValidators.
contract WindowValidators is WindowCandidates {
    /// @dev Seven bear two that lie, and fit one word; each more costs every window a signature.
    uint256 private constant MAX_VALIDATORS = 7;
    /// @dev Blocks from scheduling to the seed: nobody knows the reveals of four slots ahead.
    uint256 private constant DRAW_DELAY = 4;

    /// @dev One slot. A schedule counts in the epoch in which it was made.
    struct Draw {
        uint32 drawnEpoch;
        uint32 scheduledIn;
        uint64 seedBlock;
    }

    struct Anchor {
        bytes32 digest;
        uint48 window;
    }

    /// @inheritdoc IWindowValidators
    uint256 public immutable windowSeconds;

    mapping(uint64 topic => Draw) private _draws;
    /// @dev Seat k in bits 32k to 32k + 31, the number of seats in the top byte.
    mapping(uint256 topicAndEpoch => uint256 seats) private _validators;
    mapping(uint256 topicAndEpoch => Anchor) private _anchors;
    /// @inheritdoc IWindowValidators
    mapping(bytes32 offenceId => bool) public isPunished;

    constructor(IStakeVault vault_, uint256 bond_, uint256 windowSeconds_) WindowCandidates(vault_, bond_) {
        // Without a bond everybody weighs the same as nobody, and an epoch has at least one window.
        require(
            bond_ != 0 && windowSeconds_ != 0 && windowSeconds_ <= EPOCH_LENGTH,
            WindowValidatorsBadTerms(bond_, windowSeconds_)
        );
        windowSeconds = windowSeconds_;
    }

    /// @inheritdoc IWindowValidators
    function scheduleDraw(uint64 topic) external returns (uint256 epoch, uint256 seedBlock) {
        Draw memory last = _draws[topic];
        uint256 running = _epoch();
        epoch = _targetOf(last, running);
        // INVARIANT: while a draw is due its block stands; nobody asks for another one that it likes better.
        require(
            last.scheduledIn != running || last.seedBlock == 0,
            WindowValidatorsScheduled(topic, epoch, last.seedBlock)
        );
        require(epoch != last.drawnEpoch, WindowValidatorsDrawn(topic, epoch));
        seedBlock = _fixSeed(topic, last, epoch);
    }

    /// @inheritdoc IWindowValidators
    function draw(uint64 topic, bytes calldata header) external {
        Draw memory last = _draws[topic];
        uint256 running = _epoch();
        // INVARIANT: seed and weights are of one epoch: the weights were closed before the block was named.
        require(last.scheduledIn == running && last.seedBlock != 0, WindowValidatorsNotScheduled(topic));
        uint256 epoch = _targetOf(last, running);
        require(block.number > last.seedBlock, WindowValidatorsSeedNotYet(topic, last.seedBlock, block.number));
        bytes32 blockHash = blockhash(last.seedBlock);
        if (blockHash == 0) {
            _fixSeed(topic, last, epoch);
            return;
        }
        require(keccak256(header) == blockHash, WindowValidatorsWrongHeader(topic, last.seedBlock));

        bytes32 seed = keccak256(abi.encode(BlockSeed.prevrandaoOf(header), topic, epoch));
        uint32[] memory drawn = _drawSeats(topic, seed);
        require(drawn.length != 0, WindowValidatorsNobody(topic, epoch));
        _draws[topic] = Draw(uint32(epoch), last.scheduledIn, 0);
        uint256 seats = drawn.length << 248;
        for (uint256 k; k < drawn.length; ++k) seats |= uint256(drawn[k]) << (32 * k);
        _validators[_key(topic, epoch)] = seats;
        emit ValidatorsDrawn(topic, uint32(epoch), drawn, seed);
    }

    /// @inheritdoc IWindowValidators
    function anchor(BatchHeader calldata header, bytes[] calldata signatures) external {
        (uint64 topic, uint48 window) = (header.topic, header.window);
        uint256 epoch = epochOf(window);
        uint256 running = _epoch();
        // INVARIANT: what is anchored was signed by those who still answer for it.
        require(epoch + 1 == running, WindowValidatorsNotAnchorable(epoch, running));
        uint48 anchored = _anchors[_key(topic, epoch)].window;
        require(window > anchored, WindowValidatorsNotLater(topic, epoch, window, anchored));
        bytes32 digest = digestOf(header);
        uint256 signers = _checkQuorum(topic, epoch, window, digest, signatures);

        _anchors[_key(topic, epoch)] = Anchor(digest, window);
        emit BatchAnchored(topic, uint32(epoch), digest, header, signers);
    }

    /// @inheritdoc IWindowValidators
    function reportDoubleSigning(
        SignedBatch calldata first,
        SignedBatch calldata second
    ) external returns (uint256 taken) {
        (uint64 topic, uint48 window) = (first.header.topic, first.header.window);
        require(
            topic == second.header.topic && window == second.header.window,
            WindowValidatorsOtherWindow(topic, window, second.header.topic, second.header.window)
        );
        (bytes32 digest, bytes32 otherDigest) = (digestOf(first.header), digestOf(second.header));
        // INVARIANT: one header signed twice is no offence.
        require(digest != otherDigest, WindowValidatorsSameHeader(digest));
        uint256 agentId = _answerableOf(Signatures.recoverKey(digest, first.signature), window);
        uint256 otherAgentId = _answerableOf(Signatures.recoverKey(otherDigest, second.signature), window);
        require(agentId == otherAgentId, WindowValidatorsOtherAgent(agentId, otherAgentId));
        uint256 epoch = epochOf(window);
        require(_isValidator(topic, epoch, agentId), WindowValidatorsNotValidator(topic, epoch, agentId));
        // Fits: it was drawn.
        return _punish(topic, window, uint32(agentId));
    }

    /// @inheritdoc IWindowValidators
    function validatorsOf(uint64 topic, uint256 epoch) public view returns (uint32[] memory agentIds) {
        uint256 seats = _validators[_key(topic, epoch)];
        agentIds = new uint32[](seats >> 248);
        for (uint256 k; k < agentIds.length; ++k) agentIds[k] = uint32(seats >> (32 * k));
    }

    /// @inheritdoc IWindowValidators
    function drawOf(uint64 topic) external view returns (uint256 drawnEpoch, uint256 nextEpoch, uint256 seedBlock) {
        Draw memory last = _draws[topic];
        uint256 running = _epoch();
        return (last.drawnEpoch, _targetOf(last, running), last.scheduledIn == running ? last.seedBlock : 0);
    }

    /// @inheritdoc IWindowValidators
    function anchorOf(uint64 topic, uint256 epoch) external view returns (bytes32 digest, uint48 window) {
        Anchor memory last = _anchors[_key(topic, epoch)];
        return (last.digest, last.window);
    }

    /// @inheritdoc IWindowValidators
    function quorumOf(uint256 validators) public pure returns (uint256) {
        return (2 * validators + 2) / 3;
    }

    /// @inheritdoc IWindowValidators
    function epochOf(uint256 window) public view returns (uint256) {
        require(window >= GENESIS, WindowValidatorsNoWindow(window));
        require(((window - GENESIS) % EPOCH_LENGTH) % windowSeconds == 0, WindowValidatorsNoWindow(window));
        return (window - GENESIS) / EPOCH_LENGTH + 1;
    }

    /// @inheritdoc IWindowValidators
    function digestOf(BatchHeader calldata header) public view returns (bytes32) {
        return Domain.digest(Domain.BATCH, address(registry), StructHash.hash(header));
    }

    function _fixSeed(uint64 topic, Draw memory last, uint256 epoch) private returns (uint256 seedBlock) {
        seedBlock = block.number + DRAW_DELAY;
        _draws[topic] = Draw(last.drawnEpoch, uint32(_epoch()), uint64(seedBlock));
        emit DrawScheduled(topic, uint32(epoch), seedBlock);
    }

    /// @dev Each seat takes one of those who are left, in proportion to their weights. A weight is 32 bits and there are 64 of them:
    /// against 256 bits of randomness the remainder's bias is below 2^-217.
    function _drawSeats(uint64 topic, bytes32 seed) private view returns (uint32[] memory drawn) {
        (uint32[] memory agentIds, uint32[] memory weights) = candidatesOf(topic);
        uint256 total;
        for (uint256 k; k < MAX_CANDIDATES; ++k) total += weights[k];
        drawn = new uint32[](MAX_VALIDATORS);
        uint256 seat;
        for (; seat < MAX_VALIDATORS && total != 0; ++seat) {
            uint256 point = uint256(keccak256(abi.encode(seed, seat))) % total;
            uint256 place;
            for (; point >= weights[place]; ++place) point -= weights[place];
            drawn[seat] = agentIds[place];
            total -= weights[place];
            // INVARIANT: nobody has two seats.
            weights[place] = 0;
        }
        assembly ("memory-safe") {
            mstore(drawn, seat)
        }
    }

    /// @return signers bit k = the validator of seat k
    function _checkQuorum(
        uint64 topic,
        uint256 epoch,
        uint48 window,
        bytes32 digest,
        bytes[] calldata signatures
    ) private view returns (uint256 signers) {
        uint32[] memory seats = validatorsOf(topic, epoch);
        require(signatures.length == seats.length, WindowValidatorsBadSignatures(signatures.length, seats.length));
        uint256 count;
        for (uint256 k; k < seats.length; ++k) {
            if (signatures[k].length == 0) continue;
            address signer = Signatures.recoverKey(digest, signatures[k]);
            bool isValid = registry.isSignerValidAt(seats[k], keccak256(abi.encodePacked(signer)), Signers.LOG, window);
            require(isValid, WindowValidatorsBadSignature(k, seats[k], signer));
            (uint256 enlisted, , ) = enlistmentOf(topic, seats[k]);
            // INVARIANT: every signature that counts has stake behind it.
            if (enlisted == 0) continue;
            signers |= 1 << k;
            ++count;
        }
        uint256 quorum = quorumOf(seats.length);
        require(count != 0 && count >= quorum, WindowValidatorsNoQuorum(count, quorum));
    }

    function _punish(uint64 topic, uint48 window, uint32 agentId) private returns (uint256 taken) {
        bytes32 offenceId = keccak256(abi.encode(topic, window, agentId));
        // INVARIANT: an offence is punished once, whatever pair of headers shows it; stake that comes later is not for it.
        require(!isPunished[offenceId], WindowValidatorsPaid(offenceId));
        isPunished[offenceId] = true;
        taken = _forfeit(topic, agentId);
        // Who comes with a reserved report comes through the vault.
        address reporter = msg.sender == address(vault) ? Forwarded.sender() : address(0);
        emit DoubleSigned(agentId, offenceId, reporter, topic, window, taken);
        vault.slash(agentId, taken, reporter == address(0) ? 0 : taken / 2, reporter);
    }

    function _isValidator(uint64 topic, uint256 epoch, uint256 agentId) private view returns (bool) {
        uint32[] memory seats = validatorsOf(topic, epoch);
        for (uint256 k; k < seats.length; ++k) if (seats[k] == agentId) return true;
        return false;
    }

    /// @dev As ILogEvidence judges a log's key: it answers for the window's second, whatever revocation was dated back since, and
    /// no longer than the evidence period after its end was on record.
    function _answerableOf(address signer, uint256 time) private view returns (uint256 agentId) {
        bytes32 purpose;
        uint48 from;
        uint48 until;
        (agentId, purpose, from, until) = registry.answerableOf(keccak256(abi.encodePacked(signer)));
        require(
            agentId != 0 && purpose == Signers.LOG && time >= from && Signers.isBefore(time, until),
            WindowValidatorsNotAnswerable(signer, agentId, time)
        );
        uint256 latest = until == 0 ? type(uint256).max : uint256(until) + evidencePeriod;
        require(block.timestamp <= latest, WindowValidatorsTooLate(signer, until, latest));
    }

    /// @dev The running epoch, where it has no validators yet, else the next one.
    function _targetOf(Draw memory last, uint256 running) private pure returns (uint256) {
        return last.drawnEpoch < running ? running : running + 1;
    }
}
