// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC721} from "@openzeppelin/contracts/interfaces/IERC721.sol";
import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {ICredentials} from "../../interfaces/ICredentials.sol";
import {ICredentialVerifier} from "../../interfaces/ICredentialVerifier.sol";
import {IOperators} from "../../interfaces/IOperators.sol";
import {HoldingWord} from "./HoldingWord.sol";
import {Operators} from "./Operators.sol";

/// @title Who answers for an agent, in one scope
/// @notice Nobody owns it, nobody upgrades it. See contracts/identity/credentials/README.md.
contract Credentials is ICredentials {
    using HoldingWord for uint256;

    /// @dev `position` is the source's index + 1; 0 = not accepted.
    struct Admission {
        uint8 position;
        uint8 minLevel;
    }

    /// @dev Each issuer is one more operator that one person can be, so a list without end would be no gate.
    uint256 private constant MAX_SOURCES = 16;

    /// @inheritdoc ICredentials
    address public immutable registry;
    /// @inheritdoc ICredentials
    bytes32 public immutable scope;

    Source[] private _sources;
    mapping(bytes32 sourceHash => Admission) private _admissions;
    /// @inheritdoc IOperators
    mapping(uint256 agentId => bytes32 operator) public operatorOf;
    mapping(bytes32 operator => uint256 holding) private _holdings;

    /// @param agents any ERC-721 whose ids are agents
    /// @param sources the issuers that count here, for ever
    constructor(IERC721 agents, Source[] memory sources) {
        if (sources.length == 0 || sources.length > MAX_SOURCES) {
            revert CredentialsBadSources(sources.length, MAX_SOURCES);
        }
        registry = address(agents);
        scope = keccak256(abi.encode(block.chainid, address(this), address(agents)));
        for (uint256 i = 0; i < sources.length; i++) {
            _accept(i, sources[i]);
        }
    }

    /// @inheritdoc ICredentials
    function present(
        uint256 agentId,
        ICredentialVerifier verifier,
        bytes32 issuerId,
        bytes calldata presentation
    ) external {
        Admission memory admission = _admissions[_hashOf(address(verifier), issuerId)];
        if (admission.position == 0) revert CredentialsSourceNotAccepted(address(verifier), issuerId);
        // INVARIANT: nobody but its owner ties an agent to a person.
        _requireOwner(agentId);
        ICredentialVerifier.Subject memory subject = ICredentialVerifier.Subject({
            scope: scope,
            agentId: agentId,
            owner: msg.sender
        });
        (bytes32 nullifier, uint8 level, uint48 validUntil) = verifier.verifyCredential(
            issuerId,
            subject,
            presentation
        );
        if (level < admission.minLevel) revert CredentialsLevelTooLow(level, admission.minLevel);
        bytes32 operator = Operators.idOf(scope, address(verifier), issuerId, nullifier);
        _requireFree(operator, agentId, validUntil);

        uint8 source = admission.position - 1;
        _holdings[operator] = HoldingWord.pack(msg.sender, validUntil, agentId, source, level);
        operatorOf[agentId] = operator;

        emit CredentialPresented(agentId, operator, msg.sender, source, level, validUntil);
    }

    /// @inheritdoc ICredentials
    function renounce(uint256 agentId) external {
        bytes32 operator = operatorOf[agentId];
        uint256 holding = _holdings[operator];
        _requireOwner(agentId);
        if (holding.agentIdOf() != agentId || holding.ownerOf() != msg.sender)
            revert CredentialsNone(agentId, msg.sender);

        _holdings[operator] = holding.renounced();

        emit CredentialRenounced(agentId, operator);
    }

    /// @inheritdoc ICredentials
    function credentialOf(
        uint256 agentId
    ) external view returns (bytes32 operator, uint8 level, uint48 validUntil, uint8 source, bool isValid) {
        operator = operatorOf[agentId];
        uint256 holding = _holdings[operator];
        if (operator == bytes32(0) || holding.agentIdOf() != agentId) return (operator, 0, 0, 0, false);
        isValid =
            block.timestamp < holding.validUntilOf() &&
            holding.ownerOf() == IERC721(registry).ownerOf(agentId) &&
            !_sources[holding.sourceOf()].verifier.isRevoked(operator);
        return (operator, holding.levelOf(), holding.validUntilOf(), holding.sourceOf(), isValid);
    }

    /// @inheritdoc ICredentials
    function holdingOf(bytes32 operator) external view returns (uint256 agentId, uint48 validUntil, address owner) {
        uint256 holding = _holdings[operator];
        return (holding.agentIdOf(), holding.validUntilOf(), holding.ownerOf());
    }

    /// @inheritdoc ICredentials
    function sourceCount() external view returns (uint256) {
        return _sources.length;
    }

    /// @inheritdoc ICredentials
    function sourceAt(uint256 index) external view returns (Source memory) {
        return _sources[index];
    }

    function _accept(uint256 index, Source memory source) private {
        address verifier = address(source.verifier);
        if (verifier.code.length == 0) revert CredentialsNoVerifier(verifier);
        bytes32 sourceHash = _hashOf(verifier, source.issuerId);
        if (_admissions[sourceHash].position != 0) revert CredentialsSourceTwice(verifier, source.issuerId);

        _sources.push(source);
        _admissions[sourceHash] = Admission({position: uint8(index + 1), minLevel: source.minLevel});

        emit SourceAccepted(index, verifier, source.issuerId, source.minLevel);
    }

    function _requireOwner(uint256 agentId) private view {
        // TrustLedger's ids have 32 bits as well.
        if (agentId > type(uint32).max) revert CredentialsAgentTooLarge(agentId, type(uint32).max);
        address owner = IERC721(registry).ownerOf(agentId);
        if (msg.sender != owner) revert CredentialsNotOwner(agentId, owner, msg.sender);
    }

    function _requireFree(bytes32 operator, uint256 agentId, uint48 validUntil) private view {
        if (validUntil <= block.timestamp) revert CredentialsExpired(validUntil, block.timestamp);
        uint256 last = _holdings[operator];
        uint48 lastEnd = last.validUntilOf();
        // INVARIANT: an operator answers for one agent at a time. It moves when its credential has run out, and not before: neither
        // a transfer nor a renunciation frees it, or one person would serve many agents by turns.
        if (last.agentIdOf() != agentId && block.timestamp < lastEnd) {
            revert CredentialsOperatorBusy(operator, last.agentIdOf(), lastEnd);
        }
        // INVARIANT: a presentation counts once, because every end lies after the one before.
        if (validUntil <= lastEnd) revert CredentialsNotNewer(operator, lastEnd, validUntil);
    }

    function _hashOf(address verifier, bytes32 issuerId) private pure returns (bytes32) {
        return Hashes.efficientKeccak256(bytes32(uint256(uint160(verifier))), issuerId);
    }
}
