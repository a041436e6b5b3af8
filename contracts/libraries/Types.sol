// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

// Every struct that somebody signs or hashes is defined here and nowhere else. The ABI carries its fields;
// `npm run generate` derives the EIP-712 types and the TypeScript types from it, and a freshness check fails on drift.
// Fields are static: dynamic content is hashed first.

/// @notice A deal, as both parties sign it. Its EIP-712 struct hash is the dealId.
/// @dev Domain: ("SuretyDealEscrow", "1", chainId, DealEscrow).
struct Deal {
    /// The agent that pays.
    uint256 clientAgentId;
    /// The agent that delivers and is paid.
    uint256 providerAgentId;
    /// Topic of the local trust that this deal moves; 0 moves none.
    uint64 topic;
    /// The ERC-20 in which price and bonds are paid; zero = native value.
    address token;
    /// Price in the token's smallest unit.
    uint256 price;
    /// Bond of the provider, in the token's smallest unit.
    uint256 providerBond;
    /// Bond of the client, in the token's smallest unit.
    uint256 clientBond;
    /// Last second (Unix) at which the provider may submit.
    uint48 submitBy;
    /// Seconds after submission in which the client may object; silence then pays the provider.
    uint32 reviewPeriod;
    /// Who rules on a dispute: an ERC-792 arbitrator, or any other account by itself; zero = nobody, and no dispute.
    address arbiter;
    /// Last second (Unix) for a ruling; after the latest end of review. 0 where nobody rules.
    uint48 arbiterDeadline;
    /// Hash of the mechanism (the leader's published rules) that led to this deal.
    bytes32 mechanismHash;
    /// Hash of the certificate that the award was optimal under those rules.
    bytes32 certificateHash;
    /// Hash of what is to be delivered.
    bytes32 specHash;
    /// Merkle root of an N-way split of what the provider earns (see IDealEscrow.distribute); zero = all to the provider.
    bytes32 splitsRoot;
    /// The finalized reputation epoch on which the parties relied; 0 = none.
    uint32 epoch;
    /// Contract that is told of the deal's steps; zero = none.
    address hook;
    /// Makes two deals with the same terms different.
    uint256 salt;
}

/// @notice Both parties' consent to end a deal with everything returned to the side that brought it.
/// @dev Domain of DealEscrow.
struct DealCancel {
    bytes32 dealId;
}

/// @notice The provider's delivery, relayed by somebody else.
/// @dev Domain of DealEscrow.
struct DealSubmit {
    bytes32 dealId;
    bytes32 deliverableHash;
}

/// @notice The client's release and rating of a delivery, relayed by somebody else.
/// @dev Domain of DealEscrow.
struct DealComplete {
    bytes32 dealId;
    /// -100..100; 0 moves no local trust.
    int8 rating;
}

/// @notice The client's release of a part of the price, relayed by somebody else.
/// @dev Domain of DealEscrow. Cumulative: the same signature releases nothing a second time.
struct DealPartRelease {
    bytes32 dealId;
    /// All that is released so far with this part, in the token's smallest unit; below the price.
    uint256 released;
}

/// @notice The client's objection to a delivery, relayed by somebody else.
/// @dev Domain of DealEscrow.
struct DealDispute {
    bytes32 dealId;
    /// Hash of what the client objects to.
    bytes32 reasonHash;
}

/// @notice One side's withdrawal of its signature before funding, relayed by somebody else.
/// @dev Domain of DealEscrow.
struct OfferWithdrawal {
    bytes32 dealId;
}

/// @notice How both sides agree to end a live deal: one signs it, the other accepts by its own call or signature.
/// @dev Domain of DealEscrow.
struct SplitProposal {
    bytes32 dealId;
    /// What of the price still held goes to the provider; the rest goes back to the payer, both bonds to their sides.
    uint256 toProvider;
    /// The client's rating, -100..100; 0 moves no local trust.
    int8 rating;
    /// Last second (Unix) at which the proposal may be used.
    uint48 validUntil;
}

/// @notice Terms of a tab. Its EIP-712 struct hash is the tabId.
/// @dev Domain: ("SuretyTabEscrow", "1", chainId, TabEscrow).
struct Tab {
    /// The agent that pays.
    uint256 clientAgentId;
    /// The agent that answers tasks and is paid.
    uint256 providerAgentId;
    /// Topic of the local trust that claims move; 0 moves none.
    uint64 topic;
    /// The ERC-20 of the deposit; zero = native value.
    address token;
    /// Hash of the rules by which tasks are priced and rated.
    bytes32 mechanismHash;
    /// keccak256 of the ERC-7913 bytes of the one key that signs vouchers: at opening a LOG signer of the client.
    bytes32 signerHash;
    /// Last second (Unix) of the tab; after it anyone closes it.
    uint48 expiry;
    /// Seconds between the client's wish to close and the closing, in which the provider claims.
    uint32 challengePeriod;
    /// Makes two tabs with the same terms different.
    uint256 salt;
}

/// @notice What the client owes on a tab so far; every field only grows. One claim settles all tasks before it.
/// @dev Domain of Tab.
struct Voucher {
    bytes32 tabId;
    /// Number of tasks answered so far.
    uint64 seq;
    /// Sum owed so far, in the token's smallest unit.
    uint96 paid;
    /// Sum of the positive ratings so far, at most 100 a task.
    uint32 satisfied;
    /// Sum of the negative ratings so far, at most 100 a task.
    uint32 unsatisfied;
}

/// @notice The provider's claim of one voucher, relayed by somebody else.
/// @dev Domain of Tab.
struct TabClaim {
    bytes32 tabId;
    /// Of the voucher that is claimed.
    uint96 paid;
    /// True: the tab closes with it.
    bool isLast;
}

/// @notice One side's wish to close a tab, relayed by somebody else.
/// @dev Domain of Tab. The client's starts the challenge period; the provider's closes at once.
struct TabClosing {
    bytes32 tabId;
}

/// @notice A new signer's proof that it exists and agrees to speak for an agent.
/// @dev Domain of IdentityRegistry. agentId 0 = the agent that `owner` registers in the same transaction.
struct SignerBinding {
    uint256 agentId;
    address owner;
    /// keccak256 of the ERC-7913 signer bytes.
    bytes32 signerHash;
    /// What the signer may do, a left-aligned ASCII word: "LOG", "TRANSPORT", "OPERATOR", "RECOVERY".
    bytes32 purpose;
    uint48 validFrom;
    uint48 validUntil;
    /// Last second (Unix) at which this proof may be used.
    uint48 deadline;
}

/// @notice The signature of an owner or an OPERATOR signer over one step of the version chain (BAID, arXiv 2606.17368 eq. 10).
/// @dev Domain of IdentityRegistry.
struct BindingUpdate {
    uint256 agentId;
    /// Version that this update creates.
    uint64 version;
    /// Head of the version chain before the update, C(v).
    bytes32 previous;
    /// The new commitment (eq. 9).
    bytes32 delta;
    uint48 deadline;
}

/// @notice The consent of a new agent wallet, exactly as ERC-8004 v2.0.0 defines it.
/// @dev Domain of IdentityRegistry, ("ERC8004IdentityRegistry", "1").
struct AgentWalletSet {
    uint256 agentId;
    address newWallet;
    address owner;
    uint256 deadline;
}

/// @notice An owner's order to register an agent, executed by anyone.
/// @dev Domain of IdentityRegistry. Executed by SignedProfile.
struct Registration {
    address owner;
    /// keccak256 of the URI of the registration file.
    bytes32 uriHash;
    /// BAID commitment (eq. 9); zero = none.
    bytes32 commitment;
    /// keccak256 of the ERC-7913 bytes of the first LOG signer; keccak256 of nothing = none.
    bytes32 signerHash;
    /// Used once by each signer, in any order.
    uint256 nonce;
    /// Last second (Unix) at which this may be executed.
    uint48 deadline;
}

/// @notice An order to replace an agent's URI.
/// @dev Domain of IdentityRegistry. Executed by SignedProfile.
struct AgentURISet {
    uint256 agentId;
    bytes32 uriHash;
    uint256 nonce;
    uint48 deadline;
}

/// @notice An order to set one metadata key of an agent.
/// @dev Domain of IdentityRegistry. Executed by SignedProfile.
struct AgentMetadataSet {
    uint256 agentId;
    bytes32 keyHash;
    bytes32 valueHash;
    uint256 nonce;
    uint48 deadline;
}

/// @notice An owner's order to change an agent's wallet. The wallet itself consents by AgentWalletSet.
/// @dev Domain of IdentityRegistry. Executed by SignedProfile.
struct AgentWalletChange {
    uint256 agentId;
    /// Zero = clear it.
    address newWallet;
    uint256 nonce;
    uint48 deadline;
}

/// @notice An owner's order to hand an agent over.
/// @dev Domain of IdentityRegistry. Executed by SignedProfile.
struct AgentTransfer {
    uint256 agentId;
    address to;
    uint256 nonce;
    uint48 deadline;
}

/// @notice An owner's order to approve one account for one agent (ERC-721).
/// @dev Domain of IdentityRegistry. Executed by SignedProfile.
struct AgentApproval {
    uint256 agentId;
    /// Zero = nobody.
    address approved;
    uint256 nonce;
    uint48 deadline;
}

/// @notice An owner's order to approve or disapprove an account for all of its agents (ERC-721).
/// @dev Domain of IdentityRegistry. Executed by SignedProfile.
struct OperatorApproval {
    address owner;
    address operator;
    bool isApproved;
    uint256 nonce;
    uint48 deadline;
}

/// @notice An order to bind a signer; the signer itself agrees by SignerBinding.
/// @dev Domain of IdentityRegistry, or of ForeignBindings. Executed by its SignedBindings.
struct SignerGrant {
    uint256 agentId;
    bytes32 signerHash;
    bytes32 purpose;
    uint48 validFrom;
    uint48 validUntil;
    uint256 nonce;
    uint48 deadline;
}

/// @notice An order to replace a signer; the new one agrees by SignerBinding.
/// @dev Domain of IdentityRegistry, or of ForeignBindings. Executed by its SignedBindings.
struct SignerRotation {
    uint256 agentId;
    bytes32 oldSignerHash;
    bytes32 newSignerHash;
    uint48 validUntil;
    uint256 nonce;
    uint48 deadline;
}

/// @notice An order to revoke a signer.
/// @dev Domain of IdentityRegistry, or of ForeignBindings. Executed by its SignedBindings.
struct SignerRevocation {
    uint256 agentId;
    bytes32 signerHash;
    /// Unix second; 0 = when it is executed.
    uint48 compromisedAt;
    uint256 nonce;
    uint48 deadline;
}

/// @notice An owner's choice of how many guardians recover an agent, and after how long.
/// @dev Domain of IdentityRegistry. Executed by OwnerRecovery.
struct RecoverySetting {
    uint256 agentId;
    /// Guardians needed; 0 = no recovery.
    uint8 threshold;
    /// Seconds in which the owner can cancel.
    uint32 delay;
    uint256 nonce;
    uint48 deadline;
}

/// @notice An owner's veto of a recovery that has been started.
/// @dev Domain of IdentityRegistry. Executed by OwnerRecovery.
struct RecoveryCancel {
    uint256 agentId;
    uint256 nonce;
    uint48 deadline;
}

/// @notice One guardian's vote for a new owner.
/// @dev Domain of IdentityRegistry. Executed by OwnerRecovery.
struct OwnerChange {
    uint256 agentId;
    /// Who owns the agent now.
    address owner;
    address newOwner;
    /// Recoveries of this agent that were started before.
    uint64 attempt;
    uint48 deadline;
}

/// @notice A log's commitment to a range of its entries.
/// @dev Domain of IdentityRegistry. Signed by the log's key where somebody else sends it; kept by Anchors.
struct LogAnchor {
    uint256 agentId;
    address log;
    /// First and last entry of the range.
    uint40 fromSeq;
    uint40 toSeq;
    /// Merkle root over the digests of the range's headers.
    bytes32 root;
    /// Head of the same log under a hash that proofs can afford (Poseidon); zero = none.
    bytes32 stateHead;
}

/// @notice One leaf of an issuer's batch of bindings; hashed, never signed.
struct BatchedBinding {
    /// Place in the batch, from 0.
    uint32 index;
    uint256 agentId;
    bytes32 signerHash;
    bytes32 purpose;
    uint48 validFrom;
    /// First second of invalidity; 0 = no end.
    uint48 validUntil;
}

/// @notice Header of one entry of a signed sequential log.
/// @dev Domain: ("SuretyLog", "1", chainId, IdentityRegistry). The binary form is in contracts/protocol/log.
struct LogHeader {
    uint8 version;
    uint8 kind;
    /// The log's id: the address of its only signer.
    address log;
    /// 0 for the first entry, then one more each.
    uint40 seq;
    /// Digest of the entry before; zero for the first.
    bytes32 prev;
    /// sha2-256 of the body.
    bytes32 bodyHash;
    uint32 bodyLength;
    /// Unix milliseconds by the author's clock; never used for order.
    uint48 timeMs;
    /// Seconds after which a declaration or intent has expired.
    uint24 ttl;
    /// Four uint32 skill ids, most significant first.
    uint128 tags;
    /// 256-bit SimHash of the body's meaning.
    bytes32 sketch;
}

/// @notice Order of the log headers of one topic in one window, as a quorum of the topic's validators signs it, each one
/// this digest. Two different ones for one topic and window with one validator's signatures are double-signing.
/// @dev Domain: ("SuretyBatch", "1", chainId, IdentityRegistry).
struct BatchHeader {
    uint64 topic;
    /// First second (Unix) of the window.
    uint48 window;
    /// Digest of the topic's batch header before; zero for the first.
    bytes32 previous;
    /// Merkle root of the digests of the window's log headers, in their order.
    bytes32 root;
    /// How many there are.
    uint32 count;
}

/// @notice Answer of a log's signer to a challenge: its key was at work after that block was mined. Judged off chain only.
/// @dev Domain: ("SuretyAlive", "1", chainId, IdentityRegistry). The binary form is in contracts/protocol/log/alive.ts.
struct Alive {
    /// Who answers.
    address log;
    /// Address of the asker's transport key: what was answered to one is no answer to another.
    address asker;
    /// Drawn by the asker for this challenge alone.
    bytes32 nonce;
    /// Newest block that the asker knew: nobody can have signed this before it was mined.
    bytes32 blockHash;
    /// Unix milliseconds by the asker's clock, which the answering one found near its own.
    uint48 askedMs;
}

/// @notice A client's call for proposals. Its EIP-712 struct hash is the callId.
/// @dev Domain: ("SuretyNegotiation", "1", chainId, DealEscrow).
struct Call {
    uint256 clientAgentId;
    uint64 topic;
    bytes32 specHash;
    bytes32 mechanismHash;
    address token;
    /// No award above this price.
    uint256 reservePrice;
    /// Last Unix millisecond at which a bid counts.
    uint48 bidByMs;
    uint48 submitBy;
    uint32 reviewPeriod;
    uint256 salt;
}

/// @notice A provider's sealed bid on a call. Its EIP-712 struct hash is the bidId.
/// @dev Domain of Call.
struct Bid {
    bytes32 callId;
    uint256 providerAgentId;
    /// The least that the provider would accept, in the token's smallest unit.
    uint256 price;
    /// Quality that the provider offers, in the units of the call's mechanism.
    uint64 quality;
    uint48 validUntil;
    uint256 salt;
}

/// @notice A provider's refusal: to bid on a call, or of an offer that came of its bid.
/// @dev Domain of Call.
struct Decline {
    bytes32 callId;
    /// The deal that is refused; zero = the call itself.
    bytes32 dealId;
    uint256 providerAgentId;
    /// 0 unspecified, 1 not for me, 2 busy, 3 terms, 4 certificate, 5 too late. Informs the client; moves nothing.
    uint8 reason;
}

/// @notice The client's end of a call without a deal for the receiver: withdrawn, or awarded to somebody else.
/// @dev Domain of Call.
struct CallCancel {
    bytes32 callId;
}

/// @notice An issuer's word that a person whom it knows answers for an agent.
/// @dev Domain: ("SuretyCredentials", "1", chainId, IssuerCredentials).
struct IssuerCredential {
    /// Where it counts: `Credentials.scope()`.
    bytes32 scope;
    /// keccak256 of the issuer's ERC-7913 bytes.
    bytes32 issuerId;
    /// The issuer's pseudonym of the person in this scope; one for each person.
    bytes32 nullifier;
    uint256 agentId;
    /// The agent's owner; the credential ends with its ownership.
    address owner;
    /// What the issuer checked; larger = more.
    uint8 level;
    /// First second (Unix) at which it does not count.
    uint48 validUntil;
}

/// @notice An issuer takes its word back for one person in one scope, for ever.
/// @dev Domain of IssuerCredential.
struct CredentialRevocation {
    bytes32 scope;
    bytes32 issuerId;
    bytes32 nullifier;
}

/// @notice What a proof of membership signs: its EIP-712 digest is the message of a Semaphore proof.
/// @dev Domain: ("SuretyCredentials", "1", chainId, SemaphoreCredentials).
struct OperatorSignal {
    bytes32 scope;
    uint256 agentId;
    /// The agent's owner; the credential ends with its ownership.
    address owner;
    /// First second (Unix) at which the credential does not count.
    uint48 validUntil;
}

/// @notice What a program that runs under proof puts out: one step of one agent.
/// @dev Hashed as SHA-256 of its ABI encoding, as RISC Zero digests a journal.
struct CodeJournal {
    uint256 chainId;
    /// The registry of the agent.
    address registry;
    uint256 agentId;
    /// Root of the configuration tree with which the program ran.
    bytes32 configDigest;
    /// Digest of the proof of the step before; zero for the first.
    bytes32 previous;
    bytes32 inputHash;
    bytes32 outputHash;
    /// 0 for the first step, then one more each.
    uint64 step;
    /// Named by who asked for the proof, so that an old one does not answer.
    uint256 nonce;
}

/// @notice One topic of a committed epoch: root of the leaves, and λ = multiplier / 2^shift.
struct TopicRoot {
    uint64 topic;
    bytes32 root;
    uint64 multiplier;
    uint8 shift;
}
