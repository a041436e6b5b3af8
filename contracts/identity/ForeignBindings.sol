// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC721} from "@openzeppelin/contracts/interfaces/IERC721.sol";
import {IBindings} from "../interfaces/IBindings.sol";
import {IForeignBindings} from "../interfaces/IForeignBindings.sol";
import {Forwarded} from "../libraries/Forwarded.sol";
import {Bindings} from "./Bindings.sol";
import {SignedBindings} from "./SignedBindings.sol";

/// @notice See IForeignBindings.
contract ForeignBindings is IForeignBindings, Bindings {
    struct Origin {
        address registry;
        uint256 id;
    }

    /// @dev What the foreign registry said last, in one slot.
    struct Tenure {
        address owner;
        uint24 tenure;
        uint40 since;
    }

    /// @dev An ERC-721 answers from a slot or two, a proxy's with some more: ten times that, and a registry that eats all of it
    /// has cost its caller a third of a transfer.
    uint256 private constant QUESTION_GAS = 50_000;

    /// @inheritdoc IForeignBindings
    address public immutable signedBindings;

    uint256 private _lastAgentId;
    mapping(uint256 agentId => Origin) private _origins;
    mapping(address registry => mapping(uint256 id => uint256 agentId)) private _ids;
    mapping(uint256 agentId => Tenure) private _tenures;

    constructor() {
        signedBindings = address(new SignedBindings(address(this)));
    }

    // ---------------------------------------------------------------- adoption

    /// @inheritdoc IForeignBindings
    function adopt(address foreignRegistry, uint256 foreignId) external returns (uint256 agentId) {
        agentId = _ids[foreignRegistry][foreignId];
        if (agentId != 0) return agentId;
        if (foreignRegistry.code.length == 0) revert ForeignNotAContract(foreignRegistry);
        address owner = _askOwner(foreignRegistry, foreignId);

        agentId = ++_lastAgentId;
        _ids[foreignRegistry][foreignId] = agentId;
        _origins[agentId] = Origin({registry: foreignRegistry, id: foreignId});
        _tenures[agentId].owner = owner;
        emit Adopted(agentId, foreignRegistry, foreignId);
        emit OwnerObserved(agentId, owner, 0, 0);
    }

    /// @inheritdoc IForeignBindings
    function idOf(address foreignRegistry, uint256 foreignId) external view returns (uint256 agentId) {
        return _ids[foreignRegistry][foreignId];
    }

    /// @inheritdoc IForeignBindings
    function originOf(uint256 agentId) external view returns (address foreignRegistry, uint256 foreignId) {
        Origin memory origin = _origins[agentId];
        return (origin.registry, origin.id);
    }

    /// @inheritdoc IForeignBindings
    function ownerOf(uint256 agentId) public view returns (address owner) {
        owner = _tenures[agentId].owner;
        if (owner == address(0)) revert ForeignUnknownAgent(agentId);
    }

    /// @inheritdoc IForeignBindings
    function isAuthorizedOrOwner(address account, uint256 agentId) external view returns (bool) {
        return account == ownerOf(agentId);
    }

    /// @inheritdoc IForeignBindings
    function getAgentWallet(uint256 agentId) external view returns (address) {
        return ownerOf(agentId);
    }

    // -------------------------------------------------------------------- BAID

    /// @inheritdoc IBindings
    function observeOwner(uint256 agentId) external returns (address owner) {
        return _observe(agentId);
    }

    // ----------------------------------------------------------------- shared

    /// @inheritdoc Bindings
    /// @dev The owner, or whom ERC-721 lets act for it.
    function _requireAuthorized(uint256 agentId) internal override returns (address owner) {
        owner = _observe(agentId);
        address sender = msg.sender == signedBindings ? Forwarded.sender() : msg.sender;
        if (sender == owner || _isApproved(_origins[agentId], owner, sender)) return owner;
        revert ForeignNotAuthorized(agentId, sender);
    }

    /// @inheritdoc Bindings
    /// @dev INVARIANT: whoever acts for an agent acts under the owner of this moment, and no earlier owner's signer outlives that
    /// this owner was seen.
    function _observe(uint256 agentId) internal override returns (address owner) {
        Origin memory origin = _origins[agentId];
        if (origin.registry == address(0)) revert ForeignUnknownAgent(agentId);
        owner = _askOwner(origin.registry, origin.id);
        Tenure memory present = _tenures[agentId];
        if (owner == present.owner) return owner;

        _keepTenure(agentId, present.tenure, present.since);
        present = Tenure({owner: owner, tenure: present.tenure + 1, since: uint40(block.timestamp)});
        _tenures[agentId] = present;
        emit OwnerObserved(agentId, owner, present.tenure, present.since);
    }

    /// @inheritdoc Bindings
    function _tenureNow(uint256 agentId) internal view override returns (uint24 tenure, uint40 since) {
        return (_tenures[agentId].tenure, _tenures[agentId].since);
    }

    function _askOwner(address foreignRegistry, uint256 foreignId) private view returns (address) {
        (bool isOk, uint256 answer) = _ask(foreignRegistry, abi.encodeCall(IERC721.ownerOf, (foreignId)));
        if (!isOk || answer == 0 || answer > type(uint160).max) revert ForeignNoOwner(foreignRegistry, foreignId);
        return address(uint160(answer));
    }

    function _isApproved(Origin memory origin, address owner, address account) private view returns (bool) {
        (bool isOk, uint256 answer) = _ask(origin.registry, abi.encodeCall(IERC721.getApproved, (origin.id)));
        if (isOk && answer == uint160(account)) return true;
        (isOk, answer) = _ask(origin.registry, abi.encodeCall(IERC721.isApprovedForAll, (owner, account)));
        return isOk && answer == 1;
    }

    /// @dev A static call, so that nothing changes meanwhile; with bounded gas; one word of the answer is read, however long it is.
    function _ask(address foreignRegistry, bytes memory question) private view returns (bool isOk, uint256 answer) {
        assembly ("memory-safe") {
            isOk := staticcall(QUESTION_GAS, foreignRegistry, add(question, 32), mload(question), 0, 32)
            isOk := and(isOk, gt(returndatasize(), 31))
            answer := mload(0)
        }
    }
}
