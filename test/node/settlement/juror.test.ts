// A deal disputed between two agents' nodes and ruled by three others: every step by the nodes themselves, while the test
// does nothing but let blocks and seconds pass.
import { expect } from "chai";
import { keccak256, parseEventLogs, toHex, zeroAddress, type Hex } from "viem";

import { jurorPanelAbi, signerHashOf, stakeVaultAbi, testTokenAbi, type Deployment, type Signer } from "#protocol";
import { createSender } from "../../../node/chain/sender.ts";
import { createJuryReader, Juror, type Vote } from "../../../node/settlement/juror.ts";
import { openStore } from "../../../node/store/sqlite.ts";
import { createLibp2pTransport } from "../../../node/transport/libp2p.ts";
import { testKey } from "../../fixtures/log.ts";
import { testSigner } from "../chain/test-chain.ts";
import { createDealWorld, never, type DealWorld, type TestAgent } from "./deal-world.ts";
import { introduce, patience, startParty, stateOf, until, type Party } from "./party.ts";

const STAKE = 10_000n;
const JUROR_BOND = 1_000n;
const JUROR_FEE = 10n ** 12n;
const PERIOD_SECONDS = 200;
const PROVIDER_BOND = 300n;
/** As many as a first round draws, so that all of them sit on it. */
const JURORS = [2, 3, 4] as const;
const DISSENTER = 4;
/** IJurorPanel numbers disputes from one. */
const DISPUTE = 1n;

describe("a jury of nodes", function () {
  this.timeout(120_000);
  let world: DealWorld;
  let panel: Awaited<ReturnType<typeof deployPanel>>["panel"];
  let vault: Awaited<ReturnType<typeof deployPanel>>["vault"];
  let deployment: Deployment;
  const stops: (() => Promise<void> | void)[] = [];

  beforeEach(async () => {
    world = await createDealWorld(5);
    ({ panel, vault, deployment } = await deployPanel());
    for (const index of JURORS) await enlist(world.agents[index] as TestAgent);
  });
  afterEach(async () => {
    for (const stop of stops.splice(0).reverse()) await stop();
    world.stopSenders();
    world.stop();
  });

  async function deployPanel() {
    const { viem } = world.chain;
    const { registry, token, ledger } = world;
    const vault = await viem.deployContract("StakeVault", [token.address, registry.address, ledger.address, 86_400]);
    const terms = [vault.address, zeroAddress, JUROR_BOND, JUROR_FEE, PERIOD_SECONDS] as const;
    const panel = await viem.deployContract("JurorPanel", [...terms]);
    await vault.write.setModules([[panel.address]]);
    const contracts = { ...world.deployment.contracts, stakeVault: vault.address, jurorPanel: panel.address };
    return { vault, panel, deployment: { ...world.deployment, contracts } };
  }

  async function enlist(agent: TestAgent): Promise<void> {
    const agentId = Number(agent.agentId);
    const approval = { functionName: "approve", args: [vault.address, STAKE] };
    await world.sendAs(agent, { address: world.token.address, abi: testTokenAbi, ...approval });
    const stake = { functionName: "stake", args: [agentId, STAKE] };
    await world.sendAs(agent, { address: vault.address, abi: stakeVaultAbi, ...stake });
    const duty = { functionName: "enlist", args: [agentId, JUROR_BOND] };
    await world.sendAs(agent, { address: panel.address, abi: jurorPanelAbi, ...duty });
  }

  /** Client and provider at odds: each shows its evidence to whoever sits on the panel, and to nobody else. */
  async function quarrel() {
    const isJuror = createJuryReader({ client: world.client, deployment });
    const disputes = await world.escrow.read.disputes();
    const mayReadEvidence = async (dealId: Hex, address: Hex, signal: AbortSignal) =>
      await isJuror(disputes, dealId, await world.identity.agentOfSigner(signerHashOf(address), signal), signal);
    const judgement = { kind: "dispute", reason: "It is in English." } as const;
    const client = await startParty(world, 0, { judgement, mayReadEvidence });
    stops.push(() => client.stop());
    const counsel = { defend: () => Promise.resolve(true) };
    const provider = await startParty(world, 1, { counsel, mayReadEvidence });
    stops.push(() => provider.stop());
    await introduce(client, provider);
    return { client, provider };
  }

  interface Seat {
    readonly agent: TestAgent;
    readonly steps: string[];
    readonly faults: unknown[];
    /** Roles whose evidence it had before it, for each time that it was asked. */
    readonly seen: string[][];
  }

  let salts = 0;
  async function seat(index: number, parties: readonly Party[], vote: Vote, payer?: Signer): Promise<Seat> {
    const agent = world.agents[index] as TestAgent;
    const transport = await createLibp2pTransport({ privateKey: testKey(index + 1) });
    await transport.start();
    stops.push(() => transport.stop());
    for (const { transport: host } of parties) await transport.learnAddresses(host.peerId, host.addresses());
    const { client, heads, chainTime } = world;
    const sender = createSender({ client, heads, signer: agent.signer });
    const relay = payer && createSender({ client, heads, signer: payer });
    stops.push(() => sender.stop());
    stops.push(() => relay?.stop());
    const store = openStore(":memory:");
    stops.push(() => store.close());
    const [steps, faults, seen]: [string[], unknown[], string[][]] = [[], [], []];
    const juror = new Juror({
      ...{ agentId: agent.agentId, client, heads, sender, deployment, store, transport, chainTime },
      ...(relay === undefined ? {} : { relay }),
      random: () => keccak256(toHex(++salts)),
      async vote(dealId, evidence, signal) {
        seen.push(evidence.map(({ role }) => role).sort());
        return await vote(dealId, evidence, signal);
      },
      onFault: (fault) => void faults.push(fault),
      onStep: (step) => void steps.push(step),
    });
    juror.start();
    stops.push(() => juror.stop());
    return { agent, steps, faults, seen };
  }

  const passTo = async (second: number) => {
    if ((await world.networkHelpers.time.latest()) < second) await world.networkHelpers.time.increaseTo(second);
    await world.heads.refresh(never);
  };
  const round = async () => {
    const [jurors, seedBlock, commitUntil, revealUntil, appealUntil, , isSettled] = await panel.read.roundOf([
      DISPUTE,
      0n,
    ]);
    return { jurors, seedBlock, commitUntil, revealUntil, appealUntil, isSettled };
  };
  const votes = async () =>
    await Promise.all(JURORS.map((k) => panel.read.voteOf([DISPUTE, 0n, Number(world.agents[k]?.agentId)])));

  it("draws, votes sealed and opened, rules and settles a dispute; who is wrong pays who is right", async () => {
    const { client, provider } = await quarrel();
    const byEvidence: Vote = (_, evidence) => {
      const complaint = evidence.find(({ role }) => role === "client")?.reason;
      return Promise.resolve(complaint === "It is in English." ? 1 : 2);
    };
    const seats = await Promise.all(
      JURORS.map((k) => {
        const vote: Vote = k === DISSENTER ? () => Promise.resolve(2) : byEvidence;
        return seat(k, [client, provider], vote, testSigner(10 + k));
      }),
    );
    const [first, second] = world.agents as [TestAgent, TestAgent];
    const before = await world.token.read.balanceOf([first.signer.address]);
    const sentByJurors = () =>
      Promise.all(seats.map(({ agent }) => world.client.getTransactionCount({ address: agent.signer.address })));
    const sentBefore = await sentByJurors();
    const arbiterDeadline = (await world.networkHelpers.time.latest()) + 10_000;
    const terms = { arbiter: panel.address, arbiterDeadline, providerBond: PROVIDER_BOND };
    const agreed = await world.agree(first, second, { terms });
    provider.settlement.adopt(agreed.provider);
    client.settlement.adopt(agreed.client);

    // Both fees are paid and the dispute is the panel's; then the seed's block comes.
    await until(async () => (await panel.read.stageOf([DISPUTE])) === 1);
    expect(await stateOf(world, agreed.dealId)).to.equal("Disputed");
    await world.networkHelpers.mine(Number((await round()).seedBlock - (await world.client.getBlockNumber())) + 1);
    await world.heads.refresh(never);
    await until(async () => (await round()).jurors.length === JURORS.length);

    await until(async () => (await votes()).every(([seal]) => BigInt(seal) !== 0n));
    expect((await votes()).map(([, choice, isRevealed]) => [choice, isRevealed])).to.deep.equal(
      JURORS.map(() => [0n, false]),
    );
    await passTo((await round()).commitUntil);
    await until(async () => (await votes()).every(([, , isRevealed]) => isRevealed));
    expect((await votes()).map(([, choice]) => choice)).to.deep.equal(JURORS.map((k) => (k === DISSENTER ? 2n : 1n)));
    await passTo((await round()).appealUntil);
    for (const party of [client, provider]) {
      const outcome = await party.settlement.whenEnded(agreed.dealId, patience());
      expect(outcome).to.include({ state: "Resolved", rating: -100 });
    }
    expect(await world.token.read.balanceOf([first.signer.address])).to.equal(before + PROVIDER_BOND);
    await until(async () => (await round()).isSettled);

    // The dissenter's bond and the fees of the round are the others'; each is paid without asking for it.
    const start = 1_000_000n - STAKE;
    await until(async () => {
      const credits = await Promise.all(seats.map(({ agent }) => panel.read.creditOf([agent.signer.address])));
      return credits.every(([fees, bonds]) => fees === 0n && bonds === 0n);
    });
    const tokens = await Promise.all(seats.map(({ agent }) => world.token.read.balanceOf([agent.signer.address])));
    expect(tokens).to.deep.equal([start + JUROR_BOND / 2n, start + JUROR_BOND / 2n, start]);
    const stakes = await Promise.all(seats.map(({ agent }) => vault.read.stakeOf([Number(agent.agentId)])));
    expect(stakes.map(([staked]) => staked)).to.deep.equal([STAKE, STAKE, STAKE - JUROR_BOND]);
    const logs = await world.client.getLogs({ address: panel.address, fromBlock: 0n });
    const paid = parseEventLogs({ abi: jurorPanelAbi, eventName: "CreditWithdrawn", logs });
    expect(paid.map(({ args }) => args.fees)).to.deep.equal([(3n * JUROR_FEE) / 2n, (3n * JUROR_FEE) / 2n]);

    for (const each of seats) {
      expect(each.faults).to.deep.equal([]);
      expect(each.seen).to.deep.equal([["client", "provider"]]);
      expect(each.steps.filter((step) => step === "commitVote" || step === "revealVote")).to.have.length(2);
    }
    // The sealed vote is theirs to send; all else went by the account that pays their gas.
    expect(await sentByJurors()).to.deep.equal(sentBefore.map((count) => count + 1));
    for (const step of ["draw", "executeRuling", "settle"]) {
      expect(seats.flatMap(({ steps }) => steps).filter((took) => took === step)).to.have.length(1);
    }
  });

  it("delivers a ruling that was refused, once it is taken, and asks in vain nowhere", async () => {
    const { viem } = world.chain;
    const taker = await viem.deployContract("RulingTaker", [panel.address]);
    const [jury] = await Promise.all([seat(JURORS[0], [], () => Promise.resolve(0))]);
    await taker.write.ask([2n, "0x"], { value: 3n * JUROR_FEE });
    await taker.write.setRefusing([true]);
    const stage = () => panel.read.stageOf([DISPUTE]);
    await world.networkHelpers.mine(Number((await round()).seedBlock - (await world.client.getBlockNumber())) + 1);
    await world.heads.refresh(never);
    await until(async () => (await stage()) === 2);
    // Nobody has evidence, and nobody votes in time: the first round leaves "refused to arbitrate".
    await passTo((await round()).appealUntil);
    await until(() => jury.steps.includes("settle"));
    for (let k = 0; k < 3; k++) {
      await world.networkHelpers.mine();
      await world.heads.refresh(never);
    }
    expect((await panel.read.disputeOf([DISPUTE]))[4]).to.equal(false);
    expect(jury.steps).to.not.include("deliver");
    await taker.write.setRefusing([false]);
    await world.heads.refresh(never);
    await until(async () => (await panel.read.disputeOf([DISPUTE]))[4]);
    expect(await taker.read.rulingOf([DISPUTE])).to.equal(1n);
    await until(() => jury.steps.includes("deliver"));
    expect(jury.faults).to.deep.equal([]);
  });
});
