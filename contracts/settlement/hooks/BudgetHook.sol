// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";
import {DealState, IDealEscrow} from "../../interfaces/IDealEscrow.sol";
import {IDealHook} from "../../interfaces/IDealHook.sol";
import {Deal} from "../../libraries/Types.sol";

/// @title What an operator's agents spend a day
/// @notice Adds up what all agents of one owner commit to deals that name this hook. A hook cannot block an opening: the
/// limit is for those who ask before they sign (`remainingOf`, the agents' own nodes first), and `BudgetExceeded` for those
/// who watch. What a deal returns to its payer, by refund, cancellation or ruling, is given back on the same day.
contract BudgetHook is IDealHook {
    struct Budget {
        uint128 limit;
        uint128 spent;
        /// Day (Unix time / 86,400) that `spent` is of.
        uint48 day;
    }

    event LimitSet(address indexed operator, address indexed token, uint128 limit);
    event Spent(address indexed operator, address indexed token, bytes32 indexed dealId, uint256 spent, uint256 limit);
    event BudgetExceeded(
        address indexed operator,
        address indexed token,
        bytes32 indexed dealId,
        uint256 spent,
        uint256 limit
    );

    error BudgetHookNotEscrow(address caller);

    IDealEscrow public immutable escrow;
    mapping(address operator => mapping(address token => Budget)) private _budgets;
    /// @dev Who was charged for a deal, and when: an agent may change hands before its end.
    mapping(bytes32 dealId => uint256 operatorAndDay) private _charges;

    constructor(IDealEscrow escrow_) {
        escrow = escrow_;
    }

    /// @notice Sets the caller's limit a day for all agents that it owns; 0 = none.
    function setLimit(address token, uint128 limit) external {
        _budgets[msg.sender][token].limit = limit;
        emit LimitSet(msg.sender, token, limit);
    }

    /// @inheritdoc IDealHook
    function onFunded(bytes32 dealId, Deal calldata deal, address) external {
        _requireEscrow();
        address operator = IERC721(address(escrow.registry())).ownerOf(deal.clientAgentId);
        uint48 day = _today();
        Budget storage budget = _budgets[operator][deal.token];
        // Both are below 2^128; a sum beyond it stays there.
        uint256 spent = deal.price + (budget.day == day ? budget.spent : 0);
        if (spent > type(uint128).max) spent = type(uint128).max;
        budget.spent = uint128(spent);
        budget.day = day;
        _charges[dealId] = (uint256(uint160(operator)) << 48) | day;
        uint256 limit = budget.limit;
        emit Spent(operator, deal.token, dealId, spent, limit);
        if (limit != 0 && spent > limit) emit BudgetExceeded(operator, deal.token, dealId, spent, limit);
    }

    /// @inheritdoc IDealHook
    function onSubmitted(bytes32, Deal calldata, bytes32) external {}

    /// @inheritdoc IDealHook
    function onSettled(bytes32 dealId, Deal calldata deal, DealState, uint256 toProvider, int8) external {
        _requireEscrow();
        uint256 charge = _charges[dealId];
        uint48 day = _today();
        if (uint48(charge) != day || toProvider >= deal.price) return;
        address operator = address(uint160(charge >> 48));
        Budget storage budget = _budgets[operator][deal.token];
        uint256 returned = deal.price - toProvider;
        uint256 spent = budget.spent > returned ? budget.spent - returned : 0;
        budget.spent = uint128(spent);
        emit Spent(operator, deal.token, dealId, spent, budget.limit);
    }

    /// @inheritdoc IDealHook
    function onDisputed(bytes32, Deal calldata, bytes32) external {}

    /// @notice What an operator may still commit today; without a limit the largest number.
    function remainingOf(address operator, address token) external view returns (uint256) {
        Budget memory budget = _budgets[operator][token];
        if (budget.limit == 0) return type(uint256).max;
        uint256 spent = budget.day == _today() ? budget.spent : 0;
        return spent >= budget.limit ? 0 : budget.limit - spent;
    }

    function _requireEscrow() private view {
        if (msg.sender != address(escrow)) revert BudgetHookNotEscrow(msg.sender);
    }

    function _today() private view returns (uint48) {
        return uint48(block.timestamp / 1 days);
    }
}
