// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBondCurve} from "../../../contracts/interfaces/IBondCurve.sol";
import {IDealDisputes} from "../../../contracts/interfaces/IDealDisputes.sol";
import {IDealEscrow} from "../../../contracts/interfaces/IDealEscrow.sol";
import {ITrustLedger} from "../../../contracts/interfaces/ITrustLedger.sol";
import {StructHash} from "../../../contracts/libraries/StructHash.sol";
import {Deal} from "../../../contracts/libraries/Types.sol";
import {HostileHook} from "../../../contracts/mocks/HostileHook.sol";
import {HostileToken} from "../../../contracts/mocks/HostileToken.sol";
import {TestArbitrator} from "../../../contracts/mocks/TestArbitrator.sol";
import {FeedbackRegistry} from "../../../contracts/reputation/FeedbackRegistry.sol";
import {TrustLedger} from "../../../contracts/reputation/TrustLedger.sol";
import {DealEscrow} from "../../../contracts/settlement/DealEscrow.sol";
import {Agents} from "../Agents.sol";
import {vm} from "../Vm.sol";

/// @notice What a deal of the invariant tests is drawn from.
struct Draft {
    uint8 client;
    uint8 provider;
    uint8 token;
    uint24 price;
    uint16 delivery;
    uint16 review;
    /// Bits: 1 provider's bond, 2 client's bond, 4 hook, 8 topic, 16 first split, 32 second split, 64 bond without credit.
    uint8 extras;
    /// Of eight: 0 to 2 none, 3 an agent's account, 4 the re-entering account, 5 to 7 an arbitrator that charges.
    uint8 arbiter;
    /// Of eight: 0 to 3 honest, 4 foreign signature, 5 changed price, 6 changed token, 7 signed for another escrow.
    uint8 forgery;
}

/// @notice Every contract that a deal meets, each with its vices, and the deals that were drafted so far.
abstract contract DealWorld {
    uint64 public constant TOPIC = 7;
    /// @notice Two hostile tokens, and native value as the third.
    uint256 public constant TOKENS = 3;
    /// @notice The agents' accounts, then two that only take shares or call; nobody registers these.
    uint256 public constant ACCOUNTS = 5;
    address internal constant SINK = address(0x51c);
    /// @dev Above every honest call; a hook or an arbitrator that burns what it gets burns no more than this.
    uint256 internal constant CALL_GAS = 8_000_000;

    Agents public immutable agents;
    DealEscrow public immutable escrow;
    /// @notice Same registry, same ledger, another address: what was signed for one counts nothing in the other.
    DealEscrow public immutable otherEscrow;
    IDealDisputes public immutable disputes;
    TrustLedger public immutable ledger;
    HostileHook public immutable hook;
    TestArbitrator public immutable arbitrator;
    FeedbackRegistry public immutable feedback;
    HostileToken[2] private _tokens;

    uint256 internal constant WINDOW = 6;
    uint256 internal _window = WINDOW;
    uint256 internal _now;
    uint256 private _salt;
    Deal[] internal _deals;
    mapping(bytes32 dealId => uint256 position) internal _position;
    IDealEscrow.Share[][2] private _splits;
    bytes32[2] private _roots;

    constructor() {
        _now = block.timestamp;
        agents = new Agents();
        ledger = new TrustLedger(1 days, address(agents.registry()));
        escrow = new DealEscrow(agents.registry(), ITrustLedger(ledger), IBondCurve(address(0)));
        otherEscrow = new DealEscrow(agents.registry(), ITrustLedger(ledger), IBondCurve(address(0)));
        disputes = escrow.disputes();
        feedback = new FeedbackRegistry(escrow);
        escrow.setFeedbackRegistry(address(feedback));
        address[] memory recorders = new address[](1);
        recorders[0] = address(escrow);
        ledger.setRecorders(recorders);
        hook = new HostileHook();
        arbitrator = new TestArbitrator();
        _tokens = [new HostileToken(), new HostileToken()];
        for (uint256 i = 0; i < agents.COUNT(); ++i) {
            vm.deal(accountAt(i), 1 << 80);
            for (uint256 t = 0; t < 2; ++t) _endow(_tokens[t], accountAt(i));
        }
        _addSplit(0, accountAt(0), 333_333, accountAt(3), 500_001);
        _addSplit(1, accountAt(2), 999_999, accountAt(1), 0);
    }

    function accountAt(uint256 index) public view returns (address) {
        return index < agents.COUNT() ? agents.accounts(index) : address(uint160(0xacc0 + index));
    }

    function tokenAt(uint256 index) public view returns (address) {
        return index % TOKENS == 2 ? address(0) : address(_tokens[index % TOKENS]);
    }

    function _endow(HostileToken token, address account) private {
        token.mint(account, 1 << 80);
        vm.prank(account);
        token.approve(address(escrow), type(uint256).max);
        vm.prank(account);
        token.approve(address(otherEscrow), type(uint256).max);
    }

    /// @dev Two leaves and their root, as IDealEscrow.Share defines them.
    function _addSplit(uint256 index, address first, uint32 firstPart, address second, uint32 secondPart) private {
        _splits[index].push(IDealEscrow.Share(first, firstPart));
        _splits[index].push(IDealEscrow.Share(second, secondPart));
        bytes32 left = keccak256(abi.encode(uint256(0), first, firstPart));
        _roots[index] = keccak256(abi.encodePacked(left, keccak256(abi.encode(uint256(1), second, secondPart))));
    }

    function _sharesOf(Deal memory deal) internal view returns (IDealEscrow.Share[] memory) {
        return _splits[deal.splitsRoot == _roots[1] ? 1 : 0];
    }

    function _drafted(Draft memory draft) internal returns (Deal memory deal) {
        uint256 count = agents.COUNT();
        deal.clientAgentId = (draft.client % count) + 1;
        deal.providerAgentId = ((deal.clientAgentId + (draft.provider % (count - 1))) % count) + 1;
        deal.topic = draft.extras & 8 != 0 ? TOPIC : 0;
        deal.token = tokenAt(draft.token);
        deal.price = uint256(draft.price) + 1;
        deal.submitBy = uint48(_now + 1 + draft.delivery);
        deal.reviewPeriod = draft.review;
        deal.salt = ++_salt;
        if (draft.extras & 1 != 0) deal.providerBond = uint256(draft.price) / 3 + 1;
        if (draft.extras & 2 != 0) deal.clientBond = uint256(draft.price) / 7 + 1;
        if (draft.extras & 4 != 0) deal.hook = address(hook);
        if (draft.extras & 16 != 0) deal.splitsRoot = _roots[0];
        if (draft.extras & 32 != 0) deal.splitsRoot = _roots[1];
        deal.arbiter = _arbiterOf(draft.arbiter % 8);
        if (deal.arbiter != address(0)) deal.arbiterDeadline = deal.submitBy + deal.reviewPeriod + 1 + draft.review;
        _deals.push(deal);
        _position[StructHash.hash(deal)] = _deals.length;
    }

    function _arbiterOf(uint256 kind) private view returns (address) {
        if (kind < 3) return address(0);
        if (kind == 3) return accountAt(0);
        return kind == 4 ? accountAt(2) : address(arbitrator);
    }

    /// @dev Recent deals more often than old ones, which have ended.
    function _deal(uint256 which) internal view returns (Deal memory) {
        uint256 window = _deals.length < _window ? _deals.length : _window;
        return _deals[_deals.length - 1 - (which % window)];
    }

    function _tokenOf(address token) internal view returns (HostileToken) {
        return token == address(_tokens[0]) ? _tokens[0] : _tokens[1];
    }

    function _balanceOf(address token, address account) internal view returns (uint256) {
        return token == address(0) ? account.balance : HostileToken(token).balanceOf(account);
    }
}
