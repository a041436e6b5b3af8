// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBindings} from "../../../contracts/interfaces/IBindings.sol";
import {StructHash} from "../../../contracts/libraries/StructHash.sol";
import {SignerBinding} from "../../../contracts/libraries/Types.sol";
import {vm, Log} from "../Vm.sol";

/// @notice What the handlers of both registries of bindings share: few actors and keys, the clock, and the model of the signers, folded from
/// events and nothing else.
abstract contract BindingsModel {
    uint256 public constant ACTORS = 3;
    uint256 public constant KEYS = 7;
    uint256 private constant MAX_SAMPLES = 24;

    struct Signer {
        uint256 agentId;
        bytes32 purpose;
        uint48 validFrom;
        uint48 validUntil;
        uint48 invalidFrom;
        /// Second at which the agent left the owner who bound it; 0 = it has not.
        uint48 tenureEnd;
    }
    /// A moment at which the registry called a signer valid.
    struct Sample {
        uint256 agentId;
        bytes32 signerHash;
        bytes32 purpose;
        uint256 time;
    }

    IBindings internal _bindings;
    uint256 public acceptedCount;
    Sample[] private _samples;
    bytes32 private _domainSeparator;
    uint256 internal _now;
    mapping(bytes32 signerHash => Signer) internal _signers;

    // ------------------------------------------------------------- what happens

    function passTime(uint8 secondsLater) external {
        _now += secondsLater;
    }

    function passHours(uint8 hoursLater) external {
        _now += uint256(hoursLater % 32) * 1 hours;
    }

    /// @dev Remembers a moment, past or present, at which a signer counted.
    function observe(uint8 key, uint8 ago) external {
        vm.warp(_now);
        bytes32 signerHash = hashOf(signerAt(key));
        Signer memory signer = _signers[signerHash];
        uint256 time = _now - ago;
        if (_samples.length == MAX_SAMPLES) return;
        if (!_bindings.isSignerValidAt(signer.agentId, signerHash, signer.purpose, time)) return;
        _samples.push(Sample(signer.agentId, signerHash, signer.purpose, time));
    }

    // ------------------------------------------------------------ what was seen

    function warp() external returns (uint256) {
        vm.warp(_now);
        return _now;
    }

    function signerOf(bytes32 signerHash) external view returns (Signer memory) {
        return _signers[signerHash];
    }

    /// @dev First second from which it does not count, by revocation or transfer; 0 = neither.
    function endOf(bytes32 signerHash) external view returns (uint48) {
        Signer memory signer = _signers[signerHash];
        if (signer.invalidFrom == 0 || signer.tenureEnd == 0) return signer.invalidFrom + signer.tenureEnd;
        return signer.invalidFrom < signer.tenureEnd ? signer.invalidFrom : signer.tenureEnd;
    }

    function samples() external view returns (Sample[] memory) {
        return _samples;
    }

    function actorAt(uint8 seed) public pure returns (address) {
        return vm.addr(actorSecret(seed));
    }

    function actorSecret(uint8 seed) public pure returns (uint256) {
        return 0xac70_0000 + (seed % ACTORS);
    }

    function secretOf(uint8 seed) public pure returns (uint256) {
        return 0x5160_0000 + (seed % KEYS);
    }

    function signerAt(uint8 seed) public pure returns (address) {
        return vm.addr(secretOf(seed));
    }

    function hashOf(address signer) public pure returns (bytes32) {
        return keccak256(abi.encodePacked(signer));
    }

    function purposeAt(uint8 seed) public pure returns (bytes32) {
        return [bytes32("LOG"), bytes32("TRANSPORT"), bytes32("OPERATOR"), bytes32("RECOVERY")][seed % 4];
    }

    // ------------------------------------------------------------------- inside

    function _modelOf(IBindings bindings) internal {
        _bindings = bindings;
        _now = block.timestamp + 1_000;
        _domainSeparator = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("ERC8004IdentityRegistry"),
                keccak256("1"),
                block.chainid,
                address(bindings)
            )
        );
    }

    function _speaksNow(uint8 key, uint256 agentId, bytes32 purpose) internal view returns (bool) {
        Signer memory signer = _signers[hashOf(signerAt(key))];
        return _isInOffice(agentId, signer) && signer.purpose == purpose && signer.validFrom <= _now;
    }

    /// @dev A neighbour's seed, where asked: another key, or another actor.
    function _nextIf(bool isNext, uint8 seed) internal pure returns (uint8) {
        if (!isNext) return seed;
        return seed == type(uint8).max ? seed - 1 : seed + 1;
    }

    function _isFree(SignerBinding memory binding) internal view returns (bool) {
        return _signers[binding.signerHash].agentId == 0;
    }

    function _hasInside(SignerBinding memory binding) internal view returns (bool) {
        uint256 begin = binding.validFrom == 0 ? _now : binding.validFrom;
        return begin >= _now && (binding.validUntil == 0 || binding.validUntil > begin);
    }

    function _isInOffice(uint256 agentId, Signer memory signer) internal view returns (bool) {
        bool isMine = agentId != 0 && signer.agentId == agentId && signer.tenureEnd == 0;
        return isMine && signer.invalidFrom == 0 && (signer.validUntil == 0 || _now < signer.validUntil);
    }

    /// @dev What a caller asks to bind. Seeds below 128 leave an end open, others put it around now; fault 1 comes too late.
    function _draftBinding(
        uint256 agentId,
        address owner,
        uint8 key,
        uint8 purpose,
        uint8 from,
        uint8 until,
        uint8 fault
    ) internal view returns (SignerBinding memory binding) {
        binding = _draftRotation(agentId, owner, key, purposeAt(purpose), until);
        binding.validFrom = from < 128 ? 0 : uint48(_now + from - 160);
        if (fault % 8 == 1) --binding.deadline;
    }

    /// @dev A successor's binding, which begins now.
    function _draftRotation(
        uint256 agentId,
        address owner,
        uint8 key,
        bytes32 purpose,
        uint8 until
    ) internal view returns (SignerBinding memory) {
        uint48 validUntil = until < 128 ? 0 : uint48(_now + until - 140);
        return SignerBinding(agentId, owner, hashOf(signerAt(key)), purpose, 0, validUntil, uint48(_now));
    }

    /// @dev A revocation, its second, and whether that lies in the signer's validity and nothing has ended it before.
    function _draftRevocation(
        uint8 key,
        uint8 ago
    ) internal view returns (bytes32 signerHash, uint48 compromisedAt, uint256 end, bool isDue) {
        signerHash = hashOf(signerAt(key));
        Signer memory signer = _signers[signerHash];
        compromisedAt = ago < 64 ? 0 : uint48(_now + 80 - ago);
        end = compromisedAt == 0 ? _now : compromisedAt;
        isDue =
            signer.invalidFrom == 0 &&
            signer.tenureEnd == 0 &&
            end <= _now &&
            (compromisedAt == 0 || end >= signer.validFrom) &&
            (signer.validUntil == 0 || end < signer.validUntil);
    }

    function _encodeBind(
        SignerBinding memory binding,
        bytes memory signer,
        bytes memory proof
    ) internal pure returns (bytes memory) {
        return
            abi.encodeWithSelector(
                IBindings.bindSigner.selector,
                binding.agentId,
                signer,
                binding.purpose,
                binding.validFrom,
                binding.validUntil,
                binding.deadline,
                proof
            );
    }

    function _encodeRotate(
        SignerBinding memory binding,
        bytes32 oldHash,
        bytes memory signer,
        bytes memory proof
    ) internal pure returns (bytes memory) {
        return
            abi.encodeCall(
                IBindings.rotateSigner,
                (binding.agentId, oldHash, signer, binding.validUntil, binding.deadline, proof)
            );
    }

    /// @dev The record is what the caller asked for and the signer signed.
    function _requireBound(uint256 agentId, SignerBinding memory binding) internal view {
        Signer memory signer = _signers[binding.signerHash];
        require(signer.agentId == agentId && signer.purpose == binding.purpose, "bound to another agent or purpose");
        require(signer.validFrom == (binding.validFrom == 0 ? _now : binding.validFrom), "another start");
        require(signer.validUntil == binding.validUntil && signer.invalidFrom == 0, "another end");
    }

    function _hashForAnother(SignerBinding memory binding) internal pure returns (bytes32) {
        return
            StructHash.hash(
                SignerBinding({
                    agentId: binding.agentId + 1,
                    owner: binding.owner,
                    signerHash: binding.signerHash,
                    purpose: binding.purpose,
                    validFrom: binding.validFrom,
                    validUntil: binding.validUntil,
                    deadline: binding.deadline
                })
            );
    }

    function _sign(uint256 secret, bytes32 structHash) internal view returns (bytes memory) {
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", _domainSeparator, structHash));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(secret, digest);
        return abi.encodePacked(r, s, v);
    }

    function _endSigners(uint256 agentId) internal {
        for (uint8 key = 0; key < KEYS; ++key) {
            Signer storage signer = _signers[hashOf(signerAt(key))];
            if (signer.agentId == agentId && signer.tenureEnd == 0) signer.tenureEnd = uint48(_now);
        }
    }

    function _foldSigner(uint256 agentId, Log memory log) internal {
        Signer storage signer = _signers[log.topics[2]];
        if (log.topics[0] == IBindings.SignerRevoked.selector) {
            require(signer.agentId == agentId && signer.invalidFrom == 0, "revoked twice, or another's");
            signer.invalidFrom = abi.decode(log.data, (uint48));
            return;
        }
        require(log.topics[0] == IBindings.SignerBound.selector, "unknown event");
        require(signer.agentId == 0, "bound twice");
        bytes memory signerBytes;
        (signer.agentId, signer.purpose) = (agentId, log.topics[3]);
        (signerBytes, signer.validFrom, signer.validUntil) = abi.decode(log.data, (bytes, uint48, uint48));
        require(keccak256(signerBytes) == log.topics[2], "signer bytes");
    }
}

/// @notice What holds of either registry of bindings after any sequence of calls.
abstract contract BindingsInvariants {
    BindingsModel private _model;
    IBindings private _bindings;
    uint256 private _maxAgents;

    /// @param maxAgents ids from 0 to this one are asked for
    function _checks(BindingsModel model, IBindings bindings, uint256 maxAgents) internal {
        (_model, _bindings, _maxAgents) = (model, bindings, maxAgents);
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_model);
    }

    /// A signer is valid for at most one agent and purpose, and it is as its window says.
    function invariant_SignerSpeaksForOneAgentAndPurpose() public {
        uint256 time = _model.warp();
        for (uint8 key = 0; key < _model.KEYS(); ++key) {
            bytes32 signerHash = _model.hashOf(_model.signerAt(key));
            BindingsModel.Signer memory model = _model.signerOf(signerHash);
            uint256 validCount = 0;
            for (uint256 agentId = 0; agentId <= _maxAgents; ++agentId) {
                for (uint8 i = 0; i < 4; ++i) {
                    if (_bindings.isSignerValidAt(agentId, signerHash, _model.purposeAt(i), time)) validCount++;
                }
            }
            bool isWithin =
                model.agentId != 0 &&
                    model.validFrom <= time &&
                    (model.validUntil == 0 || time < model.validUntil) &&
                    (_model.endOf(signerHash) == 0 || time < _model.endOf(signerHash));
            require(validCount == (isWithin ? 1 : 0), "a signer speaks for several, or not for its own");
        }
    }

    /// What a signer was once seen to be valid for stays valid, but for what a revocation dates after the compromise.
    function invariant_HistoryBeforeACompromiseStaysValid() public view {
        BindingsModel.Sample[] memory samples = _model.samples();
        for (uint256 i = 0; i < samples.length; ++i) {
            BindingsModel.Sample memory seen = samples[i];
            uint48 invalidFrom = _model.endOf(seen.signerHash);
            bool isValid = _bindings.isSignerValidAt(seen.agentId, seen.signerHash, seen.purpose, seen.time);
            require(isValid == (invalidFrom == 0 || seen.time < invalidFrom), "history was rewritten");
        }
    }

    /// Whoever folds the events knows the storage: signers.
    function _requireSignersAreTheStorage() internal view {
        for (uint8 key = 0; key < _model.KEYS(); ++key) {
            bytes32 signerHash = _model.hashOf(_model.signerAt(key));
            BindingsModel.Signer memory model = _model.signerOf(signerHash);
            (uint256 agentId, bytes32 purpose, uint48 from, uint48 until, uint48 invalidFrom) = _bindings.signerOf(
                signerHash
            );
            require(agentId == model.agentId && purpose == model.purpose, "signer's agent and purpose");
            require(from == model.validFrom && until == model.validUntil, "signer's window");
            require(invalidFrom == _model.endOf(signerHash), "signer's end");
            require(_bindings.agentOfSigner(signerHash) == agentId, "agent of signer");
        }
    }
}
