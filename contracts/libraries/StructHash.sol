// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

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

/// @notice EIP-712 typehashes and struct hashes. All fields are static, so a struct's ABI encoding is its EIP-712 encoding.
library StructHash {
    bytes32 internal constant DEAL_TYPEHASH = keccak256(
        "Deal(uint256 clientAgentId,uint256 providerAgentId,uint64 topic,address token,uint256 price,uint256 providerBond,uint256 clientBond,uint48 submitBy,uint32 reviewPeriod,address arbiter,uint48 arbiterDeadline,bytes32 mechanismHash,bytes32 certificateHash,bytes32 specHash,bytes32 splitsRoot,uint32 epoch,address hook,uint256 salt)"
    );
    bytes32 internal constant DEAL_CANCEL_TYPEHASH = keccak256("DealCancel(bytes32 dealId)");
    bytes32 internal constant DEAL_SUBMIT_TYPEHASH = keccak256("DealSubmit(bytes32 dealId,bytes32 deliverableHash)");
    bytes32 internal constant DEAL_COMPLETE_TYPEHASH = keccak256("DealComplete(bytes32 dealId,int8 rating)");
    bytes32 internal constant DEAL_PART_RELEASE_TYPEHASH = keccak256(
        "DealPartRelease(bytes32 dealId,uint256 released)"
    );
    bytes32 internal constant DEAL_DISPUTE_TYPEHASH = keccak256("DealDispute(bytes32 dealId,bytes32 reasonHash)");
    bytes32 internal constant OFFER_WITHDRAWAL_TYPEHASH = keccak256("OfferWithdrawal(bytes32 dealId)");
    bytes32 internal constant SPLIT_PROPOSAL_TYPEHASH = keccak256(
        "SplitProposal(bytes32 dealId,uint256 toProvider,int8 rating,uint48 validUntil)"
    );
    bytes32 internal constant TAB_TYPEHASH = keccak256(
        "Tab(uint256 clientAgentId,uint256 providerAgentId,uint64 topic,address token,bytes32 mechanismHash,bytes32 signerHash,uint48 expiry,uint32 challengePeriod,uint256 salt)"
    );
    bytes32 internal constant VOUCHER_TYPEHASH = keccak256(
        "Voucher(bytes32 tabId,uint64 seq,uint96 paid,uint32 satisfied,uint32 unsatisfied)"
    );
    bytes32 internal constant TAB_CLAIM_TYPEHASH = keccak256("TabClaim(bytes32 tabId,uint96 paid,bool isLast)");
    bytes32 internal constant TAB_CLOSING_TYPEHASH = keccak256("TabClosing(bytes32 tabId)");
    bytes32 internal constant SIGNER_BINDING_TYPEHASH = keccak256(
        "SignerBinding(uint256 agentId,address owner,bytes32 signerHash,bytes32 purpose,uint48 validFrom,uint48 validUntil,uint48 deadline)"
    );
    bytes32 internal constant BINDING_UPDATE_TYPEHASH = keccak256(
        "BindingUpdate(uint256 agentId,uint64 version,bytes32 previous,bytes32 delta,uint48 deadline)"
    );
    bytes32 internal constant AGENT_WALLET_SET_TYPEHASH = keccak256(
        "AgentWalletSet(uint256 agentId,address newWallet,address owner,uint256 deadline)"
    );
    bytes32 internal constant LOG_HEADER_TYPEHASH = keccak256(
        "LogHeader(uint8 version,uint8 kind,address log,uint40 seq,bytes32 prev,bytes32 bodyHash,uint32 bodyLength,uint48 timeMs,uint24 ttl,uint128 tags,bytes32 sketch)"
    );
    bytes32 internal constant BATCH_HEADER_TYPEHASH = keccak256(
        "BatchHeader(uint64 topic,uint48 window,bytes32 previous,bytes32 root,uint32 count)"
    );
    bytes32 internal constant ALIVE_TYPEHASH = keccak256(
        "Alive(address log,address asker,bytes32 nonce,bytes32 blockHash,uint48 askedMs)"
    );
    bytes32 internal constant CALL_TYPEHASH = keccak256(
        "Call(uint256 clientAgentId,uint64 topic,bytes32 specHash,bytes32 mechanismHash,address token,uint256 reservePrice,uint48 bidByMs,uint48 submitBy,uint32 reviewPeriod,uint256 salt)"
    );
    bytes32 internal constant BID_TYPEHASH = keccak256(
        "Bid(bytes32 callId,uint256 providerAgentId,uint256 price,uint64 quality,uint48 validUntil,uint256 salt)"
    );
    bytes32 internal constant DECLINE_TYPEHASH = keccak256(
        "Decline(bytes32 callId,bytes32 dealId,uint256 providerAgentId,uint8 reason)"
    );
    bytes32 internal constant CALL_CANCEL_TYPEHASH = keccak256("CallCancel(bytes32 callId)");
    bytes32 internal constant ISSUER_CREDENTIAL_TYPEHASH = keccak256(
        "IssuerCredential(bytes32 scope,bytes32 issuerId,bytes32 nullifier,uint256 agentId,address owner,uint8 level,uint48 validUntil)"
    );
    bytes32 internal constant CREDENTIAL_REVOCATION_TYPEHASH = keccak256(
        "CredentialRevocation(bytes32 scope,bytes32 issuerId,bytes32 nullifier)"
    );
    bytes32 internal constant OPERATOR_SIGNAL_TYPEHASH = keccak256(
        "OperatorSignal(bytes32 scope,uint256 agentId,address owner,uint48 validUntil)"
    );
    bytes32 internal constant REGISTRATION_TYPEHASH = keccak256(
        "Registration(address owner,bytes32 uriHash,bytes32 commitment,bytes32 signerHash,uint256 nonce,uint48 deadline)"
    );
    bytes32 internal constant AGENT_URI_SET_TYPEHASH = keccak256(
        "AgentURISet(uint256 agentId,bytes32 uriHash,uint256 nonce,uint48 deadline)"
    );
    bytes32 internal constant AGENT_METADATA_SET_TYPEHASH = keccak256(
        "AgentMetadataSet(uint256 agentId,bytes32 keyHash,bytes32 valueHash,uint256 nonce,uint48 deadline)"
    );
    bytes32 internal constant AGENT_WALLET_CHANGE_TYPEHASH = keccak256(
        "AgentWalletChange(uint256 agentId,address newWallet,uint256 nonce,uint48 deadline)"
    );
    bytes32 internal constant AGENT_TRANSFER_TYPEHASH = keccak256(
        "AgentTransfer(uint256 agentId,address to,uint256 nonce,uint48 deadline)"
    );
    bytes32 internal constant AGENT_APPROVAL_TYPEHASH = keccak256(
        "AgentApproval(uint256 agentId,address approved,uint256 nonce,uint48 deadline)"
    );
    bytes32 internal constant OPERATOR_APPROVAL_TYPEHASH = keccak256(
        "OperatorApproval(address owner,address operator,bool isApproved,uint256 nonce,uint48 deadline)"
    );
    bytes32 internal constant SIGNER_GRANT_TYPEHASH = keccak256(
        "SignerGrant(uint256 agentId,bytes32 signerHash,bytes32 purpose,uint48 validFrom,uint48 validUntil,uint256 nonce,uint48 deadline)"
    );
    bytes32 internal constant SIGNER_ROTATION_TYPEHASH = keccak256(
        "SignerRotation(uint256 agentId,bytes32 oldSignerHash,bytes32 newSignerHash,uint48 validUntil,uint256 nonce,uint48 deadline)"
    );
    bytes32 internal constant SIGNER_REVOCATION_TYPEHASH = keccak256(
        "SignerRevocation(uint256 agentId,bytes32 signerHash,uint48 compromisedAt,uint256 nonce,uint48 deadline)"
    );
    bytes32 internal constant RECOVERY_SETTING_TYPEHASH = keccak256(
        "RecoverySetting(uint256 agentId,uint8 threshold,uint32 delay,uint256 nonce,uint48 deadline)"
    );
    bytes32 internal constant RECOVERY_CANCEL_TYPEHASH = keccak256(
        "RecoveryCancel(uint256 agentId,uint256 nonce,uint48 deadline)"
    );
    bytes32 internal constant OWNER_CHANGE_TYPEHASH = keccak256(
        "OwnerChange(uint256 agentId,address owner,address newOwner,uint64 attempt,uint48 deadline)"
    );
    bytes32 internal constant LOG_ANCHOR_TYPEHASH = keccak256(
        "LogAnchor(uint256 agentId,address log,uint40 fromSeq,uint40 toSeq,bytes32 root,bytes32 stateHead)"
    );
    bytes32 internal constant BATCHED_BINDING_TYPEHASH = keccak256(
        "BatchedBinding(uint32 index,uint256 agentId,bytes32 signerHash,bytes32 purpose,uint48 validFrom,uint48 validUntil)"
    );

    function hash(Deal memory deal) internal pure returns (bytes32) {
        return keccak256(abi.encode(DEAL_TYPEHASH, deal));
    }

    /// @notice The same of a deal in calldata. All fields are static, so the calldata words are the EIP-712 encoding. Unclean
    /// high bits only make another hash, which nobody signed.
    function hashCalldata(Deal calldata deal) internal pure returns (bytes32 dealId) {
        bytes32 typehash = DEAL_TYPEHASH;
        assembly ("memory-safe") {
            let encoding := mload(0x40)
            mstore(encoding, typehash)
            calldatacopy(add(encoding, 0x20), deal, 0x240)
            dealId := keccak256(encoding, 0x260)
        }
    }

    function hash(DealCancel memory cancel) internal pure returns (bytes32) {
        return keccak256(abi.encode(DEAL_CANCEL_TYPEHASH, cancel));
    }

    function hash(SignerBinding memory binding) internal pure returns (bytes32) {
        return keccak256(abi.encode(SIGNER_BINDING_TYPEHASH, binding));
    }

    function hash(BindingUpdate memory update) internal pure returns (bytes32) {
        return keccak256(abi.encode(BINDING_UPDATE_TYPEHASH, update));
    }

    function hash(AgentWalletSet memory walletSet) internal pure returns (bytes32) {
        return keccak256(abi.encode(AGENT_WALLET_SET_TYPEHASH, walletSet));
    }

    function hash(LogHeader memory header) internal pure returns (bytes32) {
        return keccak256(abi.encode(LOG_HEADER_TYPEHASH, header));
    }

    /// @notice The same of a header in calldata; see the deal's.
    function hashCalldata(LogHeader calldata header) internal pure returns (bytes32 structHash) {
        bytes32 typehash = LOG_HEADER_TYPEHASH;
        assembly ("memory-safe") {
            let encoding := mload(0x40)
            mstore(encoding, typehash)
            calldatacopy(add(encoding, 0x20), header, 0x160)
            structHash := keccak256(encoding, 0x180)
        }
    }

    function hash(BatchHeader memory header) internal pure returns (bytes32) {
        return keccak256(abi.encode(BATCH_HEADER_TYPEHASH, header));
    }

    function hash(Alive memory alive) internal pure returns (bytes32) {
        return keccak256(abi.encode(ALIVE_TYPEHASH, alive));
    }

    function hash(Call memory call) internal pure returns (bytes32) {
        return keccak256(abi.encode(CALL_TYPEHASH, call));
    }

    function hash(Bid memory bid) internal pure returns (bytes32) {
        return keccak256(abi.encode(BID_TYPEHASH, bid));
    }

    function hash(Decline memory decline) internal pure returns (bytes32) {
        return keccak256(abi.encode(DECLINE_TYPEHASH, decline));
    }

    function hash(CallCancel memory cancel) internal pure returns (bytes32) {
        return keccak256(abi.encode(CALL_CANCEL_TYPEHASH, cancel));
    }

    function hash(DealSubmit memory submission) internal pure returns (bytes32) {
        return keccak256(abi.encode(DEAL_SUBMIT_TYPEHASH, submission));
    }

    function hash(DealComplete memory completion) internal pure returns (bytes32) {
        return keccak256(abi.encode(DEAL_COMPLETE_TYPEHASH, completion));
    }

    function hash(DealPartRelease memory part) internal pure returns (bytes32) {
        return keccak256(abi.encode(DEAL_PART_RELEASE_TYPEHASH, part));
    }

    function hash(DealDispute memory dispute) internal pure returns (bytes32) {
        return keccak256(abi.encode(DEAL_DISPUTE_TYPEHASH, dispute));
    }

    function hash(OfferWithdrawal memory withdrawal) internal pure returns (bytes32) {
        return keccak256(abi.encode(OFFER_WITHDRAWAL_TYPEHASH, withdrawal));
    }

    function hash(SplitProposal memory proposal) internal pure returns (bytes32) {
        return keccak256(abi.encode(SPLIT_PROPOSAL_TYPEHASH, proposal));
    }

    function hash(Tab memory tab) internal pure returns (bytes32) {
        return keccak256(abi.encode(TAB_TYPEHASH, tab));
    }

    function hash(Voucher memory voucher) internal pure returns (bytes32) {
        return keccak256(abi.encode(VOUCHER_TYPEHASH, voucher));
    }

    function hash(TabClaim memory claim) internal pure returns (bytes32) {
        return keccak256(abi.encode(TAB_CLAIM_TYPEHASH, claim));
    }

    function hash(TabClosing memory closing) internal pure returns (bytes32) {
        return keccak256(abi.encode(TAB_CLOSING_TYPEHASH, closing));
    }

    function hash(IssuerCredential memory credential) internal pure returns (bytes32) {
        return keccak256(abi.encode(ISSUER_CREDENTIAL_TYPEHASH, credential));
    }

    function hash(CredentialRevocation memory revocation) internal pure returns (bytes32) {
        return keccak256(abi.encode(CREDENTIAL_REVOCATION_TYPEHASH, revocation));
    }

    function hash(OperatorSignal memory signal) internal pure returns (bytes32) {
        return keccak256(abi.encode(OPERATOR_SIGNAL_TYPEHASH, signal));
    }

    function hash(Registration memory statement) internal pure returns (bytes32) {
        return keccak256(abi.encode(REGISTRATION_TYPEHASH, statement));
    }

    function hash(AgentURISet memory statement) internal pure returns (bytes32) {
        return keccak256(abi.encode(AGENT_URI_SET_TYPEHASH, statement));
    }

    function hash(AgentMetadataSet memory statement) internal pure returns (bytes32) {
        return keccak256(abi.encode(AGENT_METADATA_SET_TYPEHASH, statement));
    }

    function hash(AgentWalletChange memory statement) internal pure returns (bytes32) {
        return keccak256(abi.encode(AGENT_WALLET_CHANGE_TYPEHASH, statement));
    }

    function hash(AgentTransfer memory statement) internal pure returns (bytes32) {
        return keccak256(abi.encode(AGENT_TRANSFER_TYPEHASH, statement));
    }

    function hash(AgentApproval memory statement) internal pure returns (bytes32) {
        return keccak256(abi.encode(AGENT_APPROVAL_TYPEHASH, statement));
    }

    function hash(OperatorApproval memory statement) internal pure returns (bytes32) {
        return keccak256(abi.encode(OPERATOR_APPROVAL_TYPEHASH, statement));
    }

    function hash(SignerGrant memory statement) internal pure returns (bytes32) {
        return keccak256(abi.encode(SIGNER_GRANT_TYPEHASH, statement));
    }

    function hash(SignerRotation memory statement) internal pure returns (bytes32) {
        return keccak256(abi.encode(SIGNER_ROTATION_TYPEHASH, statement));
    }

    function hash(SignerRevocation memory statement) internal pure returns (bytes32) {
        return keccak256(abi.encode(SIGNER_REVOCATION_TYPEHASH, statement));
    }

    function hash(RecoverySetting memory statement) internal pure returns (bytes32) {
        return keccak256(abi.encode(RECOVERY_SETTING_TYPEHASH, statement));
    }

    function hash(RecoveryCancel memory statement) internal pure returns (bytes32) {
        return keccak256(abi.encode(RECOVERY_CANCEL_TYPEHASH, statement));
    }

    function hash(OwnerChange memory statement) internal pure returns (bytes32) {
        return keccak256(abi.encode(OWNER_CHANGE_TYPEHASH, statement));
    }

    function hash(LogAnchor memory statement) internal pure returns (bytes32) {
        return keccak256(abi.encode(LOG_ANCHOR_TYPEHASH, statement));
    }

    function hash(BatchedBinding memory statement) internal pure returns (bytes32) {
        return keccak256(abi.encode(BATCHED_BINDING_TYPEHASH, statement));
    }
}
