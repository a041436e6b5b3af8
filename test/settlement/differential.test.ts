// The contract and its TypeScript mirror, side by side on random sequences of events: the same state, the same error.
import { expect } from "chai";
import fc from "fast-check";
import {
  ContractFunctionRevertedError,
  decodeErrorResult,
  type Address,
  type BaseError,
  type Hex,
  zeroAddress,
  zeroHash,
} from "viem";
import {
  createDealProgress,
  dealEscrowAbi,
  dealErrorCodeOf,
  dealIdOf,
  dealStates,
  heldOf,
  isHeld,
  reduceDeal,
  type Consent,
  type Deal,
  type DealEvent,
  type DealProgress,
} from "#protocol";
import { createSettlement, DELIVERABLE, MAX_DELIVERY, MAX_REVIEW_PERIOD, PRICE, TOPIC } from "./fixture.ts";
import { randomRuns } from "./runs.ts";

/** About 40 steps a run: some 2,400 in the ordinary profile, 80,000 in the nightly one. */
const RUNS = randomRuns(60, 2_000);
/** Above the dearest call with a record, so that no call needs an estimate. */
const GAS = 900_000n;
const FEE_BPS = 100n;

const s = await createSettlement();
const { escrow, disputes, token, client, provider, stranger, networkHelpers } = s;
const feeToken = await s.viem.deployContract("HostileToken");
const PROVIDER_ENDOWMENT = 10n ** 15n;
await s.endow(provider.account, PROVIDER_ENDOWMENT);
for (const account of [client.account, provider.account, stranger.address]) {
  await feeToken.write.mint([account, 10n ** 15n]);
  await feeToken.write.approve([escrow.address, 2n ** 256n - 1n], { account });
}
await feeToken.write.setFee([FEE_BPS]);

const roles = { client: client.account, provider: provider.account, stranger: stranger.address } as const;
type Role = keyof typeof roles;

/** Mostly sound values, with the unsound ones that each check is there for. */
const termsArbitrary = fc.record({
  topic: fc.constantFrom(0n, TOPIC),
  price: fc.oneof({ weight: 20, arbitrary: fc.constant(PRICE) }, { weight: 1, arbitrary: fc.constant(0n) }),
  tokenKind: fc.oneof(
    { weight: 20, arbitrary: fc.constant("sound" as const) },
    { weight: 1, arbitrary: fc.constantFrom("fee" as const, "none" as const) },
  ),
  delivery: fc.oneof(
    { weight: 20, arbitrary: fc.integer({ min: 1, max: 2_000 }) },
    { weight: 1, arbitrary: fc.constantFrom(-1, 0, MAX_DELIVERY + 5_000_000) },
  ),
  providerBond: fc.constantFrom(0n, 0n, 300_000n),
  clientBond: fc.constantFrom(0n, 0n, 70_001n),
  splitsRoot: fc.constantFrom(zeroHash, zeroHash, zeroHash, DELIVERABLE),
  /** Seconds that the arbiter has after the review; 0 = no arbiter. */
  arbitration: fc.constantFrom(0, 1, 400),
  reviewPeriod: fc.oneof(
    { weight: 20, arbitrary: fc.integer({ min: 0, max: 500 }) },
    { weight: 1, arbitrary: fc.constant(MAX_REVIEW_PERIOD + 1) },
  ),
  odd: fc.oneof(
    { weight: 20, arbitrary: fc.constant({}) },
    {
      weight: 3,
      arbitrary: fc.constantFrom<Partial<Deal>>(
        { clientBond: 2n ** 128n },
        { providerBond: 2n ** 200n },
        { arbiter: zeroAddress, arbiterDeadline: 1 },
        { arbiter: stranger.address, arbiterDeadline: 1 },
        { arbiter: stranger.address, arbiterDeadline: 2 ** 40 },
        { token: zeroAddress },
        { providerAgentId: client.agentId },
        { clientAgentId: 2n ** 32n, topic: TOPIC },
      ),
    },
  ),
});

const consentArbitrary: fc.Arbitrary<Consent> = fc.oneof(
  { weight: 8, arbitrary: fc.constant("valid" as const) },
  { weight: 1, arbitrary: fc.constantFrom("unknown-signer" as const, "bad-signature" as const) },
);

const stepArbitrary = fc.record({
  kind: fc.constantFrom<DealEvent["kind"][]>(
    ...(["open", "open", "submit", "submit", "complete", "complete"] as const),
    ...(["release", "refund", "cancel", "withdrawOffer", "releasePart", "releasePart", "settle"] as const),
    ...(["dispute", "dispute", "rule", "rule", "resolve"] as const),
  ),
  dealIndex: fc.nat({ max: 3 }),
  role: fc.constantFrom<Role[]>("client", "provider", "stranger"),
  clientConsent: consentArbitrary,
  providerConsent: consentArbitrary,
  rating: fc.oneof(fc.integer({ min: -100, max: 100 }), fc.constantFrom(-128, -101, 101, 127)),
  isEmpty: fc.boolean(),
  /** Of the price, in hundredths: a part to release, or the provider's part of a split. */
  percent: fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 1, max: 99 }) },
    { weight: 1, arbitrary: fc.constantFrom(0, 100, 101) },
  ),
  ruling: fc.integer({ min: 0, max: 3 }),
  isExpired: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  /** Two steps of three are what the parties would do next; the others are anything. */
  isSensible: fc.oneof({ weight: 2, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
  /** Seconds to pass, or the deal's own deadline with an offset of at most one second. */
  clock: fc.oneof(
    { weight: 3, arbitrary: fc.nat({ max: 100 }) },
    {
      weight: 1,
      arbitrary: fc.record({
        deadline: fc.constantFrom("submitBy" as const, "reviewUntil" as const, "arbiterDeadline" as const),
        offset: fc.constantFrom(-1, 0, 1),
      }),
    },
  ),
});
type Step = typeof stepArbitrary extends fc.Arbitrary<infer T> ? T : never;

/** What the parties would do next, with everything in order; only the clock stays as drawn. */
function sensible(step: Step, { state }: DealProgress): Step {
  const sound = { clientConsent: "valid", providerConsent: "valid", isEmpty: false } as const;
  const isHeldNow = state === "Funded" || state === "Submitted";
  if (isHeldNow && step.percent % 10 === 0) return { ...step, ...sound, kind: "releasePart", role: "client" };
  if (isHeldNow && step.percent % 10 === 1) return { ...step, ...sound, kind: "settle", rating: step.rating % 101 };
  if (state === "Open") return { ...step, ...sound, kind: "open", role: "client" };
  if (state === "Funded") return { ...step, ...sound, kind: "submit", role: "provider" };
  if (state === "Disputed") {
    const isSilent = step.percent % 2 === 0;
    if (isSilent) step = { ...step, clock: { deadline: "arbiterDeadline", offset: step.percent % 4 === 0 ? 0 : 1 } };
    return { ...step, ...sound, kind: isSilent ? "resolve" : "rule", role: "stranger", ruling: step.ruling % 3 };
  }
  if (step.percent > 40) return { ...step, ...sound, kind: "dispute", role: "client" };
  const isSilent = typeof step.clock !== "number" && step.clock.deadline === "reviewUntil";
  return { ...step, ...sound, kind: isSilent ? "release" : "complete", role: "client" };
}

async function draft({
  tokenKind,
  delivery,
  arbitration,
  odd,
  ...terms
}: typeof termsArbitrary extends fc.Arbitrary<infer T> ? T : never) {
  const address = { sound: token.address, fee: feeToken.address, none: stranger.address }[tokenKind];
  const submitBy = (await networkHelpers.time.latest()) + delivery;
  const arbiter = arbitration === 0 ? zeroAddress : stranger.address;
  const arbiterDeadline = arbitration === 0 ? 0 : submitBy + terms.reviewPeriod + arbitration;
  return s.draftDeal(client, provider, { ...terms, arbiter, arbiterDeadline, submitBy, token: address, ...odd });
}

async function secondOf({ clock }: Step, progress: DealProgress): Promise<number> {
  const latest = await networkHelpers.time.latest();
  if (typeof clock === "number") return latest + clock;
  const { submitBy, arbiterDeadline } = progress.deal;
  const deadline = { submitBy, arbiterDeadline, reviewUntil: progress.reviewUntil }[clock.deadline];
  // A deadline far ahead is no place to jump to: the other deals of the run would all be late.
  return deadline + clock.offset > latest + 5_000 ? latest : Math.max(latest, deadline + clock.offset);
}

/** A step as the mirror sees it. */
function eventOf(step: Step, { deal }: DealProgress, time: number): DealEvent {
  const consents = {
    client: consentOf(deal.clientAgentId, step.clientConsent, client.agentId),
    provider: consentOf(deal.providerAgentId, step.providerConsent, provider.agentId),
  };
  const caller = {
    isClient: step.role === "client" && deal.clientAgentId === client.agentId,
    isProvider: step.role === (deal.providerAgentId === client.agentId ? "client" : "provider"),
  };
  switch (step.kind) {
    case "open":
      return {
        kind: "open",
        time,
        ...consents,
        payer: payer(step),
        isTokenContract: deal.token !== stranger.address,
        received: receivedOf(deal),
      };
    case "submit":
      return { kind: "submit", time, caller, deliverableHash: step.isEmpty ? zeroHash : DELIVERABLE };
    case "complete":
      return { kind: "complete", time, caller, rating: step.rating };
    case "cancel":
      return { kind: "cancel", time, ...consents };
    case "withdrawOffer":
      return { kind: "withdrawOffer", time, caller };
    case "releasePart":
      return { kind: "releasePart", time, caller, released: partOf(step, deal) };
    case "settle": {
      const [toProvider, validUntil] = [partOf(step, deal), validUntilOf(step, time)];
      return { kind: "settle", time, ...consents, toProvider, rating: step.rating, validUntil };
    }
    case "dispute":
      return { kind: "dispute", time, caller };
    case "rule":
      return {
        kind: "rule",
        time,
        isArbiter: step.role === "stranger" && deal.arbiter === stranger.address,
        ruling: step.ruling,
      };
    default:
      return { kind: step.kind, time };
  }
}

/** What comes in of both sides' payments. */
function receivedOf({ token: of, price, clientBond, providerBond }: Deal): bigint {
  const arriving = (amount: bigint) => (of === feeToken.address ? amount - (amount * FEE_BPS) / 10_000n : amount);
  return arriving(price + clientBond) + arriving(providerBond);
}

const partOf = ({ percent }: Step, { price }: Deal): bigint => (price * BigInt(percent)) / 100n;

const validUntilOf = ({ isExpired }: Step, time: number): number => (isExpired ? time - 1 : time);

/** Terms may name another agent than the one whose signer signs. */
const consentOf = (agentId: bigint, consent: Consent, signing: bigint): Consent =>
  agentId === signing ? consent : "unknown-signer";

/** Who funds: the provider has no money. */
const payer = ({ role }: Step): Address => (role === "stranger" ? stranger.address : client.account);

/** The same step as the chain sees it. */
async function send(step: Step, deal: Deal, time: number): Promise<Hex> {
  const options = { account: roles[step.role], gas: GAS } as const;
  const split = { toProvider: partOf(step, deal), rating: step.rating, validUntil: validUntilOf(step, time) };
  const [ofClient, ofProvider] =
    step.kind === "open"
      ? s.sign(deal, client, provider)
      : step.kind === "settle"
        ? s.signSplit(deal, split, client, provider)
        : s.signCancel(deal, client, provider);
  const consents = [spoil(ofClient, step.clientConsent), spoil(ofProvider, step.providerConsent)] as const;
  switch (step.kind) {
    case "open":
      return escrow.write.open([deal, ...consents], { account: payer(step), gas: GAS });
    case "submit":
      return escrow.write.submit([deal, step.isEmpty ? zeroHash : DELIVERABLE], options);
    case "complete":
      return escrow.write.complete([deal, step.rating], options);
    case "cancel":
      return escrow.write.cancel([deal, ...consents], options);
    case "release":
      return escrow.write.release([deal], options);
    case "refund":
      return escrow.write.refund([deal], options);
    case "withdrawOffer":
      return escrow.write.withdrawOffer([deal], options);
    case "releasePart":
      return escrow.write.releasePart([deal, split.toProvider], options);
    case "settle":
      return disputes.write.settle([deal, { dealId: dealIdOf(deal), ...split }, ...consents], options);
    case "dispute":
      return disputes.write.dispute([deal, DELIVERABLE], options);
    case "rule":
      return disputes.write.ruleAsArbiter([deal, BigInt(step.ruling)], options);
    case "resolve":
      return disputes.write.resolve([deal], options);
  }
}

function spoil(party: { signer: Hex; signature: Hex }, consent: Consent): { signer: Hex; signature: Hex } {
  if (consent === "unknown-signer") return { ...party, signer: stranger.address };
  return consent === "bad-signature" ? { ...party, signature: stranger.sign(zeroHash) } : party;
}

/** An error of the escrow that came through the disputes' contract, whose ABI has its own errors only. */
function nameOf(raw: Hex | undefined): string | undefined {
  return raw === undefined ? undefined : decodeErrorResult({ abi: dealEscrowAbi, data: raw }).errorName;
}

/** The code of the contract's refusal; undefined if the call went through. */
async function refusalOf(call: Promise<Hex>): Promise<string | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    const revert = (error as BaseError).walk((cause) => cause instanceof ContractFunctionRevertedError);
    const { data, raw } = (revert as ContractFunctionRevertedError | null) ?? {};
    const name = data?.errorName ?? nameOf(raw);
    if (name === undefined) throw error;
    return dealErrorCodeOf(name);
  }
}

async function expectSameProgress(progress: DealProgress): Promise<void> {
  const { deal, state, payer: funder, reviewUntil, released, pot } = progress;
  const [stateIndex, onChainPayer, onChainReview] = await escrow.read.dealOf([dealIdOf(deal)]);
  expect(dealStates[stateIndex]).to.equal(state);
  expect(onChainPayer.toLowerCase()).to.equal(funder.toLowerCase());
  expect(onChainReview).to.equal(reviewUntil);
  if (released !== 0n) expect(await escrow.read.releasedOf([dealIdOf(deal)])).to.equal(released);
  if (pot !== 0n) expect(await escrow.read.potOf([dealIdOf(deal)])).to.equal(pot);
}

describe("deal life cycle, contract against mirror", () => {
  const liabilities = { token: 0n, provider: 0n, satisfied: 0, unsatisfied: 0 };
  const codes = new Map<string, number>();

  it("agrees in state and in named error on every step", async function () {
    this.timeout(RUNS.timeoutMs);
    const scenario = [
      fc.array(termsArbitrary, { minLength: 4, maxLength: 4 }),
      fc.array(stepArbitrary, { minLength: 20, maxLength: 60 }),
    ] as const;
    await fc.assert(
      fc.asyncProperty(...scenario, async (terms, steps) => {
        const progresses: DealProgress[] = [];
        for (const term of terms) progresses.push(createDealProgress(await draft(term)));
        for (const drawn of steps) {
          const progress = progresses[drawn.dealIndex] as DealProgress;
          const step = drawn.isSensible ? sensible(drawn, progress) : drawn;
          const time = await secondOf(step, progress);
          await s.atSecond(time);
          const verdict = reduceDeal(progress, eventOf(step, progress, time));
          const refusal = await refusalOf(send(step, progress.deal, time));
          expect(refusal, `${step.kind} of a deal in ${progress.state}`).to.equal(
            verdict.kind === "accept" ? undefined : verdict.code,
          );
          codes.set(refusal ?? step.kind, (codes.get(refusal ?? step.kind) ?? 0) + 1);
          if (verdict.kind === "accept") progresses[step.dealIndex] = verdict.value;
          await expectSameProgress(progresses[step.dealIndex] as DealProgress);
        }
        for (const progress of progresses) settle(progress);
        await expectSameMoney();
      }),
      RUNS.parameters,
    );
  });

  it("went through every event and met every error of a deal", () => {
    const events = [
      ...["open", "submit", "complete", "release", "refund", "cancel", "withdrawOffer"],
      ...["releasePart", "settle", "dispute", "rule", "resolve"],
    ];
    const errors = [
      ...["WRONG_STATE", "NOT_LIVE", "NOT_PARTY", "TOO_LATE", "TOO_EARLY", "BAD_RATING", "ZERO_DELIVERABLE"],
      ...["INVALID_SIGNER", "BAD_SIGNATURE", "BAD_SUBMIT_BY", "BAD_REVIEW_PERIOD", "ZERO_PRICE", "BAD_TOKEN"],
      ...["SHORTFALL", "SELF_DEAL", "AGENT_ID_TOO_LARGE", "AMOUNT_TOO_LARGE", "WRONG_VALUE"],
      ...["BAD_ARBITER_DEADLINE", "BAD_PART", "BAD_SPLIT", "NO_ARBITER"],
      ...["DISPUTES_NOT_PARTY", "DISPUTES_NOT_ARBITER", "DISPUTES_TOO_LATE", "DISPUTES_TOO_EARLY"],
      ...["DISPUTES_WRONG_STAGE", "DISPUTES_BAD_RULING"],
    ].map((code) => `DEAL_${code}`);
    expect([...events, ...errors].filter((code) => !codes.has(code))).to.deep.equal([]);
  });

  /** Adds what a deal of the sound token still holds, has paid, and has told the ledger. */
  function settle(progress: DealProgress): void {
    const { deal, state, released, pot, payout, trust } = progress;
    if (isHeld(state)) liabilities.token += heldOf(progress) + deal.clientBond + deal.providerBond;
    liabilities.token += pot;
    if (progress.payer !== zeroAddress) liabilities.provider -= deal.providerBond;
    liabilities.provider += released + (payout?.toProvider ?? 0n) - pot;
    liabilities.satisfied += trust?.satisfied ?? 0;
    liabilities.unsatisfied += trust?.unsatisfied ?? 0;
  }

  async function expectSameMoney(): Promise<void> {
    expect(await token.read.balanceOf([escrow.address])).to.equal(liabilities.token);
    expect(await token.read.balanceOf([provider.account])).to.equal(PROVIDER_ENDOWMENT + liabilities.provider);
    expect(await s.ledger.read.pairOf([TOPIC, Number(client.agentId), Number(provider.agentId)])).to.deep.equal([
      liabilities.satisfied,
      liabilities.unsatisfied,
    ]);
  }
});
