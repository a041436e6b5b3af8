// DealDisputes and its TypeScript mirror, side by side on random sequences: the same state, the same fees, the same error.
import { expect } from "chai";
import fc from "fast-check";
import { getAddress, parseEther, zeroAddress, zeroHash, type Address, type BaseError, type Hex } from "viem";
import { ContractFunctionRevertedError, decodeErrorResult } from "viem";
import {
  createDisputeProgress,
  dealDisputesAbi,
  dealErrorCodeOf,
  dealEscrowAbi,
  dealIdOf,
  dealStates,
  feeStages,
  heldFeesOf,
  reduceDispute,
  type Consent,
  type Creation,
  type DisputeEvent,
  type DisputeProgress,
} from "#protocol";
import { createSettlement, DELIVERABLE, PRICE, TOPIC } from "./fixture.ts";
import { randomRuns } from "./runs.ts";

/** Some 20 steps a run: about 250 in the ordinary profile. */
const RUNS = randomRuns(12, 2_000);
/** Above the dearest call with a record and a creation, so that no call needs an estimate. */
const GAS = 1_500_000n;
const UNIT = parseEther("0.001");
const UNKNOWN_DISPUTE = 1_000_000n;
const vices = { takes: 0, refuses: 1, repeats: 3, silent: 4 } as const;
type Vice = keyof typeof vices;

const s = await createSettlement();
const { escrow, disputes, client, provider, stranger, networkHelpers, publicClient } = s;
await s.endow(provider.account);
const arbitrator = await s.viem.deployContract("TestArbitrator");
// The arbitrator's dispute 0 would be nobody's, and so could be given to anybody.
await arbitrator.write.createDispute([2n, "0x"], { value: 0n });
const errorAbi = [...dealEscrowAbi, ...dealDisputesAbi, ...arbitrator.abi] as const;
const roles = { client: client.account, provider: provider.account, stranger: stranger.address } as const;
const accounts = Object.values(roles);

const kinds = [
  ...["disputeWithFee", "disputeWithFee", "depositFee", "depositFee", "createDispute", "giveRuling", "appeal"],
  ...["rule", "resolve", "resolve", "settle", "cancel", "release", "complete"],
] as const;

const termsArbitrary = fc.record({
  arbiter: fc.constantFrom<Address[]>(
    ...([arbitrator.address, arbitrator.address, arbitrator.address] as const),
    ...([stranger.address, zeroAddress] as const),
  ),
  reviewPeriod: fc.integer({ min: 100, max: 500 }),
  arbitration: fc.integer({ min: 1, max: 800 }),
  providerBond: fc.constantFrom(0n, 300_001n),
  clientBond: fc.constantFrom(0n, 70_001n),
});

const stepArbitrary = fc.record({
  kind: fc.constantFrom(...kinds),
  dealIndex: fc.nat({ max: 1 }),
  role: fc.constantFrom<(keyof typeof roles)[]>("client", "client", "provider", "stranger"),
  /** What the arbitrator asks from now on; odd, so that halves have an odd wei. */
  costUnits: fc.constantFrom(0, 0, 1, 2, 3),
  vice: fc.oneof(
    { weight: 6, arbitrary: fc.constant<Vice>("takes") },
    { weight: 1, arbitrary: fc.constantFrom<Vice[]>("refuses", "repeats", "silent") },
  ),
  /** What is sent, beyond the arbitrator's price. */
  tipWei: fc.constantFrom<bigint[]>(0n, 0n, 0n, 5n, -1n),
  isCreating: fc.boolean(),
  isKnown: fc.constantFrom(true, true, true, false),
  ruling: fc.integer({ min: 0, max: 3 }),
  consent: fc.constantFrom<Consent[]>("valid", "valid", "valid", "unknown-signer", "bad-signature"),
  clock: fc.oneof(
    { weight: 3, arbitrary: fc.nat({ max: 40 }) },
    {
      weight: 2,
      arbitrary: fc.record({
        deadline: fc.constantFrom("feeBy" as const, "reviewUntil" as const, "arbiterDeadline" as const),
        offset: fc.constantFrom(-1, 0, 1),
      }),
    },
  ),
  isSensible: fc.constantFrom(true, true, false),
});
type Step = typeof stepArbitrary extends fc.Arbitrary<infer T> ? T : never;
type Terms = typeof termsArbitrary extends fc.Arbitrary<infer T> ? T : never;

/** What the sides would do next. */
function sensible(step: Step, { life, stage }: DisputeProgress): Step {
  if (life.state === "Submitted") return { ...step, kind: "disputeWithFee", role: "client", clock: 1 };
  if (stage === "ProviderOwes" || stage === "ClientOwes") {
    return { ...step, kind: step.ruling === 0 ? "resolve" : "depositFee" };
  }
  if (stage === "Paid") return { ...step, kind: "createDispute" };
  if (stage === "Created") return { ...step, kind: "giveRuling" };
  if (stage === "None" && life.state === "Disputed") return { ...step, kind: "rule", role: "stranger" };
  return { ...step, kind: "resolve" };
}

const twoDeals = fc.array(termsArbitrary, { minLength: 2, maxLength: 2 });
const manySteps = fc.array(stepArbitrary, { minLength: 10, maxLength: 30 });

/** Kept, so that every step and every error is met for certain. */
const base: Step = {
  ...{ kind: "resolve", dealIndex: 0, role: "client", costUnits: 3, vice: "takes", tipWei: 0n, isCreating: false },
  ...{ isKnown: true, ruling: 1, consent: "valid", clock: 1, isSensible: false },
};
const terms: Terms = {
  ...{ arbiter: arbitrator.address, reviewPeriod: 400, arbitration: 600, providerBond: 300_001n, clientBond: 70_001n },
};
const on = (kind: Step["kind"], change: Partial<Step> = {}): Step => ({ ...base, kind, ...change });
const at = (deadline: "feeBy" | "reviewUntil" | "arbiterDeadline", offset: -1 | 0 | 1) => ({
  clock: { deadline, offset },
});
const opened = on("disputeWithFee");
const paid = [opened, on("depositFee", { role: "provider" })];
const created = [opened, on("depositFee", { role: "provider", isCreating: true })];
const kept: Step[][] = [
  // The whole way, with an appeal, each ruling.
  ...[0, 1, 2, 3].map((ruling) => [
    ...created,
    on("appeal", { tipWei: 5n }),
    on("giveRuling", { ruling }),
    on("resolve"),
  ]),
  // Either side is silent about its fee, to the second.
  [opened, on("resolve", at("feeBy", 0)), on("resolve", at("feeBy", 1))],
  [
    on("disputeWithFee", { costUnits: 1 }),
    on("depositFee", { role: "provider", costUnits: 3 }),
    ...[on("resolve", at("feeBy", 0)), on("resolve", at("feeBy", 1))],
  ],
  [on("disputeWithFee", { costUnits: 1 }), on("depositFee", { costUnits: 3 }), on("depositFee", { role: "client" })],
  // The price falls, is unknown, or nothing; too little is sent.
  [...paid, on("createDispute", { costUnits: 1 }), on("resolve", at("arbiterDeadline", 1))],
  [...paid, on("createDispute", { costUnits: 3, vice: "silent" }), on("createDispute", { vice: "refuses" })],
  [
    opened,
    on("depositFee", { vice: "silent", role: "provider", tipWei: 3n * UNIT }),
    on("createDispute", at("arbiterDeadline", 1)),
  ],
  [
    on("disputeWithFee", { costUnits: 0 }),
    on("createDispute", { vice: "repeats", costUnits: 0 }),
    on("createDispute", { costUnits: 1 }),
  ],
  [on("disputeWithFee", { tipWei: -1n }), opened, on("depositFee", { tipWei: -1n }), on("depositFee", at("feeBy", 1))],
  // Both sides end it, or a ruling comes too late.
  [...created, on("settle"), on("resolve"), on("giveRuling")],
  [...created, on("cancel"), on("resolve", at("arbiterDeadline", 1)), on("createDispute"), on("depositFee")],
  [...created, on("giveRuling", at("arbiterDeadline", 1)), on("appeal", { isKnown: false }), on("rule"), on("resolve")],
  [on("disputeWithFee", { role: "stranger" }), on("disputeWithFee", at("reviewUntil", 0)), on("release"), on("appeal")],
];

async function draft({ arbitration, arbiter, ...rest }: Terms): Promise<DisputeProgress> {
  const submitBy = (await networkHelpers.time.latest()) + 1_000;
  const arbiterDeadline = arbiter === zeroAddress ? 0 : submitBy + rest.reviewPeriod + arbitration;
  const deal = await s.draftDeal(client, provider, {
    ...{ ...rest, submitBy, arbiterDeadline, arbiter: arbiter === zeroAddress ? arbiter : getAddress(arbiter) },
  });
  await escrow.write.open([deal, ...s.sign(deal, client, provider)], { account: client.account });
  const time = await networkHelpers.time.latest();
  const received = deal.price + deal.clientBond + deal.providerBond;
  const consents = { client: "valid", provider: "valid" } as const;
  let progress = createDisputeProgress(deal);
  progress = accepted(progress, {
    ...{ kind: "open", time, ...consents, payer: client.account, isTokenContract: true, received },
  });
  await escrow.write.submit([deal, DELIVERABLE], { account: provider.account });
  const caller = { isClient: false, isProvider: true };
  const later = await networkHelpers.time.latest();
  return accepted(progress, { kind: "submit", time: later, caller, deliverableHash: DELIVERABLE });
}

function accepted(progress: DisputeProgress, event: DisputeEvent): DisputeProgress {
  const verdict = reduceDispute(progress, event);
  if (verdict.kind !== "accept") throw new Error(`${event.kind} was refused`);
  return verdict.value;
}

async function secondOf({ clock }: Step, { life, feeBy }: DisputeProgress): Promise<number> {
  const latest = await networkHelpers.time.latest();
  if (typeof clock === "number") return latest + clock;
  const deadlines = { feeBy, reviewUntil: life.reviewUntil, arbiterDeadline: life.deal.arbiterDeadline };
  return Math.max(latest, deadlines[clock.deadline] + clock.offset);
}

/** What a run of the machine is about besides its deals: the arbitrator's disputes, and whom it owes what. */
interface Rig {
  readonly disputeIds: Map<Hex, bigint>;
}

const valueOf = (step: Step, base_: bigint): bigint => (base_ + step.tipWei < 0n ? 0n : base_ + step.tipWei);

/** What the side that owes lacks of the present price. */
function owedOf({ stage, clientFee, providerFee }: DisputeProgress, cost: bigint | null): bigint {
  const [own, other] = stage === "ClientOwes" ? [clientFee, providerFee] : [providerFee, clientFee];
  const price = cost ?? other;
  return price > own ? price - own : 0n;
}

/** A step as the mirror sees it. */
function eventOf(step: Step, progress: DisputeProgress, time: number, { disputeIds }: Rig): DisputeEvent {
  const { deal } = progress.life;
  const isArbitrator = deal.arbiter.toLowerCase() === arbitrator.address.toLowerCase();
  const cost = !isArbitrator || step.vice === "silent" ? null : BigInt(step.costUnits) * UNIT;
  const creation: Creation = step.vice === "silent" ? "takes" : step.vice;
  const caller = { isClient: step.role === "client", isProvider: step.role === "provider" };
  const consents = { client: step.consent, provider: "valid" } as const;
  switch (step.kind) {
    case "disputeWithFee":
      return { kind: step.kind, time, caller, cost, valueWei: valueOf(step, cost ?? 0n) };
    case "depositFee":
      return {
        ...{ kind: step.kind, time, cost, creation, isCreating: step.isCreating },
        valueWei: valueOf(step, owedOf(progress, cost)),
      };
    case "createDispute":
      return { kind: step.kind, time, cost, creation };
    case "giveRuling":
      return { kind: step.kind, time, isKnown: disputeIds.has(dealIdOf(deal)), ruling: step.ruling };
    case "appeal":
      return {
        ...{ kind: step.kind, time, valueWei: valueOf(step, 0n) },
        isKnown: step.isKnown && disputeIds.has(dealIdOf(deal)),
      };
    case "rule": {
      const isArbiter = roles[step.role].toLowerCase() === deal.arbiter.toLowerCase();
      return { kind: "rule", time, isArbiter, ruling: step.ruling };
    }
    case "settle":
      return { kind: "settle", time, ...consents, toProvider: PRICE / 4n, rating: 7, validUntil: time };
    case "cancel":
      return { kind: "cancel", time, ...consents };
    case "complete":
      return { kind: "complete", time, caller, rating: 9 };
    default:
      return { kind: step.kind, time };
  }
}

/** The same step as the chain sees it. */
async function send(step: Step, event: DisputeEvent, { life: { deal } }: DisputeProgress, rig: Rig): Promise<Hex> {
  const value = "valueWei" in event ? (event.valueWei ?? 0n) : 0n;
  const options = { account: roles[step.role], gas: GAS } as const;
  const disputeId = (step.isKnown ? rig.disputeIds.get(dealIdOf(deal)) : undefined) ?? UNKNOWN_DISPUTE;
  switch (event.kind) {
    case "disputeWithFee":
      return disputes.write.dispute([deal, DELIVERABLE], { ...options, value });
    case "depositFee":
      return disputes.write.depositFee([deal, event.isCreating], { ...options, value });
    case "createDispute":
      return disputes.write.createDispute([deal], options);
    case "giveRuling": {
      const id = rig.disputeIds.get(dealIdOf(deal));
      // An arbitrator that rules on a dispute which nobody gave it.
      if (id === undefined) return disputes.write.rule([UNKNOWN_DISPUTE, BigInt(step.ruling)], options);
      return arbitrator.write.giveRuling([id, BigInt(step.ruling)], options);
    }
    case "appeal":
      return disputes.write.appeal([deal, disputeId], { ...options, value });
    case "rule":
      return disputes.write.ruleAsArbiter([deal, BigInt(step.ruling)], options);
    case "resolve":
      return disputes.write.resolve([deal], options);
    case "settle": {
      const { toProvider, rating, validUntil } = event;
      const [ofClient, ofProvider] = s.signSplit(deal, { toProvider, rating, validUntil }, client, provider);
      const proposal = { dealId: dealIdOf(deal), toProvider, rating, validUntil };
      return disputes.write.settle([deal, proposal, spoil(ofClient, step.consent), ofProvider], options);
    }
    case "cancel": {
      const [ofClient, ofProvider] = s.signCancel(deal, client, provider);
      return escrow.write.cancel([deal, spoil(ofClient, step.consent), ofProvider], options);
    }
    case "release":
      return escrow.write.release([deal], options);
    case "complete":
      return escrow.write.complete([deal, 9], options);
    default:
      throw new Error(`no such step: ${event.kind}`);
  }
}

function spoil(party: { signer: Hex; signature: Hex }, consent: Consent): { signer: Hex; signature: Hex } {
  if (consent === "unknown-signer") return { ...party, signer: stranger.address };
  return consent === "bad-signature" ? { ...party, signature: stranger.sign(zeroHash) } : party;
}

/** The code of the chain's refusal; undefined if the call went through. */
async function refusalOf(call: Promise<Hex>): Promise<string | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    const revert = (error as BaseError).walk((cause) => cause instanceof ContractFunctionRevertedError);
    const { data, raw } = (revert as ContractFunctionRevertedError | null) ?? {};
    const name =
      data?.errorName ?? (raw === undefined ? undefined : decodeErrorResult({ abi: errorAbi, data: raw }).errorName);
    if (name === undefined) throw error;
    return name === "TestArbitratorRefused" ? "DEAL_ARBITRATOR_REFUSED" : dealErrorCodeOf(name);
  }
}

async function expectSame({ life, stage, clientFee, providerFee, feeBy, ruling }: DisputeProgress): Promise<void> {
  const dealId = dealIdOf(life.deal);
  const onChain = await disputes.read.disputeOf([dealId]);
  expect([onChain[0], onChain[1], onChain[2], feeStages[onChain[3]], onChain[4]]).to.deep.equal([
    ...[clientFee, providerFee, feeBy, stage, ruling],
  ]);
  expect(dealStates[(await escrow.read.dealOf([dealId]))[0]]).to.equal(life.state);
}

describe("disputes, contract against mirror", () => {
  const codes = new Map<string, number>();
  /** Over all runs, for the chain remembers. */
  const books = { held: 0n, credited: 0n, toArbitrator: 0n };
  let [price, vice]: [number, Vice] = [0, "takes"];

  /** The arbitrator as the step wants it. */
  async function setArbitrator(step: Step): Promise<void> {
    if (price !== step.costUnits) await arbitrator.write.setCost([BigInt(step.costUnits) * UNIT]);
    if (vice !== step.vice) await arbitrator.write.setVice([vices[step.vice], zeroAddress, "0x"]);
    [price, vice] = [step.costUnits, step.vice];
  }

  async function runOne(drawn: Step, before: DisputeProgress, rig: Rig): Promise<DisputeProgress> {
    const step = drawn.isSensible ? sensible(drawn, before) : drawn;
    await setArbitrator(step);
    const time = await secondOf(step, before);
    await s.atSecond(time);
    const event = eventOf(step, before, time, rig);
    const verdict = reduceDispute(before, event);
    const refusal = await refusalOf(send(step, event, before, rig));
    expect(refusal, `${event.kind} at ${before.stage} of a deal in ${before.life.state}`).to.equal(
      verdict.kind === "accept" ? undefined : verdict.code,
    );
    codes.set(refusal ?? event.kind, (codes.get(refusal ?? event.kind) ?? 0) + 1);
    const after = verdict.kind === "accept" ? verdict.value : before;
    await expectSame(after);
    if (verdict.kind !== "accept") return after;
    if (after.stage === "Created" && before.stage !== "Created") {
      rig.disputeIds.set(dealIdOf(after.life.deal), await arbitrator.read.disputeCount());
    }
    books.held += heldFeesOf(after) - heldFeesOf(before);
    books.credited += after.moved.credited;
    books.toArbitrator += after.moved.toArbitrator;
    if (after.stage === "Closed" && before.stage !== "Closed") await expectReturned(after);
    return after;
  }

  async function expectReturned({ moved }: DisputeProgress): Promise<void> {
    const [returned] = await disputes.getEvents.FeesReturned();
    expect(returned?.args).to.deep.include({ toClient: moved.toClient, toProvider: moved.toProvider });
  }

  async function expectSameMoney(): Promise<void> {
    expect(await publicClient.getBalance({ address: arbitrator.address })).to.equal(books.toArbitrator);
    expect(await publicClient.getBalance({ address: disputes.address })).to.equal(books.held + books.credited);
    const credits = await Promise.all(accounts.map((account) => disputes.read.creditOf([zeroAddress, account])));
    expect(credits.reduce((sum, credit) => sum + credit, 0n)).to.equal(books.credited);
  }

  it("agree in state, in fees and in named error on every step", async function () {
    this.timeout(RUNS.timeoutMs);
    await fc.assert(
      fc.asyncProperty(twoDeals, manySteps, async (drafts, steps) => {
        const rig: Rig = { disputeIds: new Map() };
        const progresses: DisputeProgress[] = [];
        for (const of of drafts) progresses.push(await draft(of));
        for (const step of steps) {
          progresses[step.dealIndex] = await runOne(step, progresses[step.dealIndex] as DisputeProgress, rig);
        }
        await expectSameMoney();
      }),
      {
        ...RUNS.parameters,
        numRuns: kept.length + RUNS.parameters.numRuns,
        examples: kept.map((steps) => [[terms, { ...terms, arbiter: stranger.address }], steps]),
      },
    );
  });

  it("went through every step and met every error of a dispute", () => {
    const events = [
      ...["disputeWithFee", "depositFee", "createDispute", "giveRuling", "appeal", "resolve", "settle", "cancel"],
    ];
    const errors = [
      ...["WRONG_STATE", "TOO_LATE", "ARBITRATOR_REFUSED", "DISPUTES_NOT_PARTY", "DISPUTES_NOT_ARBITER"],
      ...["DISPUTES_WRONG_STAGE", "DISPUTES_FEE_TOO_LOW", "DISPUTES_UNKNOWN_DISPUTE"],
      ...["DISPUTES_TOO_EARLY", "DISPUTES_TOO_LATE"],
    ].map((code) => `DEAL_${code}`);
    expect([...events, ...errors].filter((code) => !codes.has(code))).to.deep.equal([]);
    expect(TOPIC).to.not.equal(0n);
  });
});
