// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IStakeVault} from "../interfaces/IStakeVault.sol";

/// @title Who may lock and slash, and who is paid for telling them
/// @dev Reports are commit-reveal, once for every module. A report shows the evidence that it is paid for, so whoever sees it waiting could send it first. Therefore a module pays
/// those alone who come through `report`, and `report` asks for a reservation of this very call in an earlier block: a copier has
/// none. A module that is called directly acts all the same and pays nobody: punishment never waits for a reservation.
abstract contract StakeModules is IStakeVault {
    address private immutable _deployer;
    mapping(address account => bool) private _isModule;
    bool private _hasModules;
    mapping(bytes32 commitment => uint256 blockNumber) private _reservations;
    address private transient _reporter;

    constructor() {
        _deployer = msg.sender;
    }

    modifier onlyModule() {
        require(_isModule[msg.sender], StakeVaultNotModule(msg.sender));
        _;
    }

    /// @inheritdoc IStakeVault
    function setModules(address[] calldata modules) external {
        require(msg.sender == _deployer, StakeVaultNotDeployer(msg.sender));
        // INVARIANT: the modules are named once; nobody can add one that slashes at will later.
        require(!_hasModules, StakeVaultModulesSet());

        _hasModules = true;
        for (uint256 i = 0; i < modules.length; ++i) _isModule[modules[i]] = true;
        emit ModulesSet(modules);
    }

    /// @inheritdoc IStakeVault
    function reserve(bytes32 commitment) external {
        // Somebody who copies a waiting commitment reserves it for its true owner: the owner's address is in it.
        if (_reservations[commitment] != 0) return;
        _reservations[commitment] = block.number;
        emit Reserved(commitment, msg.sender);
    }

    /// @inheritdoc IStakeVault
    function report(address module, bytes calldata call, bytes32 salt) external {
        require(_isModule[module], StakeVaultNotModule(module));
        require(_reporter == address(0), StakeVaultNestedReport(_reporter));
        // ERC-2771: the module finds its reporter behind the call, and asks nobody.
        bytes memory forwarded = abi.encodePacked(call, msg.sender);
        bytes32 callHash;
        assembly ("memory-safe") {
            callHash := keccak256(add(forwarded, 32), call.length)
        }
        bytes32 commitment = keccak256(abi.encode(msg.sender, module, callHash, salt));
        uint256 blockNumber = _reservations[commitment];
        // INVARIANT: who is paid knew the evidence in a block before it was shown.
        require(
            blockNumber != 0 && blockNumber < block.number,
            StakeVaultNotReserved(commitment, blockNumber, block.number)
        );

        delete _reservations[commitment];
        emit Reported(commitment, msg.sender, module);
        _reporter = msg.sender;
        // Whichever strike was reserved. What it returns is not copied, why it reverts is.
        assembly ("memory-safe") {
            if iszero(call(gas(), module, 0, add(forwarded, 32), mload(forwarded), 0, 0)) {
                let reason := mload(0x40)
                returndatacopy(reason, 0, returndatasize())
                revert(reason, returndatasize())
            }
        }
        _reporter = address(0);
    }

    /// @inheritdoc IStakeVault
    function reporter() external view returns (address) {
        return _reporter;
    }

    /// @inheritdoc IStakeVault
    function reservedAt(bytes32 commitment) external view returns (uint256 blockNumber) {
        return _reservations[commitment];
    }

    /// @inheritdoc IStakeVault
    function isModule(address account) external view returns (bool) {
        return _isModule[account];
    }
}
