// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC721} from "@openzeppelin/contracts/interfaces/IERC721.sol";
import {Credentials} from "../../contracts/identity/credentials/Credentials.sol";
import {IssuerCredentials} from "../../contracts/identity/credentials/IssuerCredentials.sol";
import {Operators} from "../../contracts/identity/credentials/Operators.sol";
import {SemaphoreProof} from "../../contracts/identity/credentials/SemaphoreProof.sol";
import {IdentityRegistry} from "../../contracts/identity/IdentityRegistry.sol";
import {ICredentials} from "../../contracts/interfaces/ICredentials.sol";
import {StructHash} from "../../contracts/libraries/StructHash.sol";
import {CredentialRevocation, IssuerCredential} from "../../contracts/libraries/Types.sol";
import {vm, Log} from "./Vm.sol";

/// @notice Acts as owners, issuers, people and thieves. It folds the scope's events, and nothing else, into a model, and predicts from
/// the model whether each presentation may succeed: one that does otherwise fails the test.
contract CredentialsHandler {
    uint256 public constant PEOPLE = 3;
    uint256 public constant ISSUERS = 2;
    uint256 public constant MAX_AGENTS = 4;
    uint256 private constant ACTORS = 3;

    struct Holding {
        uint256 agentId;
        address owner;
        uint48 validUntil;
        uint8 level;
        uint8 source;
    }

    IdentityRegistry public immutable registry;
    IssuerCredentials public immutable issuers;
    Credentials public immutable credentials;
    uint256 public agentCount;
    uint256 public acceptedCount;
    mapping(uint256 agentId => bytes32) public operatorOf;
    mapping(bytes32 operator => Holding) private _holdings;
    mapping(bytes32 operator => bool) public isRevoked;
    uint256 private _now = 1_000_000;

    constructor() {
        registry = new IdentityRegistry();
        issuers = new IssuerCredentials();
        ICredentials.Source[] memory sources = new ICredentials.Source[](ISSUERS);
        for (uint8 i = 0; i < ISSUERS; i++) {
            sources[i] = ICredentials.Source({verifier: issuers, minLevel: i, issuerId: issuerIdAt(i)});
        }
        credentials = new Credentials(IERC721(address(registry)), sources);
        vm.warp(_now);
    }

    // ------------------------------------------------------------- what happens

    function register(uint8 actor) external {
        if (agentCount == MAX_AGENTS) return;
        vm.prank(actorAt(actor));
        registry.register();
        agentCount++;
    }

    function transfer(uint8 agent, uint8 to) external {
        if (agentCount == 0) return;
        uint256 agentId = agentAt(agent);
        address owner = registry.ownerOf(agentId);
        vm.prank(owner);
        registry.transferFrom(owner, actorAt(to), agentId);
    }

    function pass(uint8 time) external {
        _now += time;
        vm.warp(_now);
    }

    /// Faults: 1 another key signs, 2 for another agent, 3 for another owner, 4 in another scope, 5 a stranger presents.
    function present(uint8 agent, uint8 issuer, uint8 person, uint8 length, uint8 level, uint8 fault) external {
        if (agentCount == 0) return;
        fault = fault % 16;
        IssuerCredential memory signed = IssuerCredential({
            scope: credentials.scope(),
            issuerId: issuerIdAt(issuer),
            nullifier: personAt(person),
            agentId: agentAt(agent),
            owner: registry.ownerOf(agentAt(agent)),
            level: level % 3,
            validUntil: uint48(_now + length)
        });
        address caller = fault == 5 ? address(0xbad) : signed.owner;
        bool isAccepted = (fault == 0 || fault > 5) && _mayPresent(signed, issuer);
        _attempt(
            caller,
            abi.encodeCall(
                ICredentials.present,
                (signed.agentId, issuers, signed.issuerId, _presentationOf(signed, issuer, fault))
            ),
            isAccepted
        );
        if (isAccepted) require(operatorOf[signed.agentId] == operatorAt(issuer, person), "another operator");
    }

    function renounce(uint8 agent, bool isStranger) external {
        if (agentCount == 0) return;
        uint256 agentId = agentAt(agent);
        Holding memory holding = _holdings[operatorOf[agentId]];
        address owner = registry.ownerOf(agentId);
        bool isAccepted = !isStranger && holding.agentId == agentId && holding.owner == owner;
        _attempt(isStranger ? address(0xbad) : owner, abi.encodeCall(ICredentials.renounce, (agentId)), isAccepted);
    }

    function revoke(uint8 issuer, uint8 person, uint8 rarity) external {
        bytes32 operator = operatorAt(issuer, person);
        // Rare, as it is for ever.
        if (rarity % 16 != 0 || isRevoked[operator]) return;
        CredentialRevocation memory revocation = CredentialRevocation(
            credentials.scope(),
            issuerIdAt(issuer),
            personAt(person)
        );
        issuers.revoke(
            abi.encodePacked(issuerAt(issuer)),
            revocation.scope,
            revocation.nullifier,
            _sign(issuerSecret(issuer), StructHash.hash(revocation))
        );
        isRevoked[operator] = true;
    }

    // ------------------------------------------------------------------ the model

    function holdingOf(bytes32 operator) external view returns (Holding memory) {
        return _holdings[operator];
    }

    function actorAt(uint8 seed) public pure returns (address) {
        return address(uint160(0xa11ce000 + (seed % ACTORS)));
    }

    function agentAt(uint8 seed) public view returns (uint256) {
        return 1 + (seed % agentCount);
    }

    function issuerSecret(uint8 seed) public pure returns (uint256) {
        return 0x1550e500 + (seed % ISSUERS);
    }

    function issuerAt(uint8 seed) public pure returns (address) {
        return vm.addr(issuerSecret(seed));
    }

    function issuerIdAt(uint8 seed) public pure returns (bytes32) {
        return keccak256(abi.encodePacked(issuerAt(seed)));
    }

    function personAt(uint8 seed) public pure returns (bytes32) {
        return keccak256(abi.encode("person", seed % PEOPLE));
    }

    function operatorAt(uint8 issuer, uint8 person) public view returns (bytes32) {
        return Operators.idOf(credentials.scope(), address(issuers), issuerIdAt(issuer), personAt(person));
    }

    function _mayPresent(IssuerCredential memory signed, uint8 issuer) private view returns (bool) {
        bytes32 operator = Operators.idOf(signed.scope, address(issuers), signed.issuerId, signed.nullifier);
        Holding memory last = _holdings[operator];
        bool isFree = last.agentId == signed.agentId || _now >= last.validUntil;
        bool isStanding = signed.level >= issuer % ISSUERS && signed.validUntil > _now && !isRevoked[operator];
        return isStanding && isFree && signed.validUntil > last.validUntil;
    }

    function _presentationOf(
        IssuerCredential memory signed,
        uint8 issuer,
        uint8 fault
    ) private view returns (bytes memory) {
        (uint256 agentId, address owner, bytes32 scope) = (signed.agentId, signed.owner, signed.scope);
        if (fault == 2) signed.agentId++;
        if (fault == 3) signed.owner = address(0xbad);
        if (fault == 4) signed.scope = keccak256("another scope");
        uint8 signer = fault == 1 ? uint8((uint256(issuer) % ISSUERS) + 1) : issuer;
        bytes memory signature = _sign(issuerSecret(signer), StructHash.hash(signed));
        (signed.agentId, signed.owner, signed.scope) = (agentId, owner, scope);
        bytes memory head = abi.encode(signed.nullifier, signed.level, signed.validUntil, uint256(20));
        return bytes.concat(head, abi.encodePacked(issuerAt(issuer)), signature);
    }

    function _sign(uint256 secret, bytes32 structHash) private view returns (bytes memory) {
        bytes32 separator = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("SuretyCredentials"),
                keccak256("1"),
                block.chainid,
                address(issuers)
            )
        );
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(
            secret,
            keccak256(abi.encodePacked("\x19\x01", separator, structHash))
        );
        return abi.encodePacked(r, s, v);
    }

    function _attempt(address caller, bytes memory input, bool isExpected) private {
        vm.recordLogs();
        vm.prank(caller);
        (bool isOk, ) = address(credentials).call(input);
        require(isOk == isExpected, isOk ? "accepted what it must refuse" : "refused what it must accept");
        Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; i++) _fold(logs[i]);
        if (isOk) acceptedCount++;
    }

    function _fold(Log memory log) private {
        require(log.emitter == address(credentials), "another contract speaks");
        (uint256 agentId, bytes32 operator) = (uint256(log.topics[1]), log.topics[2]);
        if (log.topics[0] == ICredentials.CredentialRenounced.selector) {
            _holdings[operator].owner = address(0);
            return;
        }
        require(log.topics[0] == ICredentials.CredentialPresented.selector, "an event without a fold");
        (address owner, uint8 source, uint8 level, uint48 validUntil) = abi.decode(
            log.data,
            (address, uint8, uint8, uint48)
        );
        _holdings[operator] = Holding(agentId, owner, validUntil, level, source);
        operatorOf[agentId] = operator;
    }
}

contract CredentialsInvariants {
    CredentialsHandler private _handler;
    Credentials private _credentials;

    function setUp() public {
        _handler = new CredentialsHandler();
        _credentials = _handler.credentials();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    /// The handler's honest people do get through: else the invariants would hold of nothing.
    function test_HonestPeopleAreAccepted() public {
        _handler.register(0);
        _handler.register(1);
        _handler.present(0, 0, 0, 200, 1, 0);
        _handler.present(1, 1, 0, 200, 2, 0);
        _handler.renounce(0, false);
        require(_handler.acceptedCount() == 3, "refused");
    }

    function invariant_StorageIsTheFoldOfEvents() public view {
        for (uint256 agentId = 1; agentId <= _handler.agentCount(); agentId++) {
            require(_credentials.operatorOf(agentId) == _handler.operatorOf(agentId), "operator");
        }
        for (uint8 i = 0; i < _handler.ISSUERS(); i++) {
            for (uint8 j = 0; j < _handler.PEOPLE(); j++) {
                bytes32 operator = _handler.operatorAt(i, j);
                (uint256 agentId, uint48 validUntil, address owner) = _credentials.holdingOf(operator);
                CredentialsHandler.Holding memory model = _handler.holdingOf(operator);
                bool isSame = agentId == model.agentId && validUntil == model.validUntil && owner == model.owner;
                require(isSame, "holding");
            }
        }
    }

    /// One person of one issuer answers for one agent of the scope at most, at any time.
    function invariant_OneAgentForEachOperator() public view {
        for (uint8 i = 0; i < _handler.ISSUERS(); i++) {
            for (uint8 j = 0; j < _handler.PEOPLE(); j++) {
                bytes32 wanted = _handler.operatorAt(i, j);
                uint256 count = 0;
                for (uint256 agentId = 1; agentId <= _handler.agentCount(); agentId++) {
                    (bytes32 operator, , , , bool isValid) = _credentials.credentialOf(agentId);
                    if (operator == wanted && isValid) count++;
                }
                require(count <= 1, "one operator answers for two agents");
            }
        }
    }

    /// What counts was presented by who owns the agent now, has not ended, and its issuer stands by it.
    function invariant_NoCredentialCountsWithoutItsConditions() public view {
        for (uint256 agentId = 1; agentId <= _handler.agentCount(); agentId++) {
            (bytes32 operator, , , , bool isValid) = _credentials.credentialOf(agentId);
            CredentialsHandler.Holding memory model = _handler.holdingOf(operator);
            bool isExpected =
                operator != bytes32(0) &&
                    model.agentId == agentId &&
                    model.owner == _handler.registry().ownerOf(agentId) &&
                    block.timestamp < model.validUntil &&
                    !_handler.isRevoked(operator);
            require(isValid == isExpected, "validity");
        }
    }
}

contract SemaphoreProofFuzz {
    function testFuzz_NoRandomWordsAreAProof(
        uint256[8] calldata points,
        uint256 root,
        uint256 nullifier,
        uint256 message,
        uint256 scope
    ) public view {
        require(!this.isValid(abi.encode(points), root, nullifier, message, scope), "a proof of nothing");
    }

    /// The point at infinity passes the curve's checks.
    function testFuzz_NoEmptyProofHolds(uint256 root, uint256 nullifier, uint256 message, uint256 scope) public view {
        require(!this.isValid(new bytes(256), root, nullifier, message, scope), "an empty proof");
    }

    function isValid(
        bytes calldata proof,
        uint256 root,
        uint256 nullifier,
        uint256 message,
        uint256 scope
    ) external view returns (bool) {
        return SemaphoreProof.isValid(proof, root, nullifier, message, SemaphoreProof.scopeTermOf(scope));
    }
}
