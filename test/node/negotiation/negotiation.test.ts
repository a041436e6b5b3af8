import { expect } from "chai";
import {
  bargain,
  checkAwardEvidence,
  createSigner,
  decodeMessage,
  draftMechanism,
  encodeIssuerPresentation,
  encodeMechanism,
  encodeMessage,
  contentHashOf,
  issuerIdOf,
  mechanismHashOf,
  NEGOTIATION_PROTOCOL,
  scopeOf,
  structHash,
  SuretyError,
  topicIdOf,
  typedDataDigest,
  writeAwardEvidence,
  NO_COURT,
  type AwardEvidence,
  type BargainRules,
  type NegotiationMessage,
  type Side,
  type Signer,
} from "#protocol";
import { createCredentialReader } from "../../../node/chain/credentials.ts";
import { createNegotiator, type Negotiator } from "../../../node/negotiation/driver.ts";
import type { Agreement, Bidder, CallOutcome, CallRequest, CredentialPort } from "../../../node/negotiation/port.ts";
import { openStore } from "../../../node/store/sqlite.ts";
import type { Store } from "../../../node/store/port.ts";
import { createLibp2pTransport } from "../../../node/transport/libp2p.ts";
import type { Transport } from "../../../node/transport/port.ts";
import { testDeployment } from "../../fixtures/deployment.ts";
import { testKey } from "../../fixtures/log.ts";
import { createDealWorld, mechanism, spec, type DealWorld } from "../settlement/deal-world.ts";

const patience = () => AbortSignal.timeout(20_000);

interface Node {
  readonly agentId: bigint;
  readonly signer: Signer;
  readonly transport: Transport;
  readonly store: Store;
  readonly agreements: Agreement[];
  /** Codes of calls that ended without a deal. */
  readonly failures: string[];
  negotiator: Negotiator;
}

// Real libp2p hosts on loopback and the real registry; only the chain's time stands still.
describe("negotiation over libp2p", function () {
  this.timeout(40_000);
  let world: DealWorld;
  let nodes: Node[] = [];
  let transports: Transport[] = [];
  let nextSalt = 1n;

  before(async () => {
    world = await createDealWorld(4);
  });
  afterEach(async () => {
    for (const { negotiator } of nodes) await negotiator.stop();
    for (const transport of transports) await transport.stop();
    for (const { store } of nodes) store.close();
    [nodes, transports] = [[], []];
  });
  after(() => {
    world.stop();
  });

  async function createTransport(index: number): Promise<Transport> {
    const transport = await createLibp2pTransport({ privateKey: testKey(index) });
    await transport.start();
    transports.push(transport);
    return transport;
  }

  const create = (node: Omit<Node, "negotiator">, bidder?: Bidder, credentials?: CredentialPort): Negotiator =>
    createNegotiator({
      ...(credentials === undefined ? {} : { credentials }),
      ...{ agentId: node.agentId, signer: node.signer, transport: node.transport, store: node.store },
      ...{ contracts: world.contracts, identity: world.identity, chainTime: world.chainTime },
      random: () => nextSalt++,
      ...(bidder === undefined ? {} : { bidder }),
      onAgreed: (agreement) => void node.agreements.push(agreement),
      onFailed: (_call, code) => void node.failures.push(code),
    });

  /** @param price what the agent asks; undefined: it bids on nothing */
  async function join(index: number, price?: bigint, credentials?: CredentialPort, thinker?: Bidder): Promise<Node> {
    const agent = world.agents[index];
    if (agent === undefined) throw new Error(`no agent ${index}`);
    const transport = await createTransport(index + 1);
    const node = { ...agent, transport, store: openStore(":memory:"), agreements: [], failures: [] };
    const bidder = price === undefined ? thinker : bidderAt(price);
    const joined: Node = { ...node, negotiator: create(node, bidder, credentials) };
    nodes.push(joined);
    await joined.negotiator.start();
    return joined;
  }

  const codeOf = (fault: unknown) => (fault instanceof SuretyError ? fault.code : String(fault));

  const bidderAt = (price: bigint): Bidder => ({ consider: () => Promise.resolve({ price, quality: 50n }) });

  async function requestTo(client: Node, providers: readonly Node[], biddingMs = 5_000): Promise<CallRequest> {
    for (const { transport } of providers) {
      await client.transport.learnAddresses(transport.peerId, transport.addresses());
      await transport.learnAddresses(client.transport.peerId, client.transport.addresses());
    }
    return {
      topic: topicIdOf("translation"),
      ...{ spec, mechanism, biddingMs, token: world.token.address, reservePrice: 1_000n, reviewPeriod: 300 },
      submitBy: world.chainTime() + 600,
      invitees: providers.map(({ agentId, transport }) => ({ agentId, peer: transport.peerId })),
    };
  }

  /** The stopped client's negotiator again, at another port, over the same store; resolves when both sides hold a deal. */
  async function restart(client: Node, provider: Node): Promise<void> {
    await client.transport.stop();
    const transport = await createTransport(1);
    await transport.learnAddresses(provider.transport.peerId, provider.transport.addresses());
    await provider.transport.learnAddresses(transport.peerId, transport.addresses());
    const again = { ...client, transport };
    again.negotiator = create(again);
    nodes.push(again);
    await again.negotiator.start();
    const signal = patience();
    while (client.agreements.length === 0 || provider.agreements.length === 0) {
      signal.throwIfAborted();
      await new Promise(setImmediate);
    }
  }

  function agreementOf(outcome: CallOutcome): Agreement {
    if (outcome.kind !== "agreed") throw new Error(outcome.code);
    return outcome.agreement;
  }

  it("ends with one deal that both sides hold, signed by both, at the runner-up's price", async () => {
    const [client, cheap, dear] = [await join(0), await join(1, 100n), await join(2, 250n)];
    const request = await requestTo(client, [cheap, dear]);
    const agreement = agreementOf(await client.negotiator.callForBids(request, patience()));
    expect(agreement.deal).to.include({ clientAgentId: 1n, providerAgentId: 2n, price: 250n });
    const [theirs] = cheap.agreements;
    expect(theirs).to.deep.include({ dealId: agreement.dealId, role: "provider", client: agreement.client });
    expect(theirs?.provider).to.deep.equal(agreement.provider);
    expect([agreement.client.signer, agreement.provider.signer]).to.deep.equal([
      client.signer.address,
      cheap.signer.address,
    ]);
    expect(dear.agreements).to.deep.equal([]);
    expect(await world.escrow.read.hashDeal([agreement.deal])).to.equal(agreement.dealId);
  });

  it("negotiates by a mechanism document: sealed bids, the bond of the rules, and a refusal of unsound ones", async () => {
    const [client, cheap, dear] = [await join(0), await join(1, 100n), await join(2, 250n)];
    const draft = draftMechanism({ name: "Pages", topics: ["translation"], rule: "scored-second-price", bondWei: 7n });
    const rules = { ...draft, review: { ...draft.review, periodS: 300 } };
    const request = { ...(await requestTo(client, [cheap, dear])), mechanism: rules };
    const { deal } = agreementOf(await client.negotiator.callForBids(request, patience()));
    expect(deal).to.include({
      providerAgentId: 2n,
      price: 250n,
      providerBond: 7n,
      mechanismHash: mechanismHashOf(rules),
    });
    expect(cheap.agreements.map(({ deal: theirs }) => structHash("Deal", theirs))).to.deep.equal([
      structHash("Deal", deal),
    ]);
    const unsound = { ...rules, review: { periodS: 300, onSilence: "refunds-client" } } as const;
    const failure = await client.negotiator.callForBids({ ...request, mechanism: unsound }, patience()).catch(String);
    expect(failure).to.match(/RULES_UNSOUND, REVIEW_SILENCE/);
  });

  it("calls only whose operators hold the credential of the rules, and no follower bids or signs past them", async () => {
    // The real scope of credentials, of a real issuer; agent 2 has presented one of level 2, agent 3 none.
    const issuer = createSigner(testKey(9));
    const { viem } = world.chain;
    const issuers = await viem.deployContract("IssuerCredentials");
    const source = { verifier: issuers.address, minLevel: 1, issuerId: issuerIdOf(issuer.address) };
    const scoped = await viem.deployContract("Credentials", [world.registry.address, [source]]);
    const scope = scopeOf(world.contracts.chainId, scoped.address, world.registry.address);
    const holder = (world.agents[1] as { signer: Signer }).signer.address;
    const credential = {
      ...{ scope, issuerId: source.issuerId, nullifier: contentHashOf(spec), agentId: 2n, level: 2 },
      ...{ owner: holder, validUntil: world.chainTime() + 86_400 },
    };
    const signature = issuer.sign(
      typedDataDigest("IssuerCredential", credential, { ...world.contracts, issuerCredentials: issuers.address }),
    );
    const presentation = encodeIssuerPresentation(credential, issuer.address, signature);
    await scoped.write.present([2n, issuers.address, source.issuerId, presentation], { account: holder });
    const deployment = testDeployment({ ...world.deployment.contracts, credentials: scoped.address });
    const reader = createCredentialReader(world.client, deployment);
    expect(await reader.levelsOf([1n, 2n, 3n], patience())).to.deep.equal(new Map([[2n, 2]]));

    const draft = draftMechanism({ name: "Pages", topics: ["translation"], rule: "scored-second-price" });
    const rules = (credentialLevel: number) => ({
      ...draft,
      admission: { ...draft.admission, credentialLevel },
      review: { ...draft.review, periodS: 300 },
    });
    let seen: CredentialPort = reader;
    const [client, held, without] = [
      await join(0, undefined, reader),
      await join(1, 250n, reader),
      await join(2, 400n, { levelsOf: (ids, signal) => seen.levelsOf(ids, signal) }),
    ];
    const request = { ...(await requestTo(client, [held, without])), mechanism: rules(2) };
    const { deal } = agreementOf(await client.negotiator.callForBids(request, patience()));
    expect(deal, "nobody else was called, or the price would be 400").to.include({
      providerAgentId: 2n,
      price: 1_000n,
    });
    const none = await client.negotiator.callForBids({ ...request, mechanism: rules(3) }, patience()).catch(codeOf);
    expect(none).to.equal("CALL_NOBODY_ADMITTED");

    // A client that lets everybody in: who has no credential stays away, and nobody signs where another one bid.
    const everybody = { levelsOf: (ids: readonly bigint[]) => Promise.resolve(new Map(ids.map((id) => [id, 9]))) };
    const careless = await join(3, undefined, everybody);
    const called = { ...(await requestTo(careless, [held, without])), mechanism: rules(2) };
    const outcome = agreementOf(await careless.negotiator.callForBids(called, patience()));
    expect(outcome.deal).to.include({ providerAgentId: 2n, price: 1_000n });
    seen = everybody;
    const spoilt = agreementOf(await careless.negotiator.callForBids(called, patience()));
    expect(spoilt.deal.providerAgentId, "the winner does not sign").to.equal(3n);
    expect(held.agreements.length).to.equal(2);
  });

  it("goes on without a dead invitee, at once and not at the end of the bidding", async () => {
    const [client, alive, dead] = [await join(0), await join(1, 100n), await join(2, 50n)];
    const request = await requestTo(client, [alive, dead], 3_600_000);
    await dead.negotiator.stop();
    await dead.transport.stop();
    const agreement = agreementOf(await client.negotiator.callForBids(request, patience()));
    expect(agreement.deal).to.include({ providerAgentId: 2n, price: 1_000n });
  });

  it("goes on at once when an invitee dies that has taken the call and not answered", async () => {
    const [client, alive] = [await join(0), await join(1, 100n)];
    const { promise: asked, resolve } = Promise.withResolvers<undefined>();
    const bidder: Bidder = {
      consider(_invitation, signal) {
        resolve(undefined);
        return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
      },
    };
    const thinker = await createTransport(4);
    const node = { ...(world.agents[3] as (typeof world.agents)[0]), transport: thinker, store: openStore(":memory:") };
    const seen = { ...node, agreements: [], failures: [] };
    const pondering: Node = { ...seen, negotiator: create(seen, bidder) };
    nodes.push(pondering);
    await pondering.negotiator.start();
    const request = await requestTo(client, [alive, pondering], 3_600_000);
    const calling = client.negotiator.callForBids(request, patience());
    await asked;
    await thinker.stop();
    expect(agreementOf(await calling).deal).to.include({ providerAgentId: 2n, price: 1_000n });
  });

  it("fails by name when nobody bids, and when it is withdrawn", async () => {
    const [client, idle] = [await join(0), await join(1)];
    const request = await requestTo(client, [idle], 3_600_000);
    expect(await client.negotiator.callForBids(request, patience())).to.include({ kind: "failed", code: "NO_BIDS" });
    const slow = await join(2);
    await slow.negotiator.stop();
    const abort = new AbortController();
    const withdrawn = client.negotiator.callForBids(await requestTo(client, [slow], 3_600_000), abort.signal);
    abort.abort();
    expect(await withdrawn).to.include({ kind: "failed" });
  });

  it("goes on after a stop of the client in the middle, from the store alone", async () => {
    const [client, provider] = [await join(0), await join(1, 100n)];
    const request = await requestTo(client, [provider], 3_600_000);
    const calling = client.negotiator.callForBids(request, patience());
    const stopping = client.negotiator.stop();
    const [outcome] = await Promise.allSettled([calling, stopping]);
    expect((outcome as PromiseRejectedResult).reason).to.include({ code: "NEGOTIATOR_STOPPED" });
    await restart(client, provider);
    expect(client.agreements[0]?.dealId).to.equal(provider.agreements[0]?.dealId);
  });

  describe("bargains over packages", () => {
    const PACKAGES = 24;
    const packages = Array.from({ length: PACKAGES }, (_, k) => ({
      priceWei: 100n + BigInt(k),
      ...{ bondWei: 9n, soonerS: k, reviewPeriodS: 300, promise: `${k} pages` },
    }));
    const rules: BargainRules = {
      kind: "bargaining",
      version: 1,
      packages,
      maxRounds: 64,
      moveWithinMs: 15_000,
      ...NO_COURT,
    };
    /** What one side likes best the other likes least. */
    const sideOf = (worth: (k: number) => number): Side => ({
      worths: packages.map((_, k) => BigInt(worth(k))),
      reservation: 5n,
    });
    const [cheap, dear] = [sideOf((k) => PACKAGES - k), sideOf((k) => k + 1)];

    async function meet() {
      const client = await join(0);
      const provider = await join(1, undefined, undefined, {
        consider: () => Promise.resolve(undefined),
        value: () => Promise.resolve(dear),
      });
      const request = { ...(await requestTo(client, [provider], 60_000)), mechanism: rules, side: cheap };
      return { client, provider, request };
    }
    const outcomeOf = ({ deal }: Agreement) => Number(deal.price - 100n);

    it("offer by offer, to one deal that both hold and the escrow hashes alike", async () => {
      const { client, provider, request } = await meet();
      const agreement = agreementOf(await client.negotiator.callForBids(request, patience()));
      expect(outcomeOf(agreement)).to.equal(bargain(dear, cheap).outcome);
      expect(agreement.deal.submitBy).to.equal(request.submitBy - outcomeOf(agreement));
      expect(provider.agreements.map(({ dealId }) => dealId)).to.deep.equal([agreement.dealId]);
      expect(await world.escrow.read.hashDeal([agreement.deal])).to.equal(agreement.dealId);
      const awards = [client, provider].map(({ negotiator }) => negotiator.awardOf(agreement.callId));
      const [ours, theirs] = awards.map((award) => writeAwardEvidence(award as AwardEvidence));
      expect(ours).to.equal(theirs);
      const checked = checkAwardEvidence(awards[0] as AwardEvidence, agreement.deal, world.contracts);
      expect(checked.kind).to.equal("accept");
    });

    it("goes on where it was when the client stops in the middle of it", async () => {
      const { client, provider, request } = await meet();
      const calling = client.negotiator.callForBids(request, patience());
      const phases = client.store.prepare<{ phase: string }>("SELECT phase FROM negotiation_sessions");
      const signal = patience();
      while (phases.get()?.phase !== "offered") {
        signal.throwIfAborted();
        await new Promise(setImmediate);
      }
      await Promise.allSettled([calling, client.negotiator.stop()]);
      expect(client.agreements).to.deep.equal([]);
      await restart(client, provider);
      expect(client.agreements[0]?.dealId).to.equal(provider.agreements[0]?.dealId);
      expect(outcomeOf(client.agreements[0] as Agreement)).to.equal(bargain(dear, cheap).outcome);
    });

    it("with one agent at a time, and not with one that does not bargain", async () => {
      const { client, provider, request } = await meet();
      const other = await join(2, 100n);
      const invitees = [...request.invitees, { agentId: 3n, peer: other.transport.peerId }];
      const fault = await client.negotiator.callForBids({ ...request, invitees }, patience()).catch(codeOf);
      expect(fault).to.equal("CALL_INVALID");
      const blind = { ...request, side: { ...cheap, worths: [] } };
      expect(await client.negotiator.callForBids(blind, patience()).catch(codeOf)).to.equal("CALL_INVALID");
      const alone = { ...(await requestTo(client, [other])), mechanism: rules, side: cheap };
      expect(await client.negotiator.callForBids(alone, patience())).to.include({ code: "NO_BIDS" });
      expect([...client.agreements, ...provider.agreements]).to.deep.equal([]);
    });
  });

  it("tells of a call's failure after a restart, when nobody waits for its outcome any more", async () => {
    const [client, idle] = [await join(0), await join(1)];
    const request = await requestTo(client, [idle], 3_600_000);
    const calling = client.negotiator.callForBids(request, patience());
    await Promise.allSettled([calling, client.negotiator.stop()]);
    await client.transport.stop();
    expect(client.failures).to.deep.equal([]);
    const transport = await createTransport(1);
    await transport.learnAddresses(idle.transport.peerId, idle.transport.addresses());
    await idle.transport.learnAddresses(transport.peerId, transport.addresses());
    const again = { ...client, transport };
    again.negotiator = create(again);
    nodes.push(again);
    await again.negotiator.start();
    const signal = patience();
    while (client.failures.length === 0) {
      signal.throwIfAborted();
      await new Promise(setImmediate);
    }
    expect(client.failures).to.deep.equal(["NO_BIDS"]);
  });

  describe("answers a stranger's frame with a named verdict, and does nothing", () => {
    /** Sends a raw frame as some key and gives back the verdict's code and detail. */
    async function send(from: Transport, to: Node, frame: Uint8Array): Promise<string> {
      await from.learnAddresses(to.transport.peerId, to.transport.addresses());
      const options = { signal: patience() };
      const verdict = await from.request(to.transport.peerId, NEGOTIATION_PROTOCOL, frame, options);
      return verdict.kind === "accept" ? "accept" : `${verdict.code} ${verdict.detail}`;
    }

    function callMessage(signer: Signer, clientAgentId: bigint, overrides: object = {}): NegotiationMessage {
      const rules = encodeMechanism(mechanism);
      const call = {
        ...{ clientAgentId, topic: 1n, token: world.token.address, reservePrice: 1_000n, reviewPeriod: 300 },
        ...{ specHash: contentHashOf(spec), mechanismHash: contentHashOf(rules), salt: nextSalt++ },
        ...{ bidByMs: Date.now() + 60_000, submitBy: world.chainTime() + 600, ...overrides },
      };
      const signature = signer.sign(typedDataDigest("Call", call, world.contracts));
      return { type: "call", call, mechanism: rules, spec, signature };
    }

    it("in every way in which a call can be wrong", async () => {
      const provider = await join(1, 100n);
      const client = world.agents[0] as { agentId: bigint; signer: Signer };
      const transport = await createTransport(1);
      const ask = (message: NegotiationMessage) => send(transport, provider, encodeMessage(message));
      const call = callMessage(client.signer, client.agentId);
      if (call.type !== "call") throw new Error("no call");
      expect(await send(transport, provider, new Uint8Array(9))).to.match(/CBOR_/);
      expect(await ask({ ...call, spec: new Uint8Array(1) })).to.match(/CALL_SPEC/);
      expect(await ask({ ...call, mechanism: new Uint8Array(1) })).to.match(/CALL_MECHANISM/);
      expect(await ask(callMessage(client.signer, 1n, { bidByMs: Date.now() - 1 }))).to.match(/CALL_EXPIRED/);
      expect(await ask(callMessage(client.signer, 1n, { bidByMs: Date.now() + 10 ** 9 }))).to.match(/CALL_TOO_FAR/);
      expect(await ask(callMessage(client.signer, 1n, { submitBy: 1 }))).to.match(/CALL_EXPIRED/);
      expect(await ask(callMessage(client.signer, 3n)), "another agent's call").to.match(/SIGNER_UNKNOWN/);
      const otherChain = { ...world.contracts, chainId: 1 };
      const signature = client.signer.sign(typedDataDigest("Call", call.call, otherChain));
      expect(await ask({ ...call, signature }), "signed for another chain").to.match(/SIGNER_NOT_SENDER/);
      const stranger = createSigner(testKey(9));
      expect(await ask({ ...call, signature: stranger.sign(call.call.specHash) })).to.match(/SIGNER_NOT_SENDER/);
      expect(provider.negotiator.openSessions()).to.equal(0);
      expect(await ask(call)).to.equal("accept");
      expect(await ask(call), "replayed").to.match(/CALL_SEEN/);
      expect(provider.negotiator.openSessions()).to.equal(1);
    });

    it("when one passes on what another one signed", async () => {
      const provider = await join(1, 100n);
      const call = callMessage((world.agents[0] as { signer: Signer }).signer, 1n);
      const thief = await createTransport(9);
      expect(await send(thief, provider, encodeMessage(call))).to.match(/SIGNER_NOT_SENDER/);
      expect(provider.negotiator.openSessions()).to.equal(0);
    });

    it("when an answer belongs to no call of ours, or comes from nobody we asked", async () => {
      const client = await join(0);
      const calls: NegotiationMessage[] = [];
      const transport = await createTransport(3);
      await transport.serve(NEGOTIATION_PROTOCOL, (frame) => {
        const message = decodeMessage(frame);
        if (message.kind === "accept") calls.push(message.value);
        return Promise.resolve({ kind: "accept", value: new Uint8Array(0) });
      });
      const request = await requestTo(client, [], 3_600_000);
      await client.transport.learnAddresses(transport.peerId, transport.addresses());
      const invitees = [{ agentId: 3n, peer: transport.peerId }];
      const abort = new AbortController();
      const calling = client.negotiator.callForBids({ ...request, invitees }, abort.signal);
      const signal = patience();
      while (calls.length === 0) {
        signal.throwIfAborted();
        await new Promise(setImmediate);
      }
      const asked = calls[0];
      if (asked?.type !== "call") throw new Error("no call");
      const bidBy = async (agentId: bigint, signer: Signer, callId: `0x${string}`) => {
        const terms = { price: 1n, quality: 1n, validUntil: Math.ceil(asked.call.bidByMs / 1000), salt: 0n };
        const bid = { callId, providerAgentId: agentId, ...terms };
        const signature = signer.sign(typedDataDigest("Bid", bid, world.contracts));
        return await send(transport, client, encodeMessage({ type: "bid", bid, signature }));
      };
      const callId = structHash("Call", asked.call);
      const invited = createSigner(testKey(3));
      expect(await bidBy(3n, invited, asked.call.specHash)).to.match(/SESSION_UNKNOWN/);
      expect(await bidBy(4n, invited, callId)).to.match(/NOT_INVITED/);
      expect(await bidBy(3n, createSigner(testKey(4)), callId)).to.match(/SIGNER_NOT_SENDER/);
      abort.abort();
      expect(await calling).to.include({ kind: "failed", code: "WITHDRAWN" });
    });
  });
});
