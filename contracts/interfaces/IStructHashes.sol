// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    AgentApproval,
    AgentMetadataSet,
    AgentTransfer,
    AgentURISet,
    AgentWalletChange,
    AgentWalletSet,
    BatchHeader,
    BatchedBinding,
    Bid,
    BindingUpdate,
    Call,
    CallCancel,
    CredentialRevocation,
    Deal,
    DealCancel,
    DealComplete,
    DealDispute,
    DealPartRelease,
    DealSubmit,
    Decline,
    IssuerCredential,
    LogAnchor,
    LogHeader,
    OfferWithdrawal,
    OperatorApproval,
    OperatorSignal,
    OwnerChange,
    RecoveryCancel,
    RecoverySetting,
    Registration,
    SignerBinding,
    SignerGrant,
    SignerRevocation,
    SignerRotation,
    SplitProposal,
    Tab,
    TabClaim,
    TabClosing,
    Voucher
} from "../libraries/Types.sol";

/// @title EIP-712 struct hashes of everything that is signed
/// @notice Lets a contract, an auditor or a test hash each struct of Types.sol as the chain does.
interface IStructHashes {
    function hashDeal(Deal calldata deal) external pure returns (bytes32);
    function hashDealCancel(DealCancel calldata cancel) external pure returns (bytes32);
    function hashSignerBinding(SignerBinding calldata binding) external pure returns (bytes32);
    function hashBindingUpdate(BindingUpdate calldata update) external pure returns (bytes32);
    function hashAgentWalletSet(AgentWalletSet calldata walletSet) external pure returns (bytes32);
    function hashLogHeader(LogHeader calldata header) external pure returns (bytes32);
    function hashBatchHeader(BatchHeader calldata header) external pure returns (bytes32);
    function hashCall(Call calldata call) external pure returns (bytes32);
    function hashBid(Bid calldata bid) external pure returns (bytes32);
    function hashDecline(Decline calldata decline) external pure returns (bytes32);
    function hashCallCancel(CallCancel calldata cancel) external pure returns (bytes32);
    function hashDealSubmit(DealSubmit calldata submission) external pure returns (bytes32);
    function hashDealComplete(DealComplete calldata completion) external pure returns (bytes32);
    function hashDealPartRelease(DealPartRelease calldata part) external pure returns (bytes32);
    function hashDealDispute(DealDispute calldata dispute) external pure returns (bytes32);
    function hashOfferWithdrawal(OfferWithdrawal calldata withdrawal) external pure returns (bytes32);
    function hashSplitProposal(SplitProposal calldata proposal) external pure returns (bytes32);
    function hashTab(Tab calldata tab) external pure returns (bytes32);
    function hashVoucher(Voucher calldata voucher) external pure returns (bytes32);
    function hashTabClaim(TabClaim calldata claim) external pure returns (bytes32);
    function hashTabClosing(TabClosing calldata closing) external pure returns (bytes32);
    function hashIssuerCredential(IssuerCredential calldata credential) external pure returns (bytes32);
    function hashCredentialRevocation(CredentialRevocation calldata revocation) external pure returns (bytes32);
    function hashOperatorSignal(OperatorSignal calldata signal) external pure returns (bytes32);
    function hashRegistration(Registration calldata statement) external pure returns (bytes32);
    function hashAgentURISet(AgentURISet calldata statement) external pure returns (bytes32);
    function hashAgentMetadataSet(AgentMetadataSet calldata statement) external pure returns (bytes32);
    function hashAgentWalletChange(AgentWalletChange calldata statement) external pure returns (bytes32);
    function hashAgentTransfer(AgentTransfer calldata statement) external pure returns (bytes32);
    function hashAgentApproval(AgentApproval calldata statement) external pure returns (bytes32);
    function hashOperatorApproval(OperatorApproval calldata statement) external pure returns (bytes32);
    function hashSignerGrant(SignerGrant calldata statement) external pure returns (bytes32);
    function hashSignerRotation(SignerRotation calldata statement) external pure returns (bytes32);
    function hashSignerRevocation(SignerRevocation calldata statement) external pure returns (bytes32);
    function hashRecoverySetting(RecoverySetting calldata statement) external pure returns (bytes32);
    function hashRecoveryCancel(RecoveryCancel calldata statement) external pure returns (bytes32);
    function hashOwnerChange(OwnerChange calldata statement) external pure returns (bytes32);
    function hashLogAnchor(LogAnchor calldata statement) external pure returns (bytes32);
    function hashBatchedBinding(BatchedBinding calldata statement) external pure returns (bytes32);
}
