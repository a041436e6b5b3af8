// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {StructHash} from "./StructHash.sol";
import {
    AgentApproval,
    AgentMetadataSet,
    AgentTransfer,
    AgentURISet,
    AgentWalletChange,
    AgentWalletSet,
    Alive,
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
} from "./Types.sol";

/// @title EIP-712 struct hashes of everything that is signed
/// @notice Lets a contract, an auditor or a test hash each struct of Types.sol as the chain does.
contract StructHashes {
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

    function hashBatchHeader(BatchHeader calldata header) external pure returns (bytes32) {
        return StructHash.hash(header);
    }

    function hashAlive(Alive calldata alive) external pure returns (bytes32) {
        return StructHash.hash(alive);
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

    function hashDealSubmit(DealSubmit calldata submission) external pure returns (bytes32) {
        return StructHash.hash(submission);
    }

    function hashDealComplete(DealComplete calldata completion) external pure returns (bytes32) {
        return StructHash.hash(completion);
    }

    function hashDealPartRelease(DealPartRelease calldata part) external pure returns (bytes32) {
        return StructHash.hash(part);
    }

    function hashDealDispute(DealDispute calldata dispute) external pure returns (bytes32) {
        return StructHash.hash(dispute);
    }

    function hashOfferWithdrawal(OfferWithdrawal calldata withdrawal) external pure returns (bytes32) {
        return StructHash.hash(withdrawal);
    }

    function hashSplitProposal(SplitProposal calldata proposal) external pure returns (bytes32) {
        return StructHash.hash(proposal);
    }

    function hashTab(Tab calldata tab) external pure returns (bytes32) {
        return StructHash.hash(tab);
    }

    function hashVoucher(Voucher calldata voucher) external pure returns (bytes32) {
        return StructHash.hash(voucher);
    }

    function hashTabClaim(TabClaim calldata claim) external pure returns (bytes32) {
        return StructHash.hash(claim);
    }

    function hashTabClosing(TabClosing calldata closing) external pure returns (bytes32) {
        return StructHash.hash(closing);
    }

    function hashIssuerCredential(IssuerCredential calldata credential) external pure returns (bytes32) {
        return StructHash.hash(credential);
    }

    function hashCredentialRevocation(CredentialRevocation calldata revocation) external pure returns (bytes32) {
        return StructHash.hash(revocation);
    }

    function hashOperatorSignal(OperatorSignal calldata signal) external pure returns (bytes32) {
        return StructHash.hash(signal);
    }

    function hashRegistration(Registration calldata statement) external pure returns (bytes32) {
        return StructHash.hash(statement);
    }

    function hashAgentURISet(AgentURISet calldata statement) external pure returns (bytes32) {
        return StructHash.hash(statement);
    }

    function hashAgentMetadataSet(AgentMetadataSet calldata statement) external pure returns (bytes32) {
        return StructHash.hash(statement);
    }

    function hashAgentWalletChange(AgentWalletChange calldata statement) external pure returns (bytes32) {
        return StructHash.hash(statement);
    }

    function hashAgentTransfer(AgentTransfer calldata statement) external pure returns (bytes32) {
        return StructHash.hash(statement);
    }

    function hashAgentApproval(AgentApproval calldata statement) external pure returns (bytes32) {
        return StructHash.hash(statement);
    }

    function hashOperatorApproval(OperatorApproval calldata statement) external pure returns (bytes32) {
        return StructHash.hash(statement);
    }

    function hashSignerGrant(SignerGrant calldata statement) external pure returns (bytes32) {
        return StructHash.hash(statement);
    }

    function hashSignerRotation(SignerRotation calldata statement) external pure returns (bytes32) {
        return StructHash.hash(statement);
    }

    function hashSignerRevocation(SignerRevocation calldata statement) external pure returns (bytes32) {
        return StructHash.hash(statement);
    }

    function hashRecoverySetting(RecoverySetting calldata statement) external pure returns (bytes32) {
        return StructHash.hash(statement);
    }

    function hashRecoveryCancel(RecoveryCancel calldata statement) external pure returns (bytes32) {
        return StructHash.hash(statement);
    }

    function hashOwnerChange(OwnerChange calldata statement) external pure returns (bytes32) {
        return StructHash.hash(statement);
    }

    function hashLogAnchor(LogAnchor calldata statement) external pure returns (bytes32) {
        return StructHash.hash(statement);
    }

    function hashBatchedBinding(BatchedBinding calldata statement) external pure returns (bytes32) {
        return StructHash.hash(statement);
    }
}
