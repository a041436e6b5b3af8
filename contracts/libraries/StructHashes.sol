// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IStructHashes} from "../interfaces/IStructHashes.sol";
import {StructHash} from "./StructHash.sol";
import {
    AgentWalletSet,
    Bid,
    BindingUpdate,
    Call,
    CallCancel,
    Deal,
    DealCancel,
    Decline,
    LogHeader,
    SignerBinding
} from "./Types.sol";

/// @notice See IStructHashes.
contract StructHashes is IStructHashes {
    function hashDeal(Deal calldata deal) external pure returns (bytes32) {
        return StructHash.hash(deal);
    }

    function hashDealCancel(DealCancel calldata cancel) external pure returns (bytes32) {
        return StructHash.hash(cancel);
    }

    function hashSignerBinding(SignerBinding calldata binding) external pure returns (bytes32) {
        return StructHash.hash(binding);
    }

    function hashBindingUpdate(BindingUpdate calldata update) external pure returns (bytes32) {
        return StructHash.hash(update);
    }

    function hashAgentWalletSet(AgentWalletSet calldata walletSet) external pure returns (bytes32) {
        return StructHash.hash(walletSet);
    }

    function hashLogHeader(LogHeader calldata header) external pure returns (bytes32) {
        return StructHash.hash(header);
    }

    function hashCall(Call calldata call) external pure returns (bytes32) {
        return StructHash.hash(call);
    }

    function hashBid(Bid calldata bid) external pure returns (bytes32) {
        return StructHash.hash(bid);
    }

    function hashDecline(Decline calldata decline) external pure returns (bytes32) {
        return StructHash.hash(decline);
    }

    function hashCallCancel(CallCancel calldata cancel) external pure returns (bytes32) {
        return StructHash.hash(cancel);
    }
}
