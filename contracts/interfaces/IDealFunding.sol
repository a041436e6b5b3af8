// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Deal} from "../libraries/Types.sol";
import {IDealEscrow} from "./IDealEscrow.sol";

/// @title Every way to bring a deal's money
/// @notice Collects both sides' money, each side paying in its own way, and opens the deal with it in the same transaction; holds
/// nothing in between. EIP-3009 authorizations and Permit2 permits name this contract, not the escrow.
interface IDealFunding {
    /// @notice How one side brings its money.
    enum PaymentKind {
        /// By an allowance to this contract; in native value, the client's alone, the call's. The payer is the caller, or the
        /// side's own signer account.
        Direct,
        /// EIP-3009 with nonce = dealId; `authorization` = abi.encode(validAfter, validBefore, signature).
        Authorization,
        /// Permit2 SignatureTransfer whose witness is the Deal (its hash is the dealId) and whose nonce is the dealId as a
        /// number; `authorization` = abi.encode(deadline, signature).
        Permit2
    }

    struct Payment {
        PaymentKind kind;
        address payer;
        bytes authorization;
    }

    /// @notice Both sides' payments and the provider's score proof for IBondCurve; empty = score zero.
    /// `provider` is not read where the provider brings no bond.
    struct Funding {
        Payment client;
        Payment provider;
        bytes scoreProof;
    }

    error DealFundingBadPayer(address payer);
    error DealFundingWrongValue(uint256 expected, uint256 given);
    error DealFundingShortfall(address token, uint256 expected, uint256 received);

    /// @notice Opens a deal that both sides signed; anyone may relay it.
    function openWith(
        Deal calldata deal,
        IDealEscrow.Party calldata client,
        IDealEscrow.Party calldata provider,
        Funding calldata funding
    ) external payable returns (bytes32 dealId);

    function escrow() external view returns (IDealEscrow);
}
