// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC721Receiver} from "@openzeppelin/contracts/token/ERC721/IERC721Receiver.sol";
import {IdentityRegistry} from "../../contracts/identity/IdentityRegistry.sol";
import {Couplings, Fault, IReputationEpochs, TopicLink} from "../../contracts/interfaces/IReputationEpochs.sol";
import {ReputationMap} from "../../contracts/libraries/ReputationMap.sol";
import {TopicRoot} from "../../contracts/libraries/Types.sol";
import {TestToken} from "../../contracts/mocks/TestToken.sol";
import {ReputationEpochs} from "../../contracts/reputation/ReputationEpochs.sol";
import {TrustLedger} from "../../contracts/reputation/TrustLedger.sol";
import {StakeVault} from "../../contracts/stake/StakeVault.sol";
import {vm} from "./Vm.sol";

/// @notice Plays two publishers, challengers, requesters and finalizers over a topic of two seats, whose tree has two leaves:
/// dust and one that any edge challenge refutes. Keeps its own books of what stands, what is locked and what is owed.
contract ReputationEpochsHandler is IERC721Receiver {
    struct Entry {
        uint256 candidateId;
        uint32 publisher;
        bool isLive;
        bool isStruck;
        bool isRequested;
        bool isSettled;
        uint256 fee;
    }

    uint256 public constant EPOCH_LENGTH = 12 hours;
    uint256 public constant BOND = 1_001;
    uint64 public constant TOPIC = 9;
    address public constant BURN_ACCOUNT = address(0xdEaD);

    TestToken public immutable token;
    TrustLedger public immutable ledger;
    StakeVault public immutable vault;
    ReputationEpochs public immutable epochs;

    uint256 private _now;
    uint256 private _blockNumber;
    uint256 private _lastLeaf = 5;
    uint256 public struckCount;
    /// @notice Strikes that were reserved, and so were paid.
    uint256 public paidCount;
    uint32 public lastFinalized;
    /// @notice Epochs of roots by the epoch in which they were the last to be finalized; 0 = none was in it.
    mapping(uint256 finalizedIn => uint32 epoch) public lastFinalizedIn;
    Entry[] private _entries;

    constructor() payable {
        IdentityRegistry registry = new IdentityRegistry();
        token = new TestToken();
        ledger = new TrustLedger(EPOCH_LENGTH, address(registry));
        vault = new StakeVault(token, registry, ledger, uint48(2 * EPOCH_LENGTH));
        TopicLink[] memory links = new TopicLink[](1);
        links[0] = TopicLink({to: TOPIC, from: TOPIC + 1, omega: 1 << 15});
        Couplings memory couplings = Couplings({minClients: 1, maxShare: 1 << 15, links: links});
        epochs = new ReputationEpochs(ledger, vault, address(registry), BOND, couplings);
        address[] memory modules = new address[](1);
        modules[0] = address(epochs);
        vault.setModules(modules);
        registry.register();
        registry.register();
        token.mint(address(this), 1e12);
        token.approve(address(vault), 1e12);
        vault.stake(1, 1e11);
        vault.stake(2, 1e11);
        ledger.join(TOPIC, 1);
        _now = block.timestamp + EPOCH_LENGTH;
    }

    receive() external payable {}

    function onERC721Received(address, address, uint256, bytes calldata) external pure returns (bytes4) {
        return IERC721Receiver.onERC721Received.selector;
    }

    function commit(bool isSecond) external {
        vm.warp(_now);
        uint32 closed = uint32(ledger.epoch() - 1);
        (, uint32 standing) = epochs.candidateCountOf(closed);
        uint256 sinceStart = (_now - ledger.genesis()) % EPOCH_LENGTH;
        if (sinceStart >= EPOCH_LENGTH / 3 || standing == 8) return;
        TopicRoot[] memory topics = new TopicRoot[](1);
        bytes32 root = keccak256(abi.encode(uint256(0), _lastLeaf));
        topics[0] = TopicRoot({topic: TOPIC, root: root, multiplier: 1, shift: 0});
        uint32 publisher = isSecond ? 2 : 1;
        uint256 candidateId = epochs.commit(publisher, 0, topics, "");
        // The same place in the ring of four: the former candidate's bond is carried over or given back.
        for (uint256 k; k < _entries.length; ++k) {
            if (_place(_entries[k].candidateId) == _place(candidateId)) _entries[k].isLive = false;
        }
        _entries.push(Entry(candidateId, publisher, true, false, false, false, 0));
    }

    function challenge(uint256 seed) external {
        vm.warp(_now);
        Entry storage entry = _pick(seed);
        if (!entry.isLive || entry.isStruck || entry.candidateId >> 32 != ledger.epoch() - 1) return;
        epochs.challengeEdge(entry.candidateId, TOPIC, true, _lastLeaf, _dustAsProof());
        _strike(entry);
    }

    /// @dev The same through a reservation, one block later: half of the bond comes back to the reporter.
    function report(uint256 seed) external {
        vm.warp(_now);
        Entry storage entry = _pick(seed);
        if (!entry.isLive || entry.isStruck || entry.candidateId >> 32 != ledger.epoch() - 1) return;
        bytes memory call = abi.encodeCall(
            epochs.challengeEdge,
            (entry.candidateId, TOPIC, true, _lastLeaf, _dustAsProof())
        );
        vault.reserve(keccak256(abi.encode(address(this), address(epochs), keccak256(call), bytes32(seed))));
        _blockNumber = (_blockNumber > block.number ? _blockNumber : block.number) + 1;
        vm.roll(_blockNumber);
        uint256 balance = token.balanceOf(address(this));
        vault.report(address(epochs), call, bytes32(seed));
        require(token.balanceOf(address(this)) == balance + BOND / 2, "not paid");
        _strike(entry);
        ++paidCount;
    }

    function request(uint256 seed, uint64 fee) external {
        vm.warp(_now);
        Entry storage entry = _pick(seed);
        bool isOpen = (_now - ledger.genesis()) % EPOCH_LENGTH < (2 * EPOCH_LENGTH) / 3;
        if (!entry.isLive || entry.isStruck || entry.isRequested || !isOpen) return;
        if (entry.candidateId >> 32 != ledger.epoch() - 1) return;
        uint256 value = uint256(fee) + epochs.requestFeeAt(block.basefee);
        vm.deal(address(this), address(this).balance + value);
        epochs.requestLeaves{value: value}(entry.candidateId, TOPIC, 0);
        (entry.isRequested, entry.fee) = (true, value);
    }

    function answer(uint256 seed) external {
        vm.warp(_now);
        Entry storage entry = _pick(seed);
        if (!entry.isLive || entry.isStruck || !entry.isRequested || entry.isSettled) return;
        uint256[] memory leaves = new uint256[](2);
        leaves[1] = _lastLeaf;
        try epochs.answerLeaves(entry.candidateId, TOPIC, 0, leaves, new bytes32[](0)) {
            entry.isSettled = true;
        } catch {}
    }

    function strikeUnavailable(uint256 seed) external {
        vm.warp(_now);
        Entry storage entry = _pick(seed);
        try epochs.strikeUnavailable(entry.candidateId, TOPIC, 0) {
            require(entry.isLive && entry.isRequested && !entry.isSettled, "struck without an open request");
            _strike(entry);
        } catch {}
    }

    function reclaim(uint256 seed) external {
        vm.warp(_now);
        Entry storage entry = _pick(seed);
        try epochs.reclaimFee(entry.candidateId, TOPIC, 0) {
            require(entry.isStruck || !entry.isLive, "fee of a standing candidate");
            entry.isSettled = true;
        } catch {}
    }

    function release(uint256 seed) external {
        vm.warp(_now);
        Entry storage entry = _pick(seed);
        try epochs.releaseBond(entry.candidateId) {
            require(ledger.epoch() >= (entry.candidateId >> 32) + 2, "released while challengeable");
            require(!entry.isRequested || entry.isSettled, "released with a request open");
            entry.isLive = false;
        } catch {}
    }

    function finalize(uint256 seed) external {
        vm.warp(_now);
        uint32 epoch = uint32(_pick(seed).candidateId >> 32);
        uint64[] memory topics = new uint64[](1);
        topics[0] = TOPIC;
        try epochs.finalize(epoch, topics) {
            require(epoch > lastFinalized && ledger.epoch() >= epoch + 2, "finalized too early or again");
            lastFinalized = epoch;
            lastFinalizedIn[ledger.epoch()] = epoch;
            (, , , , uint256 candidateId) = epochs.finalizedOf(TOPIC);
            require(candidateId == _firstUnstruck(epoch), "not the first that stands");
        } catch {}
    }

    function passTime(uint32 secondsLater) external {
        _now += secondsLater % (EPOCH_LENGTH / 3);
    }

    /// @dev Epochs go by often enough that the ring of four comes round within one run.
    function enterNextEpoch() external {
        vm.warp(_now);
        _now = ledger.genesis() + ledger.epoch() * EPOCH_LENGTH;
    }

    function warp() external {
        vm.warp(_now);
    }

    function entries() external view returns (Entry[] memory) {
        return _entries;
    }

    function _strike(Entry storage entry) private {
        (entry.isStruck, entry.isLive) = (true, false);
        ++struckCount;
    }

    /// @dev A storage entry that is empty until something was committed.
    function _pick(uint256 seed) private returns (Entry storage) {
        if (_entries.length == 0) _entries.push(Entry(0, 0, false, false, false, false, 0));
        return _entries[seed % _entries.length];
    }

    function _firstUnstruck(uint32 epoch) private view returns (uint256) {
        for (uint256 k; k < _entries.length; ++k) {
            if (_entries[k].candidateId >> 32 == epoch && !_entries[k].isStruck) return _entries[k].candidateId;
        }
        revert("none stands");
    }

    function _place(uint256 candidateId) private pure returns (uint256) {
        return (((candidateId >> 32) % 4) << 32) | uint32(candidateId);
    }

    function _dustAsProof() private pure returns (bytes32[] memory proof) {
        proof = new bytes32[](1);
    }
}

contract ReputationEpochsInvariants {
    ReputationEpochsHandler private _handler;
    ReputationEpochs private _epochs;

    function setUp() public {
        _handler = new ReputationEpochsHandler();
        _epochs = _handler.epochs();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    /// An agent's lock is one bond for each of its candidates that is neither struck nor released nor replaced.
    function invariant_LockIsOneBondForEachLiveCandidate() public view {
        ReputationEpochsHandler.Entry[] memory entries = _handler.entries();
        for (uint32 publisher = 1; publisher <= 2; ++publisher) {
            uint256 live;
            for (uint256 k; k < entries.length; ++k) if (entries[k].isLive && entries[k].publisher == publisher) ++live;
            uint256 locked = _handler.vault().lockOf(publisher, address(_epochs));
            require(locked == live * _handler.BOND(), "lock");
        }
    }

    /// Each strike takes one bond, once: half of it, rounded up, is burned where the strike was reserved, else all of it.
    function invariant_EachStrikeTakesOneBond() public view {
        uint256 burned = _handler.token().balanceOf(_handler.BURN_ACCOUNT());
        uint256 paid = _handler.paidCount() * (_handler.BOND() / 2);
        require(burned == _handler.struckCount() * _handler.BOND() - paid, "burned");
        uint256 left;
        for (uint32 publisher = 1; publisher <= 2; ++publisher) {
            (uint256 staked, , , ) = _handler.vault().stakeOf(publisher);
            left += staked;
        }
        require(left == 2e11 - _handler.struckCount() * _handler.BOND(), "stake");
    }

    /// The contract holds the fees of the requests that are neither answered nor taken back, to the wei.
    function invariant_BalanceIsTheFeesOwed() public view {
        ReputationEpochsHandler.Entry[] memory entries = _handler.entries();
        uint256 owed;
        for (uint256 k; k < entries.length; ++k)
            if (entries[k].isRequested && !entries[k].isSettled) owed += entries[k].fee;
        require(address(_epochs).balance == owed, "fees");
    }

    /// While its slot stands, a candidate answers as it was judged, and the round counts those that stand.
    function invariant_RoundsCountWhatStands() public view {
        ReputationEpochsHandler.Entry[] memory entries = _handler.entries();
        for (uint256 k; k < entries.length; ++k) {
            uint32 epoch = uint32(entries[k].candidateId >> 32);
            (uint32 committed, uint32 standing) = _epochs.candidateCountOf(epoch);
            if (committed == 0) continue;
            uint256 unstruck;
            for (uint256 m; m < entries.length; ++m) {
                if (entries[m].candidateId >> 32 == epoch && !entries[m].isStruck) ++unstruck;
            }
            require(standing == unstruck && standing <= 8 && standing <= committed, "standing");
            (, uint32 storedEpoch, , Fault fault, , ) = _epochs.candidateOf(entries[k].candidateId);
            require(storedEpoch != epoch || (fault != Fault.None) == entries[k].isStruck, "fault");
        }
    }

    /// The finalized epoch is the last one that the handler finalized; it never falls.
    function invariant_FinalizedEpochOnlyRises() public view {
        (, uint32 epoch, , , ) = _epochs.finalizedOf(_handler.TOPIC());
        require(epoch == _handler.lastFinalized(), "finalized");
    }

    /// The base is the last root that had been finalized before the running epoch began, whatever was finalized since.
    function invariant_BaseIsWhatWasFinalizedBeforeTheEpoch() public view {
        uint32 expected;
        for (uint256 past = _handler.ledger().epoch() - 1; past != 0 && expected == 0; --past) {
            expected = _handler.lastFinalizedIn(past);
        }
        (bytes32 root, uint32 epoch, uint32 leafCount, , uint64 multiplier, ) = _epochs.baseOf(_handler.TOPIC());
        require(epoch == expected, "base");
        require(expected == 0 ? root == 0 && multiplier == 0 : leafCount == 2 && multiplier == 1, "what it holds");
    }
}

/// @notice What couplings a deployment takes, and what a prior can come to.
contract CouplingsFuzz {
    TrustLedger private _ledger;
    StakeVault private _vault;
    IdentityRegistry private _registry;

    function setUp() public {
        _registry = new IdentityRegistry();
        _ledger = new TrustLedger(12 hours, address(_registry));
        _vault = new StakeVault(new TestToken(), _registry, _ledger, 2 days);
    }

    /// A cap of c is taken if differences between two histories shrink by 2c / (1 + c) < 1, which is c < 1.
    function testFuzz_CapIsTakenIfEpochsSettle(uint32 maxShare) public {
        if (maxShare % 2 == 0) maxShare = uint32(65_535 + (maxShare % 4));
        Couplings memory couplings = Couplings({minClients: 1, maxShare: maxShare, links: new TopicLink[](0)});
        try this.deploy(couplings) returns (ReputationEpochs epochs) {
            require(maxShare < 65_535 && epochs.couplingsOf(9).maxShare == maxShare, "unstable");
        } catch (bytes memory reason) {
            require(maxShare >= 65_535, "stable");
            require(bytes4(reason) == IReputationEpochs.ReputationEpochsUnstable.selector, "reason");
        }
    }

    /// Links are taken in ascending order, without repetition, with omegas of one at most, and read back.
    function testFuzz_LinksAreTakenInOrder(uint64 to, uint8 count, uint32 omega, uint8 broken) public {
        (to, count, omega) = (to | 1, count % 10, omega % 9_000);
        TopicLink[] memory links = new TopicLink[](count);
        for (uint8 k; k < count; ++k) links[k] = TopicLink({to: to, from: 2 * (uint64(k) + 1), omega: omega});
        bool isBroken = count > 1 && broken % 3 == 0;
        if (isBroken) links[count - 1].from = links[count - 2].from - (broken % 2 == 0 ? 1 : 0);
        bool isTaken = !isBroken && (count == 0 || (omega != 0 && count <= 8 && uint256(omega) * count <= 65_536));
        Couplings memory couplings = Couplings({minClients: 3, maxShare: 1, links: links});
        try this.deploy(couplings) returns (ReputationEpochs epochs) {
            require(isTaken, "taken");
            require(keccak256(abi.encode(epochs.couplingsOf(to))) == keccak256(abi.encode(couplings)), "read back");
        } catch (bytes memory reason) {
            require(!isTaken, "refused");
            require(bytes4(reason) == IReputationEpochs.ReputationEpochsBadLink.selector, "reason");
        }
    }

    /// Reputation elsewhere adds at most the cap's share of the stake, never takes anything, and counts for nothing without stake.
    function testFuzz_PriorIsStakeAndAtMostTheCap(
        uint112 stake,
        uint64 score,
        uint64 multiplier,
        uint8 shift,
        uint16 maxShare
    ) public pure {
        uint256 budget = ReputationMap.budgetOf(uint256(multiplier) + 1, shift % 85);
        uint256 bridged = 8 * ReputationMap.bridgedBy(score, 1 << 16, budget);
        uint256 prior = ReputationMap.priorOf(stake, bridged, maxShare);
        uint256 alone = ReputationMap.priorOf(stake, 0, maxShare);
        uint256 most = uint256(stake) + (uint256(stake) * maxShare) / 65_536;
        require(alone == (stake < ReputationMap.MAX_PRIOR ? stake : ReputationMap.MAX_PRIOR), "alone");
        require(prior >= alone && prior <= most && prior <= ReputationMap.MAX_PRIOR, "prior");
        require(ReputationMap.priorOf(stake, bridged + 1, maxShare) >= prior, "monotone");
    }

    function deploy(Couplings calldata couplings) external returns (ReputationEpochs) {
        return new ReputationEpochs(_ledger, _vault, address(_registry), 1, couplings);
    }
}
