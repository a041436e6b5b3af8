import { buildModule } from "@nomicfoundation/hardhat-ignition/modules";
import type {
  IgnitionModuleBuilder,
  NamedArtifactContractAtFuture,
  NamedArtifactContractDeploymentFuture,
} from "@nomicfoundation/ignition-core";

/** What deals are paid in has to take EIP-3009 authorizations. */
type TokenFuture =
  NamedArtifactContractDeploymentFuture<"TestToken"> | NamedArtifactContractAtFuture<"IReceiveWithAuthorization">;

/** A proof takes seconds to make, and a transaction minutes at worst to be mined. */
const ROOT_WINDOW_SECONDS = 3_600;
/** Who has left an issuer's group counts at most so long: 30 days. */
const CREDENTIAL_LIFETIME_SECONDS = 30 * 86_400;

/** What a juror's seat is paid: some ten times the gas of two votes at 1 gwei. */
const JUROR_FEE_WEI = 2_000_000_000_000_000n;

/** network.md: long enough for one round of signatures around the world, short enough to wait for. */
const WINDOW_SECONDS = 5;

/**
 * Every contract but the token, wired once and for all: the ledger takes records from the two escrows only, the vault is locked
 * and slashed by the epochs, the two slashers, the panel and the windows only, and nobody can name others later.
 */
function deployOn(m: IgnitionModuleBuilder, token: TokenFuture) {
  const identityRegistry = m.contract("IdentityRegistry");
  // The registry makes these three; whoever asks it gets their addresses.
  const partOf = (name: string, getter: string) =>
    m.contractAt(name, m.staticCall(identityRegistry, getter, [], 0, { id: `${name}_address` }));
  const signedBindings = partOf("SignedBindings", "signedBindings");
  const signedProfile = partOf("SignedProfile", "signedProfile");
  const ownerRecovery = partOf("OwnerRecovery", "ownerRecovery");
  const foreignBindings = m.contract("ForeignBindings");
  const anchors = m.contract("Anchors", [identityRegistry]);
  const logEvidence = m.contract("LogEvidence", [identityRegistry]);
  const p256Verifier = m.contract("P256Verifier");
  const webAuthnVerifier = m.contract("WebAuthnVerifier");
  const issuerCredentials = m.contract("IssuerCredentials");
  const semaphoreCredentials = m.contract("SemaphoreCredentials", [ROOT_WINDOW_SECONDS, CREDENTIAL_LIFETIME_SECONDS]);
  // Two ways to one issuer: a signed credential names the person to the issuer, a proof of membership to nobody.
  const sources = [
    { verifier: issuerCredentials, minLevel: 1, issuerId: m.getParameter<string>("issuerId") },
    { verifier: semaphoreCredentials, minLevel: 1, issuerId: m.getParameter<string>("groupId") },
  ];
  const credentials = m.contract("Credentials", [identityRegistry, sources]);
  // Once for everybody: a membership presented in this scope costs 5,000 gas less.
  m.call(semaphoreCredentials, "prepareScope", [m.staticCall(credentials, "scope")]);
  const trustLedger = m.contract("TrustLedger", [m.getParameter("epochLength"), identityRegistry]);
  const stakeVault = m.contract("StakeVault", [token, identityRegistry, trustLedger, m.getParameter("unbondingDelay")]);
  const reputationEpochs = m.contract("ReputationEpochs", [
    trustLedger,
    stakeVault,
    identityRegistry,
    m.getParameter("publisherBond"),
    m.getParameter("couplings"),
  ]);
  // The deployer governs the curves; on a public network that is to be a timelock or a multisignature.
  const bondCurve = m.contract("BondCurve", [reputationEpochs, trustLedger, identityRegistry, m.getAccount(0)]);
  const dealEscrow = m.contract("DealEscrow", [identityRegistry, trustLedger, bondCurve]);
  const dealDisputes = m.contractAt("DealDisputes", m.staticCall(dealEscrow, "disputes"));
  const dealFunding = m.contract("DealFunding", [dealEscrow]);
  const tabEscrow = m.contract("TabEscrow", [identityRegistry, trustLedger]);
  const evidenceSlasher = m.contract("EvidenceSlasher", [stakeVault, logEvidence, m.getParameter("publisherBond")]);
  const jurorPanel = m.contract("JurorPanel", [
    ...[stakeVault, credentials, m.getParameter("publisherBond")],
    ...[JUROR_FEE_WEI, m.getParameter("epochLength")],
  ]);
  // A wrong accusation costs what a right one would have: the bond is the penalty.
  const rulingSlasher = m.contract("RulingSlasher", [
    ...[stakeVault, dealDisputes, jurorPanel],
    ...[m.getParameter("publisherBond"), m.getParameter("publisherBond")],
  ]);
  // What a validator has at stake in a topic is at least what a publisher has in an epoch.
  const windowValidators = m.contract("WindowValidators", [
    stakeVault,
    m.getParameter("publisherBond"),
    WINDOW_SECONDS,
  ]);
  const structHashes = m.contract("StructHashes");
  const feedbackRegistry = m.contract("FeedbackRegistry", [dealEscrow]);
  const validationRegistry = m.contract("ValidationRegistry", [identityRegistry]);
  const jobEscrow = m.contract("JobEscrow", [token]);
  m.call(trustLedger, "setRecorders", [[dealEscrow, tabEscrow]]);
  m.call(trustLedger, "setOperators", [credentials]);
  m.call(dealEscrow, "setFeedbackRegistry", [feedbackRegistry]);
  m.call(stakeVault, "setModules", [[reputationEpochs, evidenceSlasher, jurorPanel, rulingSlasher, windowValidators]]);
  return {
    identityRegistry,
    ...{ signedBindings, signedProfile, ownerRecovery, foreignBindings, anchors, logEvidence },
    ...{ p256Verifier, webAuthnVerifier },
    ...{ credentials, issuerCredentials, semaphoreCredentials },
    ...{ stakeVault, trustLedger, reputationEpochs, bondCurve, structHashes, token },
    ...{ dealEscrow, dealDisputes, dealFunding, tabEscrow, evidenceSlasher, jurorPanel, rulingSlasher },
    windowValidators,
    ...{ feedbackRegistry, validationRegistry, jobEscrow },
  };
}

/** Surety with a test token of its own: for chains on which nothing has value. */
const Surety = buildModule("Surety", (m) => deployOn(m, m.contract("TestToken")));

/** Surety on an ERC-20 that exists, given by the parameter `token`. */
export const SuretyOnToken = buildModule("SuretyOnToken", (m) =>
  deployOn(m, m.contractAt("IReceiveWithAuthorization", m.getParameter<string>("token"))),
);

export default Surety;
