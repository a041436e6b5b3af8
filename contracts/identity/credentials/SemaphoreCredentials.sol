// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ICredentialVerifier} from "../../interfaces/ICredentialVerifier.sol";
import {ISemaphoreCredentials} from "../../interfaces/ISemaphoreCredentials.sol";
import {StructHash} from "../../libraries/StructHash.sol";
import {OperatorSignal} from "../../libraries/Types.sol";
import {Operators} from "./Operators.sol";
import {SemaphoreProof} from "./SemaphoreProof.sol";

/// @title Credentials that show membership in an issuer's group, and not whose (Semaphore 4)
/// @notice It knows no list of issuers: `Credentials` names those that count in its scope.
contract SemaphoreCredentials is ISemaphoreCredentials, EIP712 {
    /// @dev Eight words of proof, then root, nullifier and validUntil.
    uint256 private constant PRESENTATION_LENGTH = 352;
    /// @dev A group has one level: its issuer keeps a group for each level.
    uint8 private constant LEVEL = 1;

    /// @inheritdoc ISemaphoreCredentials
    uint48 public immutable rootWindow;
    /// @inheritdoc ISemaphoreCredentials
    uint48 public immutable lifetime;

    /// @inheritdoc ISemaphoreCredentials
    mapping(address issuer => uint256 root) public rootOf;
    /// @inheritdoc ISemaphoreCredentials
    mapping(address issuer => mapping(uint256 root => uint48 second)) public supersededAt;
    /// @inheritdoc ICredentialVerifier
    mapping(bytes32 operator => bool) public isRevoked;

    /// @dev A function of the scope and nothing else, kept so that it is computed once: no event tells it, and none has to.
    mapping(bytes32 scope => SemaphoreProof.Point) private _scopeTerms;

    constructor(uint48 rootWindow_, uint48 lifetime_) EIP712("SuretyCredentials", "1") {
        rootWindow = rootWindow_;
        lifetime = lifetime_;
    }

    /// @inheritdoc ISemaphoreCredentials
    function publishRoot(uint256 root) external {
        uint256 previous = rootOf[msg.sender];
        // An empty group has the root 0.
        if (root == 0) revert SemaphoreZeroRoot(msg.sender);
        if (root == previous) revert SemaphoreRootUnchanged(msg.sender, root);

        if (previous != 0) supersededAt[msg.sender][previous] = uint48(block.timestamp);
        rootOf[msg.sender] = root;

        emit RootPublished(msg.sender, root, previous);
    }

    /// @inheritdoc ISemaphoreCredentials
    function ban(bytes32 scope, bytes32 nullifier) external {
        bytes32 operator = Operators.idOf(scope, address(this), _issuerIdOf(msg.sender), nullifier);
        if (isRevoked[operator]) revert CredentialRevoked(operator);

        isRevoked[operator] = true;

        emit OperatorBanned(msg.sender, scope, nullifier, operator);
    }

    /// @inheritdoc ISemaphoreCredentials
    function prepareScope(bytes32 scope) external {
        // INVARIANT: what is kept is what a proof would compute, whoever asks for it and however often.
        _scopeTerms[scope] = SemaphoreProof.scopeTermOf(uint256(scope));
    }

    /// @inheritdoc ICredentialVerifier
    /// @dev Presentation: proof (8 words, as Semaphore packs them), root, nullifier, validUntil. The proof's message is the EIP-712
    /// digest of OperatorSignal and its scope is `subject.scope`, so that it serves no other agent, owner, scope or chain.
    function verifyCredential(
        bytes32 issuerId,
        Subject calldata subject,
        bytes calldata presentation
    ) external view returns (bytes32 nullifier, uint8 level, uint48 validUntil) {
        if (presentation.length != PRESENTATION_LENGTH) {
            revert CredentialMalformed(presentation.length, PRESENTATION_LENGTH);
        }
        uint256 root;
        uint256 end;
        (root, nullifier, end) = abi.decode(presentation[256:], (uint256, bytes32, uint256));
        validUntil = _checkEnd(end);
        _checkRoot(issuerId, root);
        bytes32 operator = Operators.idOf(subject.scope, address(this), issuerId, nullifier);
        // INVARIANT: a ban is final, and no later proof of that person counts in this scope.
        if (isRevoked[operator]) revert CredentialRevoked(operator);
        OperatorSignal memory signal = OperatorSignal(subject.scope, subject.agentId, subject.owner, validUntil);
        uint256 message = uint256(_hashTypedDataV4(StructHash.hash(signal)));
        // INVARIANT: no credential without a proof of membership for exactly this subject and end.
        SemaphoreProof.Point memory scopeTerm = _scopeTermOf(subject.scope);
        if (!SemaphoreProof.isValid(presentation, root, uint256(nullifier), message, scopeTerm)) {
            revert SemaphoreBadProof(issuerId, nullifier);
        }
        return (nullifier, LEVEL, validUntil);
    }

    /// @dev No point of the curve is (0, 0): that is none kept.
    function _scopeTermOf(bytes32 scope) private view returns (SemaphoreProof.Point memory term) {
        SemaphoreProof.Point storage kept = _scopeTerms[scope];
        term.y = kept.y;
        if (term.y == 0) return SemaphoreProof.scopeTermOf(uint256(scope));
        term.x = kept.x;
    }

    function _checkEnd(uint256 end) private view returns (uint48) {
        uint256 latest = block.timestamp + lifetime;
        if (end > latest) revert SemaphoreTooLong(end > type(uint48).max ? type(uint48).max : uint48(end), latest);
        return uint48(end);
    }

    function _checkRoot(bytes32 issuerId, uint256 root) private view {
        address issuer = address(uint160(uint256(issuerId)));
        // INVARIANT: one issuer has one name, so that a person has one operator with it.
        if (root == 0 || _issuerIdOf(issuer) != issuerId) revert SemaphoreUnknownRoot(issuerId, root);
        if (root == rootOf[issuer]) return;
        uint48 since = supersededAt[issuer][root];
        if (since == 0) revert SemaphoreUnknownRoot(issuerId, root);
        if (block.timestamp >= uint256(since) + rootWindow) {
            revert SemaphoreStaleRoot(issuerId, root, since, block.timestamp);
        }
    }

    function _issuerIdOf(address issuer) private pure returns (bytes32) {
        return bytes32(uint256(uint160(issuer)));
    }
}
