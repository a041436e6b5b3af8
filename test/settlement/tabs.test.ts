// Tabs: the examples, and the contract beside its mirror on random sequences of events.
import { expect } from "chai";
import fc from "fast-check";
import {
  ContractFunctionRevertedError,
  getAddress,
  keccak256,
  toHex,
  zeroAddress,
  type Address,
  type BaseError,
  type Hex,
} from "viem";
import {
  createTabProgress,
  isTabLive,
  reduceTab,
  structHash,
  tabErrorCodeOf,
  tabPaymentDigestOf,
  tabStates,
  topicIdOf,
  typedDataDigest,
  type Signer,
  type Tab,
  type TabEvent,
  type TabProgress,
  type Voucher,
} from "#protocol";
import { createSettlement, EPOCH_LENGTH, TOPIC } from "./fixture.ts";
import { randomRuns } from "./runs.ts";

/** About 30 steps a run: some 1,800 in the ordinary profile, 45,000 in the nightly one. */
const RUNS = randomRuns(60, 1_500);
const GAS = 900_000n;
const DEPOSIT = 1_000_000n;

const s = await createSettlement();
const { tabs, token, ledger, client, provider, stranger, networkHelpers } = s;
const byClient = { account: client.account };
const byProvider = { account: provider.account };
const byStranger = { account: stranger.address };
const genesis = Number(await ledger.read.genesis());
const ids = [Number(client.agentId), Number(provider.agentId)] as const;

let salt = 0n;
async function draftTab(terms: Partial<Tab> = {}): Promise<Tab> {
  return {
    clientAgentId: client.agentId,
    providerAgentId: provider.agentId,
    topic: TOPIC,
    token: getAddress(token.address),
    mechanismHash: keccak256(toHex("prices")),
    signerHash: client.signer.signerHash,
    expiry: (await networkHelpers.time.latest()) + 86_400,
    challengePeriod: 600,
    salt: ++salt,
    ...terms,
  };
}

const tabIdOf = (tab: Tab) => structHash("Tab", tab);

async function openTab(terms: Partial<Tab> = {}): Promise<Tab> {
  const tab = await draftTab(terms);
  await tabs.write.open([tab, DEPOSIT], byClient);
  return tab;
}

function voucherOf(tab: Tab, paid: bigint, satisfied = 0, unsatisfied = 0, signer: Signer = client.signer) {
  const voucher: Voucher = { tabId: tabIdOf(tab), seq: 1n, paid, satisfied, unsatisfied };
  return [voucher, signer.address, signer.sign(typedDataDigest("Voucher", voucher, s.contracts))] as const;
}

const consentTo = (signer: Signer, digest: Hex) => s.consent(signer, digest);
const balanceOf = (account: Address) => token.read.balanceOf([account]);
const refuses = (call: Promise<unknown>, name: string) =>
  s.viem.assertions.revertWithCustomError(call as Promise<Hex>, tabs, name as never);

describe("TabEscrow", () => {
  it("pays the newest voucher of any number of tasks, and the rest goes back", async () => {
    const tab = await openTab({ topic: topicIdOf("tasks") });
    const before = [await balanceOf(client.account), await balanceOf(provider.account)] as const;
    await tabs.write.claim([tab, ...voucherOf(tab, 300_000n, 700, 100), false], byProvider);
    await tabs.write.claim([tab, ...voucherOf(tab, 450_000n, 800, 100), true], byProvider);
    expect((await balanceOf(provider.account)) - before[1]).to.equal(450_000n);
    expect((await balanceOf(client.account)) - before[0]).to.equal(DEPOSIT - 450_000n);
    expect((await tabs.read.tabOf([tabIdOf(tab)]))[0]).to.equal(3);
  });

  it("moves at most 100 points of local trust an epoch, in proportion, whatever the vouchers say", async () => {
    const topic = topicIdOf("points");
    const tab = await openTab({ topic });
    await tabs.write.claim([tab, ...voucherOf(tab, 1n, 60_000, 30_000), false], byProvider);
    expect(await ledger.read.pairOf([topic, ...ids])).to.deep.equal([66, 34]);
    await tabs.write.claim([tab, ...voucherOf(tab, 2n, 90_000, 30_000), false], byProvider);
    expect(await ledger.read.pairOf([topic, ...ids])).to.deep.equal([66, 34]);
    await networkHelpers.time.increase(Number(EPOCH_LENGTH));
    await tabs.write.claim([tab, ...voucherOf(tab, 3n, 90_010, 30_000), false], byProvider);
    expect(await ledger.read.pairOf([topic, ...ids])).to.deep.equal([76, 34]);
  });

  it("is closed by the client after the challenge period, to the second, and the provider claims until then", async () => {
    const tab = await openTab();
    await tabs.write.startClose([tab], byClient);
    const [, , closesAt] = await tabs.read.tabOf([tabIdOf(tab)]);
    await s.atSecond(closesAt - 1);
    await refuses(tabs.write.close([tab], byClient), "TabEscrowTooEarly");
    await refuses(tabs.write.startClose([tab], byClient), "TabEscrowWrongState");
    await tabs.write.claim([tab, ...voucherOf(tab, 5n), false], byProvider);
    await networkHelpers.time.increaseTo(closesAt);
    const before = await balanceOf(client.account);
    await tabs.write.close([tab], byStranger);
    expect((await balanceOf(client.account)) - before).to.equal(DEPOSIT - 5n);
    await refuses(tabs.write.claim([tab, ...voucherOf(tab, 6n), false], byProvider), "TabEscrowWrongState");
  });

  it("is locked for nobody: anyone closes after expiry, the provider at any time", async () => {
    const tab = await openTab();
    await s.atSecond(tab.expiry);
    await refuses(tabs.write.close([tab], byStranger), "TabEscrowTooEarly");
    await networkHelpers.mine();
    await s.atSecond(tab.expiry + 1);
    await tabs.write.close([tab], byStranger);
    const other = await openTab();
    await tabs.write.close([other], byProvider);
    expect((await tabs.read.tabOf([tabIdOf(other)]))[0]).to.equal(3);
  });

  it("keeps vouchers good after their key was revoked", async () => {
    const agent = await s.registerAgent(11);
    await s.endow(agent.account);
    const hot = await s.bindLogSigner(agent, 12);
    const tab = await draftTab({ clientAgentId: agent.agentId, signerHash: hot.signerHash });
    await tabs.write.open([tab, DEPOSIT], { account: agent.account });
    const voucher = voucherOf(tab, 9n, 0, 0, hot);
    await s.registry.write.revokeSigner([agent.agentId, hot.signerHash, 0], { account: agent.account });
    await tabs.write.claim([tab, ...voucher, false], byProvider);
    const late = await draftTab({ clientAgentId: agent.agentId, signerHash: hot.signerHash });
    await refuses(tabs.write.open([late, DEPOSIT], { account: agent.account }), "TabEscrowInvalidSigner");
  });

  it("gives nobody but the provider a voucher to claim: no client rates whom it has not paid", async () => {
    const tab = await openTab();
    const voucher = voucherOf(tab, 1n, 0, 100);
    for (const account of [client.account, stranger.address]) {
      await refuses(tabs.write.claim([tab, ...voucher, false], { account }), "TabEscrowNotParty");
    }
    await refuses(tabs.write.claim([tab, ...voucherOf(tab, 0n, 0, 100), false], byProvider), "TabEscrowStaleVoucher");
  });

  it("takes no voucher of another tab, key or sum, and no squatter's tab", async () => {
    const [tab, other] = [await openTab(), await openTab()];
    const claim = (...voucher: ReturnType<typeof voucherOf>) => tabs.write.claim([tab, ...voucher, false], byProvider);
    await refuses(claim(...voucherOf(other, 1n)), "TabEscrowForeignVoucher");
    await refuses(claim(...voucherOf(tab, 1n, 0, 0, stranger)), "TabEscrowBadVoucherSignature");
    const [voucher, signer, signature] = voucherOf(tab, 1n);
    await refuses(claim({ ...voucher, paid: 2n }, signer, signature), "TabEscrowBadVoucherSignature");
    await refuses(claim(...voucherOf(tab, DEPOSIT + 1n)), "TabEscrowExceedsDeposit");
    await refuses(tabs.write.open([await draftTab(), 1n], byStranger), "TabEscrowNotParty");
    await refuses(tabs.write.open([tab, 1n], byClient), "TabEscrowWrongState");
  });

  it("is opened, claimed and closed by signatures that anyone relays", async () => {
    const tab = await draftTab();
    const tabId = tabIdOf(tab);
    const window = { payer: client.account, validAfter: 0n, validBefore: 2n ** 48n };
    const payment = client.signer.sign(tabPaymentDigestOf(tab, DEPOSIT, tabs.address, window, s.tokenDomain));
    const opening = consentTo(client.signer, typedDataDigest("Tab", tab, s.contracts));
    await tabs.write.openWithAuthorization([tab, DEPOSIT, opening, { ...window, signature: payment }], byStranger);
    const claim = typedDataDigest("TabClaim", { tabId, paid: 4n, isLast: false }, s.contracts);
    const [voucher, signer, signature] = voucherOf(tab, 4n);
    const consent = consentTo(provider.signer, claim);
    await refuses(
      tabs.write.claimFor([tab, voucher, signer, signature, true, consent], byStranger),
      "TabEscrowBadSignature",
    );
    await tabs.write.claimFor([tab, voucher, signer, signature, false, consent], byStranger);
    const closing = typedDataDigest("TabClosing", { tabId }, s.contracts);
    await tabs.write.startCloseFor([tab, consentTo(client.signer, closing)], byStranger);
    await tabs.write.closeFor([tab, consentTo(provider.signer, closing)], byStranger);
    expect((await tabs.read.tabOf([tabId]))[4]).to.equal(4n);
  });

  it("holds native value as well, and takes additions from anyone", async () => {
    const tab = await draftTab({ token: zeroAddress });
    await refuses(tabs.write.open([tab, DEPOSIT], byClient), "TabEscrowWrongValue");
    await tabs.write.open([tab, DEPOSIT], { ...byClient, value: DEPOSIT });
    await tabs.write.topUp([tab, 5n], { ...byStranger, value: 5n });
    await tabs.write.claim([tab, ...voucherOf(tab, DEPOSIT + 5n), true], byProvider);
    expect(await s.publicClient.getBalance({ address: tabs.address })).to.equal(0n);
  });
});

const roles = { client: client.account, provider: provider.account, stranger: stranger.address } as const;
const stepArbitrary = fc.record({
  kind: fc.constantFrom("open", "open", "topUp", "claim", "claim", "claim", "startClose", "close"),
  tabIndex: fc.nat({ max: 2 }),
  role: fc.constantFrom<(keyof typeof roles)[]>("client", "provider", "stranger"),
  paid: fc.bigInt({ min: 0n, max: 1_300_000n }),
  satisfied: fc.nat({ max: 400 }),
  unsatisfied: fc.nat({ max: 200 }),
  growth: fc.boolean(),
  isSigned: fc.oneof({ weight: 8, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
  isOfThisTab: fc.oneof({ weight: 8, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
  isLast: fc.oneof({ weight: 1, arbitrary: fc.constant(true) }, { weight: 5, arbitrary: fc.constant(false) }),
  isSensible: fc.oneof({ weight: 2, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
  clock: fc.oneof(
    { weight: 3, arbitrary: fc.nat({ max: 300 }) },
    {
      weight: 1,
      arbitrary: fc.record({
        deadline: fc.constantFrom("closesAt" as const, "expiry" as const),
        offset: fc.constantFrom(-1, 0, 1),
      }),
    },
  ),
});
type Step = typeof stepArbitrary extends fc.Arbitrary<infer T> ? T : never;

const termsArbitrary = fc.record({
  topic: fc.constantFrom(0n, TOPIC),
  life: fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 1, max: 3_000 }) },
    { weight: 1, arbitrary: fc.constantFrom(0, 2 ** 30) },
  ),
  challengePeriod: fc.oneof(
    { weight: 8, arbitrary: fc.nat({ max: 500 }) },
    { weight: 1, arbitrary: fc.constant(2 ** 31) },
  ),
  odd: fc.oneof(
    { weight: 8, arbitrary: fc.constant({}) },
    {
      weight: 2,
      arbitrary: fc.constantFrom<Partial<Tab>>(
        { providerAgentId: client.agentId },
        { providerAgentId: 2n ** 40n, topic: TOPIC },
        { token: stranger.address },
        { token: zeroAddress },
        { signerHash: stranger.signerHash },
      ),
    },
  ),
});

describe("tab life cycle, contract against mirror", () => {
  const codes = new Set<string>();
  let [held, earned] = [0n, 0n];

  it("agrees in state, in money and in named error on every step", async function () {
    this.timeout(RUNS.timeoutMs);
    held = await balanceOf(tabs.address);
    earned = await balanceOf(provider.account);
    const before = await ledger.read.pairOf([TOPIC, ...ids]);
    const trust = { satisfied: before[0], unsatisfied: before[1] };
    await fc.assert(
      fc.asyncProperty(
        fc.array(termsArbitrary, { minLength: 3, maxLength: 3 }),
        fc.array(stepArbitrary, { minLength: 15, maxLength: 45 }),
        async (terms, steps) => {
          const progresses: TabProgress[] = [];
          for (const { life, odd, ...rest } of terms) {
            const expiry = (await networkHelpers.time.latest()) + life;
            progresses.push(createTabProgress(await draftTab({ ...rest, expiry, ...odd })));
          }
          for (const drawn of steps) {
            const progress = progresses[drawn.tabIndex] as TabProgress;
            progresses[drawn.tabIndex] = await runStep(drawn.isSensible ? sensible(drawn, progress) : drawn, progress);
          }
          for (const { state, deposit, paid, paidOut, trust: moved } of progresses) {
            if (isTabLive(state)) held += deposit - paid;
            earned += paidOut.toProvider;
            trust.satisfied += moved.satisfied;
            trust.unsatisfied += moved.unsatisfied;
          }
          expect(await balanceOf(tabs.address)).to.equal(held);
          expect(await balanceOf(provider.account)).to.equal(earned);
          expect(await ledger.read.pairOf([TOPIC, ...ids])).to.deep.equal([trust.satisfied, trust.unsatisfied]);
        },
      ),
      RUNS.parameters,
    );
  });

  it("went through every event and met every error of a tab", () => {
    const expected = [
      ...["open", "topUp", "claim", "startClose", "close"],
      ...["WRONG_STATE", "NOT_PARTY", "ZERO_DEPOSIT", "BAD_TOKEN", "BAD_EXPIRY", "BAD_CHALLENGE_PERIOD", "SELF_TAB"],
      ...["AGENT_ID_TOO_LARGE", "INVALID_SIGNER", "WRONG_VALUE", "FOREIGN_VOUCHER", "BAD_VOUCHER_SIGNATURE"],
      ...["STALE_VOUCHER", "EXCEEDS_DEPOSIT", "SHRUNK_RATINGS", "TOO_EARLY"],
    ].map((name) => (/^[A-Z]/.test(name) ? `TAB_${name}` : name));
    expect(expected.filter((code) => !codes.has(code))).to.deep.equal([]);
  });

  async function runStep(step: Step, progress: TabProgress): Promise<TabProgress> {
    const latest = await networkHelpers.time.latest();
    const wanted =
      typeof step.clock === "number"
        ? latest + step.clock
        : { closesAt: progress.closesAt, expiry: progress.tab.expiry }[step.clock.deadline] + step.clock.offset;
    const time = wanted > latest + 5_000 ? latest : Math.max(latest, wanted);
    await s.atSecond(time);
    const voucher = drawVoucher(step, progress);
    const verdict = reduceTab(progress, eventOf(step, progress, time, voucher));
    const refusal = await refusalOf(send(step, progress, voucher));
    expect(refusal, `${step.kind} of a tab in ${progress.state}`).to.equal(
      verdict.kind === "accept" ? undefined : verdict.code,
    );
    codes.add(refusal ?? step.kind);
    const next = verdict.kind === "accept" ? verdict.value : progress;
    const [state, payer, closesAt, deposit, paid, satisfied, unsatisfied] = await tabs.read.tabOf([tabIdOf(next.tab)]);
    expect([tabStates[state], payer.toLowerCase(), closesAt, deposit, paid, satisfied, unsatisfied]).to.deep.equal([
      ...[next.state, next.payer.toLowerCase(), next.closesAt, next.deposit, next.paid],
      ...[next.satisfiedSum, next.unsatisfiedSum],
    ]);
    return next;
  }
});

function sensible(step: Step, { state }: TabProgress): Step {
  const sound = { ...step, growth: true };
  if (state === "None") return { ...sound, kind: "open", role: "client" };
  if (step.kind === "startClose") return { ...sound, role: "client" };
  if (step.kind === "close" || step.kind === "topUp") return sound;
  return { ...sound, kind: "claim", role: "provider" };
}

function drawVoucher(step: Step, { tab, paid, satisfiedSum, unsatisfiedSum }: TabProgress): Voucher {
  return {
    tabId: step.isOfThisTab ? tabIdOf(tab) : keccak256(toHex("another")),
    seq: 1n,
    paid: step.growth ? paid + step.paid / 8n : step.paid,
    satisfied: step.growth ? satisfiedSum + step.satisfied : step.satisfied,
    unsatisfied: step.growth ? unsatisfiedSum + step.unsatisfied : step.unsatisfied,
  };
}

const signs = (step: Step) => (step.isSigned ? client.signer : stranger);
const amountOf = (step: Step) => (step.paid < 20_000n ? 0n : DEPOSIT);

function eventOf(step: Step, { tab }: TabProgress, time: number, voucher: Voucher): TabEvent {
  const isClient = step.role === "client";
  const isProvider = roles[step.role] === (tab.providerAgentId === client.agentId ? client.account : provider.account);
  const speaks = isProvider && tab.providerAgentId !== 2n ** 40n;
  const money = { received: amountOf(step), valueWei: 0n };
  switch (step.kind) {
    case "open":
      return {
        ...{ kind: "open", time, isClient, payer: roles[step.role], deposit: amountOf(step), ...money },
        isTokenContract: tab.token !== stranger.address,
        signer: tab.signerHash === client.signer.signerHash ? "valid" : "unknown-signer",
      };
    case "topUp":
      return { kind: "topUp", time, amount: amountOf(step), ...money };
    case "claim":
      return {
        ...{ kind: "claim", time, voucher, isOfThisTab: step.isOfThisTab, isSigned: step.isSigned },
        ...{ isProvider: speaks, isLast: step.isLast, epoch: Math.floor((time - genesis) / Number(EPOCH_LENGTH)) + 1 },
      };
    case "startClose":
      return { kind: "startClose", time, isClient };
    default:
      return { kind: "close", time, isProvider: speaks };
  }
}

function send(step: Step, { tab }: TabProgress, voucher: Voucher): Promise<Hex> {
  const options = { account: roles[step.role], gas: GAS } as const;
  const signer = signs(step);
  const signature = signer.sign(typedDataDigest("Voucher", voucher, s.contracts));
  const signerBytes = client.signer.address;
  switch (step.kind) {
    case "open":
      return tabs.write.open([tab, amountOf(step)], options);
    case "topUp":
      return tabs.write.topUp([tab, amountOf(step)], { ...options, account: client.account });
    case "claim":
      return tabs.write.claim([tab, voucher, signerBytes, signature, step.isLast], options);
    case "startClose":
      return tabs.write.startClose([tab], options);
    default:
      return tabs.write.close([tab], options);
  }
}

async function refusalOf(call: Promise<Hex>): Promise<string | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    const revert = (error as BaseError).walk((cause) => cause instanceof ContractFunctionRevertedError);
    const name = (revert as ContractFunctionRevertedError | null)?.data?.errorName;
    if (name === undefined) throw error;
    return tabErrorCodeOf(name);
  }
}

describe("TabEscrow, where others fail", () => {
  it("pays though the ledger refuses the record, and says so", async () => {
    const unknown = await s.viem.deployContract("TabEscrow", [s.registry.address, ledger.address]);
    await token.write.approve([unknown.address, DEPOSIT], byClient);
    const tab = await draftTab();
    await unknown.write.open([tab, DEPOSIT], byClient);
    const voucher: Voucher = { tabId: tabIdOf(tab), seq: 1n, paid: 9n, satisfied: 50, unsatisfied: 0 };
    const digest = typedDataDigest("Voucher", voucher, { ...s.contracts, tabEscrow: unknown.address });
    const before = await balanceOf(provider.account);
    await unknown.write.claim([tab, voucher, client.account, client.signer.sign(digest), false], byProvider);
    expect(await unknown.getEvents.LocalTrustSkipped()).to.have.length(1);
    expect((await balanceOf(provider.account)) - before).to.equal(9n);
  });

  it("names a signer that does not speak for the side whose word it gives", async () => {
    const tab = await openTab();
    const closing = typedDataDigest("TabClosing", { tabId: tabIdOf(tab) }, s.contracts);
    await refuses(tabs.write.closeFor([tab, consentTo(stranger, closing)], byStranger), "TabEscrowInvalidSigner");
    await refuses(tabs.write.startCloseFor([tab, consentTo(stranger, closing)], byStranger), "TabEscrowInvalidSigner");
  });
});
