// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IJurorPanel} from "../../interfaces/IJurorPanel.sol";
import {IOperators} from "../../interfaces/IOperators.sol";
import {IStakeVault} from "../../interfaces/IStakeVault.sol";
import {OperatorQuery} from "../../libraries/OperatorQuery.sol";
import {Speakers} from "../../libraries/Speakers.sol";
import {WeightTree} from "../../libraries/WeightTree.sol";

/// @title Who can be drawn, and who is
/// @dev What is enlisted is this contract's lock in the vault; of it, `_atStake` is held by seats that are not settled. Weights count
/// whole bonds, so that they fit 64 bits whatever the token's decimals.
abstract contract JurorPool is IJurorPanel {
    using WeightTree for WeightTree.Tree;

    /// @dev Draws that hit nobody new are repeated, up to so many times a seat: a pool of few operators ends in a smaller panel.
    uint256 private constant ATTEMPTS_A_SEAT = 8;
    uint256 private constant OPERATOR_GAS = 100_000;
    /// @dev With less, a caller could starve the question after the operator (EIP-150) and seat one person twice.
    uint256 private constant OPERATOR_GAS_REQUIRED = (OPERATOR_GAS * 64) / 63 + 10_000;

    /// @inheritdoc IJurorPanel
    uint256 public immutable jurorBond;
    IStakeVault internal immutable VAULT;
    address internal immutable REGISTRY;
    IOperators private immutable OPERATORS;

    /// @dev A draw as far as it has come. In memory, for the compiler's IR pipeline (production profile) makes one function of all
    /// of a draw, and its stack does not hold these.
    struct Drawing {
        bytes32 seed;
        uint256 total;
        uint256 seated;
        uint32[] excluded;
        uint32[] jurors;
        /// Whom nobody may be: the operators of excluded agents first, then those of jurors.
        bytes32[] operators;
    }

    WeightTree.Tree private _tree;
    mapping(uint32 agentId => uint256) private _atStake;
    /// @dev Rounds whose seed block is fixed and whose jurors are not drawn.
    uint256 internal _pendingDraws;

    constructor(IStakeVault vault, IOperators operators, uint256 jurorBond_) {
        jurorBond = jurorBond_;
        VAULT = vault;
        REGISTRY = address(vault.registry());
        OPERATORS = operators;
    }

    modifier onlySpeaker(uint32 agentId) {
        require(Speakers.speaksFor(REGISTRY, msg.sender, agentId), JurorPanelNotAuthorized(agentId, msg.sender));
        _;
    }

    /// @inheritdoc IJurorPanel
    function enlist(uint32 agentId, uint256 amount) external onlySpeaker(agentId) {
        VAULT.lock(agentId, amount);
        (uint256 enlisted, uint64 bonds) = _sync(agentId);
        emit Enlisted(agentId, amount, enlisted, bonds);
    }

    /// @inheritdoc IJurorPanel
    function discharge(uint32 agentId, uint256 amount) external onlySpeaker(agentId) {
        uint256 free = _freeOf(agentId);
        require(amount <= free, JurorPanelInsufficient(agentId, free, amount));
        VAULT.unlock(agentId, amount);
        (uint256 enlisted, uint64 bonds) = _sync(agentId);
        emit Discharged(agentId, amount, enlisted, bonds);
    }

    /// @inheritdoc IJurorPanel
    function syncWeight(uint32 agentId) external {
        (, uint64 bonds) = _sync(agentId);
        emit WeightSynced(agentId, bonds);
    }

    /// @inheritdoc IJurorPanel
    function jurorOf(uint32 agentId) external view returns (uint256 enlisted, uint256 atStake, uint64 bonds) {
        return (VAULT.lockOf(agentId, address(this)), _atStake[agentId], _tree.weightOf(agentId));
    }

    /// @dev Draws up to `count` jurors that are not excluded, each with a bond left, nobody and no operator twice, and puts
    /// their bonds at stake.
    function _drawJurors(
        bytes32 seed,
        uint256 count,
        uint32[] memory excluded
    ) internal returns (uint32[] memory jurors) {
        Drawing memory drawing;
        (drawing.seed, drawing.total, drawing.excluded) = (seed, _tree.total(), excluded);
        drawing.jurors = new uint32[](count);
        drawing.operators = new bytes32[](excluded.length + count);
        for (uint256 k; k < excluded.length; ++k) drawing.operators[k] = _operatorOf(excluded[k]);
        for (uint256 k; drawing.total != 0 && drawing.seated < count && k < count * ATTEMPTS_A_SEAT; ++k)
            _trySeat(drawing, k);
        jurors = drawing.jurors;
        uint256 seated = drawing.seated;
        assembly ("memory-safe") {
            mstore(jurors, seated)
        }
    }

    function _releaseBond(uint32 agentId) internal {
        _atStake[agentId] -= jurorBond;
    }

    /// @dev All of it comes to this contract, for those who were right; with none of them, all is burned.
    function _slashBond(uint32 agentId, bool isPaidOut) internal {
        _atStake[agentId] -= jurorBond;
        VAULT.slash(agentId, jurorBond, isPaidOut ? jurorBond : 0, address(this));
    }

    /// @dev INVARIANT: weights stand still from the scheduling of a draw, when its seed is unknown to all, to the draw. Slashes leave
    /// them as they are; whoever has lost its bond is passed over all the same.
    function _sync(uint32 agentId) private returns (uint256 enlisted, uint64 bonds) {
        require(_pendingDraws == 0, JurorPanelDrawPending(_pendingDraws));
        enlisted = VAULT.lockOf(agentId, address(this));
        // Capped, so that the weights of 2^32 agents cannot sum up to 2^64.
        bonds = uint64(Math.min(enlisted / jurorBond, type(uint32).max));
        _tree.set(agentId, bonds);
    }

    function _trySeat(Drawing memory drawing, uint256 attempt) private {
        uint256 seated = drawing.seated;
        uint32 agentId = _tree.idAt(uint256(keccak256(abi.encode(drawing.seed, attempt))) % drawing.total);
        if (_contains(drawing.excluded, drawing.excluded.length, agentId) || _contains(drawing.jurors, seated, agentId))
            return;
        if (_freeOf(agentId) < jurorBond) return;
        bytes32 operator = _operatorOf(agentId);
        uint256 known = drawing.excluded.length + seated;
        if (operator != 0 && _contains(drawing.operators, known, operator)) return;
        drawing.operators[known] = operator;
        drawing.jurors[seated] = agentId;
        drawing.seated = seated + 1;
        // INVARIANT: what seats hold never exceeds what is enlisted.
        _atStake[agentId] += jurorBond;
    }

    function _freeOf(uint32 agentId) private view returns (uint256) {
        return VAULT.lockOf(agentId, address(this)) - _atStake[agentId];
    }

    /// @dev Zero = nobody known. A registry of operators that fails counts nobody twice, and stops no draw.
    function _operatorOf(uint32 agentId) private view returns (bytes32) {
        if (address(OPERATORS) == address(0)) return 0;
        require(gasleft() >= OPERATOR_GAS_REQUIRED, JurorPanelGasTooLow(gasleft(), OPERATOR_GAS_REQUIRED));
        return OperatorQuery.operatorOf(OPERATORS, agentId, OPERATOR_GAS);
    }

    function _contains(uint32[] memory list, uint256 count, uint32 wanted) private pure returns (bool) {
        for (uint256 k; k < count; ++k) if (list[k] == wanted) return true;
        return false;
    }

    function _contains(bytes32[] memory list, uint256 count, bytes32 wanted) private pure returns (bool) {
        for (uint256 k; k < count; ++k) if (list[k] == wanted) return true;
        return false;
    }
}
