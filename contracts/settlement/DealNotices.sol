// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDealEscrow} from "../interfaces/IDealEscrow.sol";
import {IDealHook} from "../interfaces/IDealHook.sol";
import {ITrustLedger} from "../interfaces/ITrustLedger.sol";
import {Deal} from "../libraries/Types.sol";

/// @notice Whom a deal's steps are told: those who read events, its hook, and the ledger of local trust. None of them can stop a step.
abstract contract DealNotices is IDealEscrow {
    /// @dev What the ledger gets for one record: above its worst case (two new seats, a new pair, a new row word).
    uint256 internal constant RECORD_GAS = 300_000;
    /// @dev Before the call there must be more than RECORD_GAS · 64/63 (EIP-150), plus what the call itself costs.
    uint256 internal constant RECORD_GAS_REQUIRED = (RECORD_GAS * 64) / 63 + 10_000;
    /// @dev What a hook gets; the same bound holds before its call.
    uint256 internal constant HOOK_GAS = 300_000;
    uint256 internal constant HOOK_GAS_REQUIRED = (HOOK_GAS * 64) / 63 + 10_000;

    /// @inheritdoc IDealEscrow
    ITrustLedger public immutable ledger;

    constructor(ITrustLedger ledger_) {
        ledger = ledger_;
    }

    /// @dev emit DealFunded(dealId, clientAgentId, providerAgentId, payer, deal), its words copied as they lie. DealTerms and the
    /// hook's call have read every field that is narrower than its word, which refuses unclean high bits.
    function _emitFunded(bytes32 dealId, Deal calldata deal, address payer) internal {
        bytes32 topic = DealFunded.selector;
        assembly ("memory-safe") {
            let words := mload(0x40)
            mstore(words, payer)
            calldatacopy(add(words, 0x20), deal, 0x240)
            log4(words, 0x260, topic, dealId, calldataload(deal), calldataload(add(deal, 0x20)))
        }
    }

    function _tellFunded(bytes32 dealId, Deal calldata deal, address payer) internal {
        if (deal.hook == address(0)) return;
        _tell(dealId, deal.hook, abi.encodeCall(IDealHook.onFunded, (dealId, deal, payer)));
    }

    /// @dev INVARIANT 11: called in the one transaction that takes the deal to its terminal state.
    function _record(bytes32 dealId, Deal calldata deal, int8 rating) internal {
        if (deal.topic == 0) return;
        // A caller who gives too little gas would otherwise settle a deal and lose its rating.
        if (gasleft() < RECORD_GAS_REQUIRED) revert DealEscrowLowGas(gasleft(), RECORD_GAS_REQUIRED);
        int256 value = rating;
        // INVARIANT 7: whatever the ledger does, the money moves. DealTerms made the ids fit.
        try
            ledger.record{gas: RECORD_GAS}(
                deal.topic,
                uint32(deal.clientAgentId),
                uint32(deal.providerAgentId),
                value > 0 ? uint24(uint256(value)) : 0,
                value < 0 ? uint24(uint256(-value)) : 0
            )
        {} catch {
            emit LocalTrustSkipped(dealId);
        }
    }

    /// @dev INVARIANT 7: the hook's gas is capped, its answer is not copied, its failure is an event.
    function _tell(bytes32 dealId, address hook, bytes memory input) internal {
        // A caller who gives too little gas would otherwise keep the hook in the dark.
        if (gasleft() < HOOK_GAS_REQUIRED) revert DealEscrowLowGas(gasleft(), HOOK_GAS_REQUIRED);
        bool isDone;
        assembly ("memory-safe") {
            isDone := call(HOOK_GAS, hook, 0, add(input, 0x20), mload(input), 0, 0)
        }
        if (!isDone) emit HookFailed(dealId, hook, bytes4(input));
    }
}
