// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice What a token of ERC-777's kind calls around a transfer.
interface ITokenHooks {
    function tokensToSend(address token, uint256 amount) external;
    function tokensReceived(address token, uint256 amount) external;
}

/// @title A token with every vice. TEST ONLY.
/// @notice Honest until told otherwise; each vice is one that tokens in use have.
contract HostileToken is ERC20 {
    /// @notice What transfer and transferFrom answer once they moved the money, or instead of moving it.
    enum Answer {
        True,
        Nothing,
        FalseAndNothingMoves
    }

    Answer public answer;
    /// @notice Share of a transfer that is burned on the way, in hundredths of a percent.
    uint256 public feeBps;
    /// @notice Who cannot be paid.
    mapping(address account => bool) public isBlocked;
    /// @notice Whose payment burns all the gas that it gets.
    mapping(address account => bool) public isGasTrap;
    /// @notice Who is called before it sends and after it receives, as ERC-777's registered accounts are.
    mapping(address account => bool) public hasHooks;

    error HostileTokenBlocked(address account);

    constructor() ERC20("Hostile", "HOST") {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function setAnswer(Answer answer_) external {
        answer = answer_;
    }

    function setFee(uint256 feeBps_) external {
        feeBps = feeBps_;
    }

    function setBlocked(address account, bool isBlocked_) external {
        isBlocked[account] = isBlocked_;
    }

    function setGasTrap(address account, bool isGasTrap_) external {
        isGasTrap[account] = isGasTrap_;
    }

    function setHooks(address account, bool hasHooks_) external {
        hasHooks[account] = hasHooks_;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        return _answer(_move(msg.sender, to, amount));
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        _spendAllowance(from, msg.sender, amount);
        return _answer(_move(from, to, amount));
    }

    function _move(address from, address to, uint256 amount) private returns (bool isMoved) {
        if (answer == Answer.FalseAndNothingMoves) return false;
        if (isBlocked[to]) revert HostileTokenBlocked(to);
        if (isGasTrap[to]) while (gasleft() > 0) {}
        if (hasHooks[from]) try ITokenHooks(from).tokensToSend(address(this), amount) {} catch {}
        uint256 fee = (amount * feeBps) / 10_000;
        _transfer(from, to, amount - fee);
        _burn(from, fee);
        if (hasHooks[to]) ITokenHooks(to).tokensReceived(address(this), amount);
        return true;
    }

    function _answer(bool isMoved) private view returns (bool) {
        if (answer != Answer.Nothing) return isMoved;
        assembly ("memory-safe") {
            return(0, 0)
        }
    }
}
