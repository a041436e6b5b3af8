// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {RLP} from "@openzeppelin/contracts/utils/RLP.sol";
import {IERC721Receiver} from "@openzeppelin/contracts/token/ERC721/IERC721Receiver.sol";
import {IdentityRegistry} from "../../contracts/identity/IdentityRegistry.sol";
import {IArbitrable} from "../../contracts/interfaces/IArbitrator.sol";
import {IJurorPanel} from "../../contracts/interfaces/IJurorPanel.sol";
import {OperatorTable} from "../../contracts/mocks/OperatorTable.sol";
import {TestToken} from "../../contracts/mocks/TestToken.sol";
import {TrustLedger} from "../../contracts/reputation/TrustLedger.sol";
import {JurorPanel} from "../../contracts/settlement/arbitration/JurorPanel.sol";
import {StakeVault} from "../../contracts/stake/StakeVault.sol";
import {vm} from "./Vm.sol";

interface BlockHashCheat {
    function setBlockhash(uint256 blockNumber, bytes32 blockHash) external;
}

/// @notice Is the arbitrable, the owner of six jurors and whoever pokes. Disputes, draws by made-up headers, sealed votes, appeals,
/// rulings, settlements and withdrawals come in any order; what is refused is refused by the panel.
contract JurorPanelHandler is IERC721Receiver, IArbitrable {
    uint256 public constant BOND = 1_000;
    uint256 public constant FEE = 7;
    uint32 public constant JURORS = 6;
    uint256 private constant MAX_DISPUTES = 6;
    bytes32 private constant SALT = "salt";

    TestToken public immutable token;
    StakeVault public immutable vault;
    JurorPanel public immutable panel;
    OperatorTable public immutable operators;

    uint256 private _now;
    uint256 private _block;
    uint256 public disputes;
    uint256 public paidIn;
    uint256 public paidOut;
    uint256 public settledRounds;
    mapping(uint256 disputeId => uint256) public rulings;

    constructor() payable {
        IdentityRegistry registry = new IdentityRegistry();
        token = new TestToken();
        TrustLedger ledger = new TrustLedger(1 days, address(registry));
        vault = new StakeVault(token, registry, ledger, 2 days);
        operators = new OperatorTable();
        panel = new JurorPanel(vault, operators, BOND, FEE, 1 hours);
        address[] memory modules = new address[](1);
        modules[0] = address(panel);
        vault.setModules(modules);
        token.mint(address(this), 1e12);
        token.approve(address(vault), 1e12);
        for (uint32 id = 1; id <= JURORS; ++id) {
            registry.register();
            vault.stake(id, 20 * BOND);
            panel.enlist(id, 4 * BOND);
        }
        // Two of them are one person.
        operators.set(1, "one");
        operators.set(2, "one");
        _now = block.timestamp;
        _block = block.number;
    }

    receive() external payable {
        paidOut += msg.value;
    }

    function onERC721Received(address, address, uint256, bytes calldata) external pure returns (bytes4) {
        return IERC721Receiver.onERC721Received.selector;
    }

    function rule(uint256 disputeId, uint256 ruling) external {
        // The fuzzer plays strangers, too; a second ruling of the panel is not taken, and so not delivered.
        if (msg.sender != address(panel)) return;
        require(rulings[disputeId] == 0, "ruled twice");
        rulings[disputeId] = ruling + 1;
    }

    function ask(uint8 jurors, uint8 tip) external {
        _sync();
        if (disputes == MAX_DISPUTES) return;
        uint256 count = 1 + (jurors % 5);
        _pay(count * FEE + tip);
        disputes = panel.createDispute{value: count * FEE + tip}(2, abi.encode(count, new uint32[](0)));
        _block += 5;
    }

    function draw(uint8 dispute, bytes32 seed) external {
        _sync();
        uint256 id = _pick(dispute);
        if (panel.stageOf(id) != IJurorPanel.Stage.Drawing) return;
        (, , uint256 rounds, , ) = panel.disputeOf(id);
        (, uint256 seedBlock, , , , , ) = panel.roundOf(id, rounds - 1);
        if (_block <= seedBlock) _block = seedBlock + 1;
        vm.roll(_block);
        bytes memory header = _headerWith(seed);
        if (_block - seedBlock <= 256) {
            BlockHashCheat(address(vm)).setBlockhash(seedBlock, keccak256(header));
        }
        panel.draw(id, header);
        (uint32[] memory jurors, , , , , , ) = panel.roundOf(id, rounds - 1);
        for (uint256 k; k < jurors.length; ++k)
            for (uint256 m; m < k; ++m) {
                require(jurors[k] != jurors[m], "one juror twice");
                require(jurors[k] + jurors[m] != 3, "one operator twice");
            }
    }

    function commitVote(uint8 dispute, uint8 seat, uint8 choice) external {
        _sync();
        (uint256 id, uint256 round, uint32 agentId) = _seat(dispute, seat);
        bytes32 sealed_ = keccak256(abi.encode(id, round, agentId, uint256(choice % 3), SALT));
        try panel.commitVote(id, agentId, sealed_) {} catch {}
    }

    function revealVote(uint8 dispute, uint8 seat, uint8 choice) external {
        _sync();
        (uint256 id, , uint32 agentId) = _seat(dispute, seat);
        try panel.revealVote(id, agentId, choice % 3, SALT) {} catch {}
    }

    function appeal(uint8 dispute) external {
        _sync();
        uint256 id = _pick(dispute);
        if (panel.stageOf(id) != IJurorPanel.Stage.Appealing) return;
        uint256 cost = panel.appealCost(id, "");
        _pay(cost);
        panel.appeal{value: cost}(id, "");
    }

    function execute(uint8 dispute) external {
        _sync();
        uint256 id = _pick(dispute);
        if (panel.stageOf(id) != IJurorPanel.Stage.Due) return;
        panel.executeRuling(id);
        require(rulings[id] != 0, "not delivered");
    }

    function settle(uint8 dispute, uint8 round) external {
        _sync();
        try panel.settle(_pick(dispute), round % 4) {
            ++settledRounds;
        } catch {}
    }

    function withdraw() external {
        _sync();
        try panel.withdrawCredit(address(this)) {} catch {}
    }

    function enlist(uint8 agent, uint16 amount) external {
        _sync();
        try panel.enlist(1 + (agent % JURORS), amount) {} catch {}
    }

    function discharge(uint8 agent, uint16 amount) external {
        _sync();
        try panel.discharge(1 + (agent % JURORS), amount) {} catch {}
    }

    function passTime(uint16 secondsLater) external {
        _now += secondsLater % 2 hours;
        _block += 1 + (secondsLater % 7);
    }

    function _sync() private {
        vm.warp(_now);
        vm.roll(_block);
    }

    function _pay(uint256 amount) private {
        vm.deal(address(this), address(this).balance + amount);
        paidIn += amount;
    }

    function _pick(uint8 dispute) private view returns (uint256) {
        return disputes == 0 ? 0 : 1 + (dispute % disputes);
    }

    function _seat(uint8 dispute, uint8 seat) private view returns (uint256 id, uint256 round, uint32 agentId) {
        id = _pick(dispute);
        (, , uint256 rounds, , ) = panel.disputeOf(id);
        if (rounds == 0) return (id, 0, 1);
        round = rounds - 1;
        (uint32[] memory jurors, , , , , , ) = panel.roundOf(id, round);
        agentId = jurors.length == 0 ? 1 : jurors[seat % jurors.length];
    }

    /// @dev As many fields as a header needs up to mixHash; only that one is read.
    function _headerWith(bytes32 seed) private pure returns (bytes memory) {
        bytes[] memory fields = new bytes[](15);
        for (uint256 k; k < 15; ++k) fields[k] = RLP.encode(k == 13 ? seed : bytes32(k));
        return RLP.encode(fields);
    }
}

contract JurorPanelInvariants {
    JurorPanelHandler private _handler;
    JurorPanel private _panel;

    function setUp() public {
        _handler = new JurorPanelHandler();
        _panel = _handler.panel();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    /// Native value: what came in is fees of rounds not settled, credits, and what was paid out; to the wei.
    function invariant_FeesAreConserved() public view {
        uint256 held;
        for (uint256 id = 1; id <= _handler.disputes(); ++id) {
            (, , uint256 rounds, , ) = _panel.disputeOf(id);
            for (uint256 round; round < rounds; ++round) {
                (, , , , , uint256 fees, bool isSettled) = _panel.roundOf(id, round);
                if (!isSettled) held += fees;
            }
        }
        (uint256 credit, ) = _panel.creditOf(address(_handler));
        require(address(_panel).balance == held + credit, "held");
        require(_handler.paidIn() == _handler.paidOut() + address(_panel).balance, "paid in");
    }

    /// Bonds: the panel holds what it owes; tokens are where they were, in the vault, or burned.
    function invariant_BondsAreConserved() public view {
        (, uint256 credit) = _panel.creditOf(address(_handler));
        require(_handler.token().balanceOf(address(_panel)) == credit, "owed");
        uint256 staked;
        for (uint32 id = 1; id <= _handler.JURORS(); ++id) {
            (uint256 stake, , , ) = _handler.vault().stakeOf(id);
            staked += stake;
        }
        require(_handler.token().balanceOf(address(_handler.vault())) == staked, "vault");
        uint256 elsewhere = _handler.token().balanceOf(address(_handler)) + _handler.token().balanceOf(address(0xdEaD));
        require(staked + credit + elsewhere == 1e12, "supply");
    }

    /// What seats hold is a bond for each seat of an unsettled round, and never more than is enlisted.
    function invariant_SeatsHoldWhatIsEnlisted() public view {
        uint256[7] memory seats;
        for (uint256 id = 1; id <= _handler.disputes(); ++id) {
            (, , uint256 rounds, , ) = _panel.disputeOf(id);
            for (uint256 round; round < rounds; ++round) {
                (uint32[] memory jurors, , , , , , bool isSettled) = _panel.roundOf(id, round);
                for (uint256 k; !isSettled && k < jurors.length; ++k) ++seats[jurors[k]];
            }
        }
        for (uint32 id = 1; id <= _handler.JURORS(); ++id) {
            (uint256 enlisted, uint256 atStake, ) = _panel.jurorOf(id);
            require(atStake == seats[id] * _handler.BOND() && atStake <= enlisted, "at stake");
            require(enlisted == _handler.vault().lockOf(id, address(_panel)), "enlisted");
        }
    }

    /// The handler reaches what the invariants speak of: a walk through two disputes, one of them appealed.
    function test_HandlerReachesASettlement() public {
        for (uint8 n; n < 2; ++n) {
            _handler.ask(2, n);
            _handler.draw(n, bytes32(uint256(n) + 1));
            for (uint8 seat; seat < 3; ++seat) _handler.commitVote(n, seat, seat == 2 ? 2 : 1);
            _handler.passTime(3_600);
            for (uint8 seat; seat < 2; ++seat) _handler.revealVote(n, seat, 1);
            _handler.passTime(3_600);
            if (n == 0) {
                _handler.appeal(n);
                _handler.draw(n, bytes32(uint256(99)));
                _handler.passTime(7_199);
            }
            _handler.passTime(7_199);
            _handler.execute(n);
            _handler.settle(n, 0);
            _handler.settle(n, 1);
            _handler.withdraw();
        }
        require(_handler.settledRounds() == 3, "rounds were not settled");
        invariant_FeesAreConserved();
        invariant_BondsAreConserved();
        invariant_SeatsHoldWhatIsEnlisted();
    }
}
