import { expect } from "chai";
import { decodeFunctionData, isAddressEqual, parseEventLogs, zeroAddress, type Address, type Hex } from "viem";
import {
  contentHashOf,
  dealDisputesAbi,
  dealEscrowAbi,
  rootOfShares,
  testTokenAbi,
  topicIdOf,
  type Deal,
  type SuretyError,
} from "#protocol";
import { fetchEvidence } from "../../../node/settlement/deliverables.ts";
import { decodeEvidence, encodeEvidence, readEvidenceNotice } from "../../../node/settlement/evidence.ts";
import type { Agreement } from "../../../node/negotiation/port.ts";
import type { Judgement } from "../../../node/settlement/port.ts";
import { testSigner } from "../chain/test-chain.ts";
import { createDealWorld, never, PRICE, REVIEW_SECONDS, type DealWorld, type TestAgent } from "./deal-world.ts";
import {
  deliverable,
  introduce,
  patience,
  startParty,
  stateOf,
  until,
  type Party,
  type PartyOptions,
} from "./party.ts";

const BOND = 300n;
const FEE = 10n ** 15n;
const DELIVER_SECONDS = 600;
const APPEAL_SECONDS = 100;
const bad: Judgement = { kind: "dispute", reason: "It is in English." };

describe("settlement in dispute", function () {
  this.timeout(90_000);
  let world: DealWorld;
  let parties: Party[] = [];
  let salt = 1n;
  let snapshot: Awaited<ReturnType<DealWorld["networkHelpers"]["takeSnapshot"]>>;

  before(async () => {
    world = await createDealWorld(3);
  });
  beforeEach(async () => {
    snapshot = await world.networkHelpers.takeSnapshot();
    parties = [];
  });
  afterEach(async () => {
    for (const party of parties) {
      await party.stop();
      party.store.close();
    }
    world.stopSenders();
    await snapshot.restore();
    await world.heads.refresh(never);
  });
  after(() => {
    world.stop();
  });

  const join = async (index: number, options: PartyOptions = {}) => {
    const party = await startParty(world, index, options);
    parties.push(party);
    return party;
  };
  const joinBoth = async (client: PartyOptions = {}, provider: PartyOptions = {}) => {
    const both = { client: await join(0, client), provider: await join(1, provider) };
    await introduce(both.client, both.provider);
    return both;
  };
  /** The same agent again, on its store alone. */
  const restart = async (party: Party, options: PartyOptions = {}) => {
    await party.stop();
    parties = parties.filter((each) => each !== party);
    return await join(world.agents.indexOf(party.agent), { ...options, store: party.store });
  };

  async function agree(terms: Partial<Deal> = {}, shares?: Agreement["shares"]) {
    const now = await world.networkHelpers.time.latest();
    const arbiterDeadline = terms.arbiter === undefined ? 0 : now + DELIVER_SECONDS + REVIEW_SECONDS + 2_000;
    const [client, provider] = world.agents as [TestAgent, TestAgent];
    return await world.agree(client, provider, {
      ...{ deliverWithin: DELIVER_SECONDS, salt: salt++ },
      terms: { arbiterDeadline, ...terms },
      ...(shares === undefined ? {} : { shares }),
    });
  }
  type Agreed = Awaited<ReturnType<typeof agree>>;
  const adopt = (agreed: Agreed, { client, provider }: { client: Party; provider: Party }) => {
    provider.settlement.adopt(agreed.provider);
    client.settlement.adopt(agreed.client);
  };
  const deployCourt = async () => await world.chain.viem.deployContract("CourtArbitrator", [FEE, APPEAL_SECONDS]);
  const balanceOf = (address: Address) => world.token.read.balanceOf([address]);
  const balances = async () => {
    const [client, provider] = world.agents as [TestAgent, TestAgent];
    return [await balanceOf(client.signer.address), await balanceOf(provider.signer.address)] as const;
  };
  const reach = (dealId: Hex, state: string) => until(async () => (await stateOf(world, dealId)) === state);
  const disputes = async () => await world.chain.viem.getContractAt("DealDisputes", await world.escrow.read.disputes());
  const stageOf = async (dealId: Hex) => (await (await disputes()).read.disputeOf([dealId]))[3];
  const ended = async (both: { client: Party; provider: Party }, dealId: Hex) =>
    await Promise.all([
      both.client.settlement.whenEnded(dealId, patience()),
      both.provider.settlement.whenEnded(dealId, patience()),
    ]);
  const passTo = async (second: number) => {
    await world.networkHelpers.time.increaseTo(second);
    await world.heads.refresh(never);
  };
  const logsOf = async () =>
    await world.client.getLogs({ fromBlock: 0n, address: [world.escrow.address, (await disputes()).address] });

  it("pays a missed delivery out of the provider's bond, without a person", async () => {
    const broken = { perform: () => Promise.reject(new Error("no idea")) };
    const both = await joinBoth({}, { worker: broken });
    const [client, provider] = await balances();
    const agreed = await agree({ providerBond: BOND });
    adopt(agreed, both);
    await until(() => both.provider.faults.length > 0);
    await passTo(agreed.deal.submitBy + 1);
    for (const outcome of await ended(both, agreed.dealId)) expect(outcome).to.include({ state: "Refunded" });
    expect(await balances()).to.deep.equal([client + BOND, provider - BOND]);
    expect(await world.ledger.read.pairOf([topicIdOf("translation"), 1, 2])).to.deep.equal([0, 100]);
  });

  it("returns both bonds when the client is content", async () => {
    const both = await joinBoth();
    const [client, provider] = await balances();
    const agreed = await agree({ providerBond: BOND, clientBond: 2n * BOND });
    adopt(agreed, both);
    await ended(both, agreed.dealId);
    expect(await balances()).to.deep.equal([client - PRICE, provider + PRICE]);
  });

  it("pays in native value, with a bond out of the provider's credit", async () => {
    const both = await joinBoth();
    const agreed = await agree({ token: zeroAddress, providerBond: BOND });
    adopt(agreed, both);
    for (const outcome of await ended(both, agreed.dealId)) expect(outcome).to.include({ state: "Completed" });
    expect(await world.client.getBalance({ address: world.escrow.address })).to.equal(0n);
  });

  it("releases a part of a metered price when the client says so, and the rest in the end", async () => {
    const both = await joinBoth({ judgement: { kind: "complete", rating: 50 } }, { worker: waiting() });
    const [, provider] = await balances();
    const agreed = await agree();
    adopt(agreed, both);
    await reach(agreed.dealId, "Funded");
    both.client.settlement.releasePart(agreed.dealId, 400n);
    await until(async () => (await world.escrow.read.releasedOf([agreed.dealId])) === 400n);
    expect((await balances())[1]).to.equal(provider + 400n);
    release();
    await ended(both, agreed.dealId);
    expect((await balances())[1]).to.equal(provider + PRICE);
  });

  it("pays the shares behind a deal's root, dust to the provider", async () => {
    const accounts = [world.agents[2]?.signer.address, "0x00000000000000000000000000000000000000bb"] as const;
    const shares = [
      { account: accounts[0] as Address, millionths: 333_333 },
      { account: accounts[1] as Address, millionths: 500_000 },
    ];
    const both = await joinBoth();
    const before = await balanceOf(accounts[0] as Address);
    const agreed = await agree({ splitsRoot: rootOfShares(shares) }, shares);
    adopt(agreed, both);
    await ended(both, agreed.dealId);
    await until(async () => (await world.escrow.read.potOf([agreed.dealId])) === 0n);
    expect((await balanceOf(accounts[0] as Address)) - before).to.equal(333n);
    expect(await balanceOf(accounts[1])).to.equal(500n);
  });

  describe("splits", () => {
    it("ends the deal by the client's offer when the provider's program accepts it", async () => {
      const offer: Judgement = { kind: "split", toProviderWei: 600n, rating: -20, reason: "half of it is missing" };
      const counsel = { considerSplit: () => Promise.resolve(true) };
      const both = await joinBoth({ judgement: offer }, { counsel });
      const [client, provider] = await balances();
      const agreed = await agree();
      adopt(agreed, both);
      for (const outcome of await ended(both, agreed.dealId)) {
        expect(outcome).to.include({ state: "Resolved", rating: -20 });
      }
      expect(await balances()).to.deep.equal([client - 600n, provider + 600n]);
    });

    it("waits for a person, who accepts it by hand", async () => {
      const offer: Judgement = { kind: "split", toProviderWei: 600n, rating: 0, reason: "late" };
      const both = await joinBoth({ judgement: offer });
      const agreed = await agree();
      adopt(agreed, both);
      await until(() => both.provider.settlement.deals()[0]?.offeredSplit !== undefined);
      expect(both.provider.settlement.deals()[0]?.offeredSplit).to.deep.equal({ toProviderWei: 600n, rating: 0 });
      both.provider.settlement.acceptSplit(agreed.dealId);
      for (const outcome of await ended(both, agreed.dealId)) expect(outcome).to.include({ state: "Resolved" });
    });

    it("takes a refused offer to the arbiter, and completes where there is none", async () => {
      const offer: Judgement = { kind: "split", toProviderWei: 1n, rating: -70, reason: "useless" };
      const counsel = { considerSplit: () => Promise.resolve(false) };
      const both = await joinBoth({ judgement: offer }, { counsel });
      const judge = world.agents[2] as TestAgent;
      const [ruled, alone] = [await agree({ arbiter: judge.signer.address }), await agree()];
      adopt(ruled, both);
      await reach(ruled.dealId, "Disputed");
      adopt(alone, both);
      const [outcome] = await ended(both, alone.dealId);
      expect(outcome).to.include({ state: "Completed", rating: -70 });
    });

    it("cancels with everything returned when both sides wish it", async () => {
      const both = await joinBoth({}, { worker: waiting() });
      const [client, provider] = await balances();
      const agreed = await agree({ providerBond: BOND });
      adopt(agreed, both);
      await reach(agreed.dealId, "Funded");
      both.provider.settlement.cancel(agreed.dealId);
      both.client.settlement.cancel(agreed.dealId);
      release();
      for (const outcome of await ended(both, agreed.dealId)) expect(outcome).to.include({ state: "Cancelled" });
      expect(await balances()).to.deep.equal([client, provider]);
    });
  });

  describe("before an account that rules by itself", () => {
    it("shows both sides' evidence, and pays as ruled", async () => {
      const judge = world.agents[2] as TestAgent;
      const both = await joinBoth({ judgement: bad });
      const [client, provider] = await balances();
      const agreed = await agree({ arbiter: judge.signer.address, providerBond: BOND, clientBond: BOND });
      adopt(agreed, both);
      await reach(agreed.dealId, "Disputed");
      const noticed = async () =>
        parseEventLogs({ abi: dealDisputesAbi, eventName: "Evidence", logs: await logsOf() }).map(
          ({ args }) => args._evidence,
        );
      await until(async () => (await noticed()).length === 2);

      // Anybody whom a side lets read it checks that the evidence is what the chain names.
      for (const text of await noticed()) {
        const notice = readEvidenceNotice(text);
        if (notice.kind !== "accept") throw new Error(notice.detail);
        const { peer, hash } = notice.value;
        const asker = peer === both.client.transport.peerId ? both.provider : both.client;
        const bundle = await fetchEvidence(asker.transport, peer, hash, patience());
        if (bundle.kind !== "accept") throw new Error(bundle.detail);
        expect(bundle.value.deliverable).to.deep.equal(deliverable);
        expect(bundle.value.dealId).to.equal(agreed.dealId);
        if (bundle.value.role === "client") expect(bundle.value.reason).to.equal("It is in English.");
        expect(bundle.value.items.map(({ kind }) => kind)).to.include("agreed");
      }
      const marked = parseEventLogs({ abi: dealEscrowAbi, eventName: "DealDisputed", logs: await logsOf() });
      expect(marked[0]?.args.reasonHash).to.equal(contentHashOf(new TextEncoder().encode("It is in English.")));

      await world.sendAs(judge, { ...(await target()), functionName: "ruleAsArbiter", args: [agreed.deal, 1n] });
      for (const outcome of await ended(both, agreed.dealId)) {
        expect(outcome).to.include({ state: "Resolved", rating: -100 });
      }
      expect(await balances()).to.deep.equal([client + BOND, provider - BOND]);
      expect(both.client.steps.map(({ kind }) => kind)).to.deep.equal(["funded", "submitted", "disputed", "settled"]);
    });

    it("halves the price when the arbiter lets its deadline pass", async () => {
      const judge = world.agents[2] as TestAgent;
      const both = await joinBoth({ judgement: bad });
      const [client, provider] = await balances();
      const agreed = await agree({ arbiter: judge.signer.address });
      adopt(agreed, both);
      await reach(agreed.dealId, "Disputed");
      await passTo(agreed.deal.arbiterDeadline + 1);
      for (const outcome of await ended(both, agreed.dealId)) expect(outcome).to.include({ state: "Resolved" });
      expect(await balances()).to.deep.equal([client - PRICE / 2n, provider + PRICE / 2n]);
    });

    it("disputes what could not be fetched, a margin before the review ends", async () => {
      const judge = world.agents[2] as TestAgent;
      const [client, provider] = [await join(0), await join(1)];
      const agreed = await agree({ arbiter: judge.signer.address });
      adopt(agreed, { client, provider });
      await until(() => client.steps.some(({ kind }) => kind === "submitted"));
      await passTo((await world.escrow.read.dealOf([agreed.dealId]))[2] - 30);
      await reach(agreed.dealId, "Disputed");
    });
  });

  describe("before an arbitrator that charges", () => {
    it("deposits both fees, and is ruled for the client after the provider's appeal is lost", async () => {
      const court = await deployCourt();
      const counsel = { defend: () => Promise.resolve(true), appeal: () => Promise.resolve(true) };
      const both = await joinBoth({ judgement: bad }, { counsel });
      const [client, provider] = await balances();
      const agreed = await agree({ arbiter: court.address });
      adopt(agreed, both);
      await until(async () => (await stageOf(agreed.dealId)) === 4);
      await court.write.giveRuling([0n, 1]);
      await until(async () => (await court.read.disputeStatus([0n])) === 0);
      await court.write.giveRuling([0n, 1]);
      for (const outcome of await ended(both, agreed.dealId)) {
        expect(outcome).to.include({ state: "Resolved", rating: -100 });
      }
      expect(await balances()).to.deep.equal([client, provider]);
      await until(async () => (await stageOf(agreed.dealId)) === 6);
    });

    it("rules by default against a provider that does not defend", async () => {
      const court = await deployCourt();
      const both = await joinBoth({ judgement: bad }, { counsel: { defend: () => Promise.resolve(false) } });
      const [client, provider] = await balances();
      const agreed = await agree({ arbiter: court.address, providerBond: BOND });
      adopt(agreed, both);
      await until(async () => (await stageOf(agreed.dealId)) === 1);
      const [, , feeBy] = await (await disputes()).read.disputeOf([agreed.dealId]);
      await passTo(feeBy + 1);
      for (const outcome of await ended(both, agreed.dealId)) expect(outcome).to.include({ state: "Resolved" });
      expect(await balances()).to.deep.equal([client + BOND, provider - BOND]);
    });

    it("ends in peace during the dispute, with both fees returned", async () => {
      const court = await deployCourt();
      const both = await joinBoth({ judgement: bad });
      const agreed = await agree({ arbiter: court.address });
      adopt(agreed, both);
      await until(async () => (await stageOf(agreed.dealId)) === 4);
      both.provider.settlement.proposeSplit(agreed.dealId, { toProviderWei: 500n, rating: 0 });
      both.client.settlement.proposeSplit(agreed.dealId, { toProviderWei: 500n, rating: 0 });
      for (const outcome of await ended(both, agreed.dealId)) expect(outcome).to.include({ state: "Resolved" });
      await until(async () => (await stageOf(agreed.dealId)) === 6);
    });

    for (const stage of [1, 4, 5] as const) {
      it(`goes on from the stores alone after both sides were stopped in stage ${stage}`, async () => {
        const court = await deployCourt();
        let mayDefend = stage > 1;
        const counsel = { defend: () => (mayDefend ? Promise.resolve(true) : new Promise<boolean>(() => undefined)) };
        let both = await joinBoth({ judgement: bad }, { counsel });
        const agreed = await agree({ arbiter: court.address });
        adopt(agreed, both);
        await until(async () => (await stageOf(agreed.dealId)) === Math.min(stage, 4));
        await both.client.stop();
        await both.provider.stop();
        if (stage === 5) {
          await court.write.giveRuling([0n, 2]);
          await world.networkHelpers.time.increase(APPEAL_SECONDS + 1);
          await court.write.executeRuling([0n]);
        }
        mayDefend = true;
        both = { client: await restart(both.client), provider: await restart(both.provider, { counsel }) };
        await introduce(both.client, both.provider);
        if (stage !== 5) {
          await until(async () => (await stageOf(agreed.dealId)) === 4);
          await court.write.giveRuling([0n, 2]);
          await world.networkHelpers.time.increase(APPEAL_SECONDS + 1);
          await court.write.executeRuling([0n]);
        }
        for (const outcome of await ended(both, agreed.dealId)) expect(outcome).to.include({ state: "Resolved" });
      });
    }

    it("needs no ether of either side where other accounts pay, but for evidence, and says so", async () => {
      const court = await deployCourt();
      const [buyer, seller] = world.agents as [TestAgent, TestAgent];
      const payers = [testSigner(6), testSigner(7)] as const;
      for (const { signer } of [buyer, seller]) await world.networkHelpers.setBalance(signer.address, 0n);
      const sent = () =>
        Promise.all([buyer, seller].map(({ signer: { address } }) => world.client.getTransactionCount({ address })));
      const before = await sent();
      const counsel = { defend: () => Promise.resolve(true), appeal: () => Promise.resolve(true) };
      const both = await joinBoth(
        { judgement: bad, chain: world.dealChainOf(buyer, payers[0]) },
        { counsel, chain: world.dealChainOf(seller, payers[1]) },
      );
      const agreed = await agree({ arbiter: court.address, providerBond: BOND });
      adopt(agreed, both);
      await until(async () => (await stageOf(agreed.dealId)) === 4);
      const isOfEvidence = (fault: unknown) =>
        (fault as SuretyError).code === "SENDER_WITHOUT_FUNDS" &&
        (fault as SuretyError).values["functionName"] === "submitEvidence" &&
        (fault as SuretyError).message.includes("the contract takes evidence from a side itself");
      const { client, provider } = both;
      await until(() => [client, provider].every(({ faults }) => faults.some(isOfEvidence)));
      // What cannot be sent holds up no appeal.
      await court.write.giveRuling([0n, 1]);
      await until(async () => (await court.read.disputeStatus([0n])) === 0);
      await court.write.giveRuling([0n, 1]);
      for (const outcome of await ended(both, agreed.dealId)) expect(outcome).to.include({ state: "Resolved" });
      await until(async () => (await stageOf(agreed.dealId)) === 6);
      expect(await sent()).to.deep.equal(before);

      const abi = [...dealEscrowAbi, ...dealDisputesAbi, ...testTokenAbi];
      const logs = await world.client.getLogs({ fromBlock: 0n });
      const hashes = new Set(logs.map(({ transactionHash }) => transactionHash));
      const calls = await Promise.all([...hashes].map((hash) => world.client.getTransaction({ hash })));
      const ofPayers = payers.map(({ address }) =>
        calls.flatMap(({ from, input }) =>
          isAddressEqual(from, address) ? [decodeFunctionData({ abi, data: input }).functionName] : [],
        ),
      );
      // Either may create what is paid, and resolve what is ruled.
      const own = (names: readonly string[] | undefined) =>
        names?.filter((name) => name !== "createDispute" && name !== "resolve");
      expect(own(ofPayers[0])).to.deep.equal(["openWithAuthorization", "disputeFor"]);
      expect(own(ofPayers[1])).to.deep.equal(["permit", "submitFor", "depositFee", "appeal"]);
    });

    it("returns to the account that pays the gas what it sent beyond a fee", async () => {
      const court = await deployCourt();
      const [buyer] = world.agents as [TestAgent];
      const payer = testSigner(6);
      const counsel = { defend: () => new Promise<boolean>(() => undefined) };
      const both = await joinBoth({ judgement: bad, chain: world.dealChainOf(buyer, payer) }, { counsel });
      const agreed = await agree({ arbiter: court.address });
      adopt(agreed, both);
      await until(async () => (await stageOf(agreed.dealId)) === 1);
      // As if the fee had fallen between the look and the block: more than is owed, from the same account.
      const call = { functionName: "depositFee", args: [agreed.deal, false], valueWei: 3n * FEE };
      await world.sendAs({ agentId: 0n, signer: payer }, { ...(await target()), ...call });
      const owed = async () => await (await disputes()).read.creditOf([zeroAddress, payer.address]);
      expect(await owed()).to.equal(2n * FEE);
      await until(async () => (await stageOf(agreed.dealId)) === 4);
      await court.write.giveRuling([0n, 2]);
      await passTo((await world.networkHelpers.time.latest()) + APPEAL_SECONDS + 1);
      await court.write.executeRuling([0n]);
      await both.client.settlement.whenEnded(agreed.dealId, patience());
      await until(async () => (await owed()) === 0n);
    });

    it("asks no more of an owner than it allowed", async () => {
      const court = await world.chain.viem.deployContract("CourtArbitrator", [10n ** 18n, APPEAL_SECONDS]);
      const both = await joinBoth({ judgement: bad });
      const agreed = await agree({ arbiter: court.address });
      adopt(agreed, both);
      await until(() => both.client.faults.length > 0);
      expect(both.client.faults[0]).to.include({ code: "ARBITRATION_FEE_TOO_HIGH" });
      expect(await stateOf(world, agreed.dealId)).to.equal("Submitted");
    });
  });

  it("refuses evidence whose bytes are not those that were named", async () => {
    const both = await joinBoth({ judgement: bad });
    const agreed = await agree();
    adopt(agreed, both);
    const bytes = encodeEvidence(both.client.settlement.evidenceOf(agreed.dealId));
    expect(decodeEvidence(bytes, contentHashOf(bytes)).kind).to.equal("accept");
    expect(decodeEvidence(bytes.subarray(1), contentHashOf(bytes))).to.include({ code: "EVIDENCE_HASH" });
    await ended(both, agreed.dealId);
  });

  const target = async () => ({ address: (await disputes()).address, abi: dealDisputesAbi });

  let release: () => void = () => undefined;
  /** A worker that works until it is let go. */
  function waiting() {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    release = () => resolve(undefined);
    return { perform: () => promise.then(() => deliverable) };
  }
});
