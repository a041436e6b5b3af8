// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IDealEscrow} from "../interfaces/IDealEscrow.sol";
import {IDealFunding} from "../interfaces/IDealFunding.sol";
import {IPermit2} from "../interfaces/IPermit2.sol";
import {IReceiveWithAuthorization} from "../interfaces/IReceiveWithAuthorization.sol";
import {StructHash} from "../libraries/StructHash.sol";
import {Deal} from "../libraries/Types.sol";

/// @notice See IDealFunding.
contract DealFunding is IDealFunding, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @dev The same address on every public network.
    IPermit2 internal constant PERMIT2 = IPermit2(0x000000000022D473030F116dDEE9F6B43aC78BA3);
    /// @dev The witness of Permit2 is the deal itself: its struct hash is the dealId.
    string internal constant WITNESS_TYPE =
        "Deal witness)Deal(uint256 clientAgentId,uint256 providerAgentId,uint64 topic,address token,uint256 price,uint256 providerBond,uint256 clientBond,uint48 submitBy,uint32 reviewPeriod,address arbiter,uint48 arbiterDeadline,bytes32 mechanismHash,bytes32 certificateHash,bytes32 specHash,bytes32 splitsRoot,uint32 epoch,address hook,uint256 salt)TokenPermissions(address token,uint256 amount)";

    /// @inheritdoc IDealFunding
    IDealEscrow public immutable escrow;

    constructor(IDealEscrow escrow_) {
        escrow = escrow_;
    }

    /// @inheritdoc IDealFunding
    function openWith(
        Deal calldata deal,
        IDealEscrow.Party calldata client,
        IDealEscrow.Party calldata provider,
        Funding calldata funding
    ) external payable nonReentrant returns (bytes32 dealId) {
        dealId = StructHash.hashCalldata(deal);
        uint256 total = deal.price + deal.clientBond + deal.providerBond;
        if (deal.token == address(0)) {
            // Nobody's native value can be pulled: the caller brings it, for whichever side.
            _requireCaller(funding.client.payer);
            if (msg.value != total) revert DealFundingWrongValue(total, msg.value);
            return escrow.openFor{value: total}(deal, client, provider, msg.sender, funding.scoreProof);
        }
        if (msg.value != 0) revert DealFundingWrongValue(0, msg.value);
        IERC20 token = IERC20(deal.token);
        uint256 balanceBefore = token.balanceOf(address(this));
        _collect(dealId, deal.token, total - deal.providerBond, funding.client, client);
        if (deal.providerBond != 0) _collect(dealId, deal.token, deal.providerBond, funding.provider, provider);
        uint256 received = token.balanceOf(address(this)) - balanceBefore;
        // INVARIANT 8: nobody else's money fills a gap.
        if (received != total) revert DealFundingShortfall(deal.token, total, received);
        token.forceApprove(address(escrow), total);
        // INVARIANT 5, 6: the escrow checks both signatures over these very terms; a failure undoes every payment.
        return escrow.openFor(deal, client, provider, funding.client.payer, funding.scoreProof);
    }

    function _collect(
        bytes32 dealId,
        address token,
        uint256 amount,
        Payment calldata payment,
        IDealEscrow.Party calldata party
    ) private {
        if (payment.kind == PaymentKind.Authorization) return _collectAuthorized(dealId, token, amount, payment);
        if (payment.kind == PaymentKind.Permit2) return _collectPermitted(dealId, token, amount, payment);
        // INVARIANT: nobody's allowance is spent without its call or its signature over these terms, which the escrow checks.
        if (party.signer.length != 20 || payment.payer != address(bytes20(party.signer))) _requireCaller(payment.payer);
        IERC20(token).safeTransferFrom(payment.payer, address(this), amount);
    }

    function _collectAuthorized(bytes32 dealId, address token, uint256 amount, Payment calldata payment) private {
        (uint256 validAfter, uint256 validBefore, bytes memory signature) = abi.decode(
            payment.authorization,
            (uint256, uint256, bytes)
        );
        // INVARIANT 5: the token spends the nonce, which is the dealId, and pays nobody but the caller.
        IReceiveWithAuthorization(token).receiveWithAuthorization(
            payment.payer,
            address(this),
            amount,
            validAfter,
            validBefore,
            dealId,
            signature
        );
    }

    function _collectPermitted(bytes32 dealId, address token, uint256 amount, Payment calldata payment) private {
        (uint256 deadline, bytes memory signature) = abi.decode(payment.authorization, (uint256, bytes));
        PERMIT2.permitWitnessTransferFrom(
            IPermit2.PermitTransferFrom(IPermit2.TokenPermissions(token, amount), uint256(dealId), deadline),
            IPermit2.SignatureTransferDetails(address(this), amount),
            payment.payer,
            dealId,
            WITNESS_TYPE,
            signature
        );
    }

    function _requireCaller(address payer) private view {
        if (payer != msg.sender) revert DealFundingBadPayer(payer);
    }
}
