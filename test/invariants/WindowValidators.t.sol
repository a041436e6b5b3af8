// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {RLP} from "@openzeppelin/contracts/utils/RLP.sol";
import {IERC721Receiver} from "@openzeppelin/contracts/token/ERC721/IERC721Receiver.sol";
import {IdentityRegistry} from "../../contracts/identity/IdentityRegistry.sol";
import {Signers} from "../../contracts/identity/Signers.sol";
import {IWindowValidators} from "../../contracts/interfaces/IWindowValidators.sol";
import {StructHash} from "../../contracts/libraries/StructHash.sol";
import {BatchHeader, SignerBinding} from "../../contracts/libraries/Types.sol";
import {TestToken} from "../../contracts/mocks/TestToken.sol";
import {WindowValidators} from "../../contracts/network/WindowValidators.sol";
import {TrustLedger} from "../../contracts/reputation/TrustLedger.sol";
import {StakeVault} from "../../contracts/stake/StakeVault.sol";
import {Log, vm} from "./Vm.sol";

interface BlockHashCheat {
    function setBlockhash(uint256 blockNumber, bytes32 blockHash) external;
}

/// @notice Owns nine agents with a LOG key each, and pokes at two topics: enlists, leaves, draws by made-up headers, signs, anchors and
/// reports in any order and at any time. What is refused is refused by the contract; what is done is folded from the events.
contract WindowValidatorsHandler is IERC721Receiver {
    uint256 public constant BOND = 1_000;
    uint32 public constant AGENTS = 9;
    uint64 public constant TOPICS = 2;
    uint256 private constant EPOCH_LENGTH = 1_000;
    uint256 private constant WINDOW_SECONDS = 5;
    uint256 private constant FIRST_KEY = 500;

    TestToken public immutable token;
    StakeVault public immutable vault;
    WindowValidators public immutable windows;
    IdentityRegistry private immutable REGISTRY;

    uint256 private _now;
    uint256 private _block;
    uint256 public draws;
    uint256 public punished;
    uint256 public anchored;
    uint256 public released;
    /// @dev The fold of the events: what is enlisted, by topic and agent, and who was punished when.
    mapping(uint64 topic => mapping(uint32 agentId => uint256)) public foldedStake;
    mapping(uint64 topic => mapping(uint32 agentId => uint256)) public foldedPlace;
    mapping(uint64 topic => mapping(uint32 agentId => uint256)) public punishedAt;
    mapping(uint64 topic => mapping(uint256 epoch => uint256)) public drawnAt;
    mapping(uint64 topic => uint256) public newestEpoch;
    mapping(bytes32 offenceId => uint256) public timesPunished;

    constructor() {
        REGISTRY = new IdentityRegistry();
        token = new TestToken();
        TrustLedger ledger = new TrustLedger(EPOCH_LENGTH, address(REGISTRY));
        vault = new StakeVault(token, REGISTRY, ledger, uint48(2 * EPOCH_LENGTH));
        windows = new WindowValidators(vault, BOND, WINDOW_SECONDS);
        address[] memory modules = new address[](1);
        modules[0] = address(windows);
        vault.setModules(modules);
        token.mint(address(this), 1e12);
        token.approve(address(vault), 1e12);
        for (uint32 id = 1; id <= AGENTS; ++id) _register(id);
        _now = block.timestamp;
        _block = block.number;
        vm.recordLogs();
    }

    function onERC721Received(address, address, uint256, bytes calldata) external pure returns (bytes4) {
        return IERC721Receiver.onERC721Received.selector;
    }

    function enlist(uint8 topic, uint8 agent, uint16 amount) external {
        _sync();
        try windows.enlist(_topic(topic), _agent(agent), amount % 8_000) {
            _fold();
        } catch {
            _forget();
        }
    }

    function resign(uint8 topic, uint8 agent) external {
        _sync();
        try windows.resign(_topic(topic), _agent(agent)) {
            _fold();
        } catch {
            _forget();
        }
    }

    function release(uint8 topic, uint8 agent) external {
        _sync();
        try windows.release(_topic(topic), _agent(agent)) {
            ++released;
            _fold();
        } catch {
            _forget();
        }
    }

    function schedule(uint8 topic) external {
        _sync();
        try windows.scheduleDraw(_topic(topic)) {} catch {}
    }

    function draw(uint8 topic, bytes32 seed) external {
        _sync();
        uint64 id = _topic(topic);
        (, uint256 epoch, uint256 seedBlock) = windows.drawOf(id);
        if (seedBlock == 0) return;
        if (_block <= seedBlock) _block = seedBlock + 1;
        vm.roll(_block);
        bytes memory header = _headerWith(seed);
        if (_block - seedBlock <= 256) BlockHashCheat(address(vm)).setBlockhash(seedBlock, keccak256(header));
        try windows.draw(id, header) {} catch {}
        if (windows.validatorsOf(id, epoch).length == 0 || drawnAt[id][epoch] != 0) return;
        ++draws;
        drawnAt[id][epoch] = _now;
        if (epoch > newestEpoch[id]) newestEpoch[id] = epoch;
    }

    /// @param mask which seats sign
    function anchor(uint8 topic, uint8 epochBack, uint8 window, uint8 content, uint8 mask) external {
        _sync();
        uint64 id = _topic(topic);
        BatchHeader memory header = _header(id, _recent(id, epochBack), window, content);
        uint32[] memory seats = windows.validatorsOf(id, windows.epochOf(header.window));
        bytes[] memory signatures = new bytes[](seats.length);
        uint256 signed;
        for (uint256 k; k < seats.length; ++k) {
            if (((mask >> k) & 1) == 0) continue;
            signatures[k] = _sign(seats[k], header);
            ++signed;
        }
        (, uint48 before) = windows.anchorOf(id, windows.epochOf(header.window));
        try windows.anchor(header, signatures) {
            ++anchored;
            require(3 * signed >= 2 * seats.length, "anchored without two thirds");
            require(header.window > before, "an earlier window replaced a later one");
        } catch {}
    }

    /// @notice Two headers of one seat's key, or of two; of different content, or not.
    function report(uint8 topic, uint8 epochBack, uint8 window, uint8 seat, uint8 contents) external {
        _sync();
        uint64 id = _topic(topic);
        uint256 epoch = _recent(id, epochBack);
        uint32[] memory seats = windows.validatorsOf(id, epoch);
        uint32 agentId = seats.length == 0 ? 1 : seats[seat % seats.length];
        BatchHeader memory one = _header(id, epoch, window, contents & 3);
        BatchHeader memory other = _header(id, epoch, window, (contents >> 2) & 3);
        uint256 atStake = foldedStake[id][agentId];
        try
            windows.reportDoubleSigning(
                IWindowValidators.SignedBatch(one, _sign(agentId, one)),
                IWindowValidators.SignedBatch(other, _sign(agentId, other))
            )
        returns (uint256 taken) {
            require((contents & 3) != ((contents >> 2) & 3), "one header is no offence");
            require(seats.length != 0 && taken == atStake, "not all of its stake");
            require(++timesPunished[keccak256(abi.encode(id, one.window, agentId))] == 1, "punished twice");
            ++punished;
            punishedAt[id][agentId] = _now;
            _fold();
        } catch {
            _forget();
        }
    }

    function passTime(uint16 secondsLater) external {
        _now += secondsLater % 1_500;
        _block += 1 + (secondsLater % 300);
    }

    function now_() external view returns (uint256) {
        return _now;
    }

    function sync() external {
        _sync();
    }

    /// @dev The recorder keeps the logs of what was undone: an enlistment is told before its stake is found to be short.
    function _forget() private {
        vm.getRecordedLogs();
    }

    function _fold() private {
        Log[] memory logs = vm.getRecordedLogs();
        for (uint256 k; k < logs.length; ++k) {
            if (logs[k].emitter != address(windows)) continue;
            bytes32 name = logs[k].topics[0];
            uint64 topic = uint64(uint256(logs[k].topics[1]));
            uint32 agentId = uint32(uint256(logs[k].topics[2]));
            if (name == IWindowValidators.Enlisted.selector) {
                (, uint256 enlisted, uint256 place, ) = abi.decode(logs[k].data, (uint256, uint256, uint256, uint32));
                (foldedStake[topic][agentId], foldedPlace[topic][agentId]) = (enlisted, place);
            } else if (name == IWindowValidators.Resigned.selector) {
                foldedPlace[topic][agentId] = 0;
            } else if (name == IWindowValidators.Released.selector) {
                foldedStake[topic][agentId] = 0;
            } else if (name == IWindowValidators.DoubleSigned.selector) {
                (uint64 id, , ) = abi.decode(logs[k].data, (uint64, uint48, uint256));
                foldedStake[id][uint32(uint256(logs[k].topics[1]))] = 0;
            }
        }
    }

    function _register(uint32 id) private {
        REGISTRY.register();
        address signer = vm.addr(FIRST_KEY + id);
        uint48 deadline = uint48(block.timestamp + 1);
        SignerBinding memory binding = SignerBinding({
            agentId: id,
            owner: address(this),
            signerHash: keccak256(abi.encodePacked(signer)),
            purpose: Signers.LOG,
            validFrom: 0,
            validUntil: 0,
            deadline: deadline
        });
        bytes32 typehash = keccak256(
            "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
        );
        bytes32 domain = keccak256(
            abi.encode(typehash, keccak256("ERC8004IdentityRegistry"), keccak256("1"), block.chainid, address(REGISTRY))
        );
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", domain, StructHash.hash(binding)));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(FIRST_KEY + id, digest);
        REGISTRY.bindSigner(id, abi.encodePacked(signer), Signers.LOG, 0, 0, deadline, abi.encodePacked(r, s, v));
        vault.stake(id, 40 * BOND);
    }

    function _sign(uint32 agentId, BatchHeader memory header) private view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(FIRST_KEY + agentId, windows.digestOf(header));
        return abi.encodePacked(r, s, v);
    }

    function _header(
        uint64 topic,
        uint256 epoch,
        uint8 window,
        uint8 content
    ) private view returns (BatchHeader memory) {
        uint256 start = vault.clock().genesis() + (epoch - 1) * EPOCH_LENGTH;
        uint48 second = uint48(start + (window % 8) * WINDOW_SECONDS);
        return BatchHeader(topic, second, bytes32(0), keccak256(abi.encode(content)), 1);
    }

    /// @dev The newest epoch with validators, or one or two before it.
    function _recent(uint64 topic, uint8 back) private view returns (uint256) {
        uint256 epoch = newestEpoch[topic];
        return epoch > back % 3 ? epoch - (back % 3) : 1;
    }

    function _sync() private {
        vm.warp(_now);
        vm.roll(_block);
    }

    function _topic(uint8 topic) private pure returns (uint64) {
        return 1 + (topic % TOPICS);
    }

    function _agent(uint8 agent) private pure returns (uint32) {
        return 1 + (agent % AGENTS);
    }

    function _headerWith(bytes32 seed) private pure returns (bytes memory) {
        bytes[] memory fields = new bytes[](15);
        for (uint256 k; k < 15; ++k) fields[k] = RLP.encode(k == 13 ? seed : bytes32(k));
        return RLP.encode(fields);
    }
}

contract WindowValidatorsInvariants {
    WindowValidatorsHandler private _handler;
    WindowValidators private _windows;

    function setUp() public {
        _handler = new WindowValidatorsHandler();
        _windows = _handler.windows();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    /// What is enlisted in all topics is the contract's lock, to the unit; locks never exceed the stake.
    function invariant_LocksAreWhatIsEnlisted() public view {
        for (uint32 id = 1; id <= _handler.AGENTS(); ++id) {
            uint256 enlisted;
            for (uint64 topic = 1; topic <= _handler.TOPICS(); ++topic) {
                (uint256 amount, , ) = _windows.enlistmentOf(topic, id);
                enlisted += amount;
            }
            require(enlisted == _handler.vault().lockOf(id, address(_windows)), "lock");
            (uint256 staked, uint256 locked, , ) = _handler.vault().stakeOf(id);
            require(locked == enlisted && locked <= staked, "stake");
        }
    }

    function invariant_FoldedEventsAreTheStorage() public view {
        for (uint64 topic = 1; topic <= _handler.TOPICS(); ++topic)
            for (uint32 id = 1; id <= _handler.AGENTS(); ++id) {
                (uint256 amount, uint256 place, ) = _windows.enlistmentOf(topic, id);
                require(amount == _handler.foldedStake(topic, id), "stake");
                require(place == _handler.foldedPlace(topic, id), "place");
            }
    }

    /// A validator has a bond at stake from its draw until nobody can hold it to a window any more, or it was punished.
    function invariant_ValidatorsAnswerForTheirWindows() public view {
        uint256 genesis = _handler.vault().clock().genesis();
        uint256 length = _handler.vault().clock().epochLength();
        for (uint64 topic = 1; topic <= _handler.TOPICS(); ++topic) {
            uint256 newest = _handler.newestEpoch(topic);
            for (uint256 epoch = newest > 3 ? newest - 3 : 1; epoch <= newest; ++epoch) {
                if (_handler.now_() >= genesis + epoch * length + _windows.evidencePeriod()) continue;
                uint32[] memory seats = _windows.validatorsOf(topic, epoch);
                require(seats.length <= 7, "seats");
                for (uint256 k; k < seats.length; ++k) {
                    for (uint256 m; m < k; ++m) require(seats[m] != seats[k], "two seats");
                    (uint256 amount, , ) = _windows.enlistmentOf(topic, seats[k]);
                    // Who was punished in sight of its draw, or after it, is drawn by what stood when the epoch began.
                    bool wasPunished = _handler.punishedAt(topic, seats[k]) != 0;
                    require(amount >= _handler.BOND() || wasPunished, "nothing at stake");
                }
            }
        }
    }

    /// The handler reaches what the invariants speak of.
    function test_HandlerReachesDrawAnchorAndPunishment() public {
        for (uint8 agent; agent < 9; ++agent) _handler.enlist(0, agent, 2_000);
        _handler.passTime(1_000);
        _handler.schedule(0);
        _handler.draw(0, bytes32(uint256(1)));
        require(_handler.draws() == 1, "not drawn");
        _handler.resign(0, 0);
        _handler.passTime(1_000);
        _handler.anchor(0, 0, 1, 0, 0x1f);
        _handler.anchor(0, 0, 1, 1, 0x7f);
        _handler.anchor(0, 0, 2, 1, 0x0f);
        require(_handler.anchored() == 1, "not anchored once");
        _handler.report(0, 0, 3, 4, 0x01);
        _handler.report(0, 0, 3, 4, 0x06);
        _handler.report(0, 0, 3, 5, 0x05);
        require(_handler.punished() == 1, "not punished once");
        _handler.passTime(1_499);
        _handler.passTime(1_499);
        _handler.passTime(1_499);
        _handler.release(0, 0);
        require(_handler.released() == 1, "not released");
        invariant_LocksAreWhatIsEnlisted();
        invariant_FoldedEventsAreTheStorage();
        invariant_ValidatorsAnswerForTheirWindows();
    }
}
