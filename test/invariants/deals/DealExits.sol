// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FeeStage} from "../../../contracts/interfaces/IDealDisputes.sol";
import {DealState} from "../../../contracts/interfaces/IDealEscrow.sol";
import {StructHash} from "../../../contracts/libraries/StructHash.sol";
import {Deal} from "../../../contracts/libraries/Types.sol";
import {ReentrantWallet} from "../../../contracts/mocks/ReentrantWallet.sol";
import {Fold} from "./DealFold.sol";
import {DealSteps} from "./DealSteps.sol";
import {Draft} from "./DealWorld.sol";

/// @notice What the fuzzer calls, what the invariants read, and the way out of everything.
abstract contract DealExits is DealSteps {
    address private immutable _owner = msg.sender;

    /// @dev There is a deal from the first call on.
    constructor() {
        openDeal(Draft(0, 0, 1, 1_000, 1_000, 100, 9, 0, 0));
    }

    function dealCount() external view returns (uint256) {
        return _deals.length;
    }

    function dealAt(uint256 index) external view returns (bytes32 dealId, Deal memory deal, Fold memory fold) {
        deal = _deals[index];
        dealId = StructHash.hash(deal);
        fold = _folds[dealId];
    }

    function heldFeesOf(bytes32 dealId) external view returns (uint256) {
        return _heldFees(_folds[dealId]);
    }

    /// @notice 4, 7: time alone, and a stranger, end every deal, whatever hooks, tokens, arbiters and payees do; then everybody takes
    /// what is credited to it.
    function drain() external {
        if (msg.sender != _owner) return;
        // Past every deadline that a deal of these tests can have.
        _now += 30 days;
        for (uint256 k = _deals.length; k > 0; --k) {
            // Twice: a payment inside may have ended or distributed another deal.
            for (uint256 i = 0; i < 3; ++i) _exit(_deals.length - k, k);
        }
        for (uint256 t = 0; t < TOKENS - 1; ++t) _heal(t);
        agents.wallet().setPlan(new ReentrantWallet.PlannedCall[](0), false, false);
        for (uint8 i = 0; i < ACCOUNTS; ++i) {
            for (uint8 t = 0; t < TOKENS; ++t) withdrawCredit(t, i, false, true);
            withdrawCredit(2, i, true, true);
        }
    }

    /// @notice A fixed walk through one deal, so that what the invariants speak of is reached for certain.
    function walk(uint256 seed) external {
        Draft memory draft = Draft({
            client: uint8(seed),
            provider: uint8(seed >> 8),
            token: uint8(seed >> 16),
            price: uint24(seed >> 32),
            delivery: 1_000,
            review: uint16(200 + (seed % 4_000)),
            extras: uint8(seed >> 104),
            arbiter: uint8(seed >> 160),
            forgery: 0
        });
        corruptToken(0, 0);
        openDeal(draft);
        releasePart(0, uint24(seed >> 112));
        corruptHook(uint8(seed >> 144), 1);
        if (seed % 5 != 0) proceed(0, 50, 1);
        corruptArbitrator(uint8(seed % 3 == 0 ? seed >> 168 : 6), uint16(seed >> 176), 0);
        for (uint256 k = 0; k < 5 && seed % 2 == 0; ++k)
            proceed(0, int8(uint8(seed >> (8 * k)) % 100), uint8(seed >> (50 + k)) | 2);
        if (seed % 7 == 0) settle(0, uint24(seed >> 136), 1, false);
        draft.forgery = 4 + uint8(seed % 4);
        openDeal(draft);
        corruptToken(uint8(seed >> 72), uint8(seed >> 80));
        planReentry(seed >> 90);
        if (seed % 5 == 0) passTime(5_200);
        if (seed % 5 == 1) cancel(1, 0, false);
        refund(1, 0);
        release(1, 0);
        proceed(1, 10, uint8(seed >> 56));
        withdrawCredit(uint8(seed >> 64), uint8(seed >> 96), seed % 3 == 0, seed % 2 == 0);
        settle(seed % 4, uint24(seed >> 136), 1, true);
        for (uint256 k = 0; k < 4; ++k) giveFeedback(k / 2, uint8(seed >> (8 * k)), seed % 2 == 0);
    }

    function _exit(uint256 index, uint256 fromEnd) private {
        Deal memory deal = _deals[index];
        Fold memory fold = _folds[StructHash.hash(deal)];
        // Steps name a deal by its place from the end, within a window; here all are in turn.
        _window = type(uint256).max;
        uint256 which = fromEnd - 1;
        if (fold.state == DealState.Funded) refund(which, 4);
        else if (fold.state == DealState.Submitted) release(which, 4);
        else if (fold.state == DealState.Disputed) resolve(which, 4);
        else if (fold.stage != FeeStage.None && fold.stage != FeeStage.Closed) resolve(which, 4);
        else if (fold.pot != 0) distribute(which, 4);
        _window = WINDOW;
    }

    function _heal(uint256 token) private {
        for (uint256 i = 0; i < ACCOUNTS; ++i) _tokenOf(tokenAt(token)).setBlocked(accountAt(i), false);
        _tokenOf(tokenAt(token)).setAnswer(_answerOf(0));
        _tokenOf(tokenAt(token)).setFee(0);
    }
}
