import { expect } from "chai";
import fc from "fast-check";
import {
  encodeAbiParameters,
  encodeFunctionData,
  getAddress,
  keccak256,
  numberToHex,
  parseAbi,
  parseEventLogs,
  toEventSelector,
  toFunctionSelector,
  toHex,
  zeroAddress,
  zeroHash,
  type Abi,
  type AbiEvent,
  type AbiFunction,
  type Address,
  type Hex,
} from "viem";
import { dealIdOf, feedbackRegistryAbi, storageSlots, typedDataDigest, type Deal } from "#protocol";
import { createSettlement, signerAt } from "../settlement/fixture.ts";

const s = await createSettlement();
const { client, provider, stranger, escrow, networkHelpers } = s;
const registry = await s.viem.deployContract("FeedbackRegistry", [escrow.address]);
await escrow.write.setFeedbackRegistry([registry.address]);
/** The registry as the interface names its outputs. */
const feedback = await s.viem.getContractAt("IFeedbackRegistry", registry.address);
const wallets = await s.viem.getWalletClients();
const agentId = provider.agentId;

const URI = "ipfs://bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";
const HASH = keccak256(toHex("the file"));
type Note = readonly [bigint, number, string, string, string, string, Hex];
const note = (value: bigint, decimals = 0, tag1 = "", tag2 = ""): Note => [
  value,
  decimals,
  tag1,
  tag2,
  "",
  "",
  zeroHash,
];
const give = (of: bigint, account: Address, said: Note = note(80n)) =>
  feedback.write.giveFeedback([of, ...said], { account });
const giveForDeal = (deal: Deal, account: Address, said: Note = note(80n)) =>
  feedback.write.giveFeedbackForDeal([deal, ...said], { account });

async function completedDeal(terms: Partial<Deal> = {}): Promise<Deal> {
  const { deal } = await s.submitDeal(terms);
  await escrow.write.complete([deal, 50], { account: client.account });
  return deal;
}

async function escrowRefuses(call: Promise<unknown>, name: string, args: unknown[]): Promise<void> {
  const expected = args as never;
  await s.viem.assertions.revertWithCustomErrorWithArgs(call as Promise<Hex>, escrow, name as never, expected);
}

async function refuses(call: Promise<unknown>, name: string, args?: unknown[]): Promise<void> {
  if (args === undefined) await s.viem.assertions.revertWithCustomError(call as Promise<Hex>, feedback, name as never);
  else {
    const expected = args as never;
    await s.viem.assertions.revertWithCustomErrorWithArgs(call as Promise<Hex>, feedback, name as never, expected);
  }
}

describe("FeedbackRegistry: the surface of ERC-8004", () => {
  /** Signatures as the standard writes them (ERC-8004, reputation registry, v2.0.0). */
  const functions = [
    "giveFeedback(uint256,int128,uint8,string,string,string,string,bytes32)",
    "revokeFeedback(uint256,uint64)",
    "appendResponse(uint256,address,uint64,string,bytes32)",
    "getSummary(uint256,address[],string,string)",
    "readFeedback(uint256,address,uint64)",
    "readAllFeedback(uint256,address[],string,string,bool)",
    "getResponseCount(uint256,address,uint64,address[])",
    "getClients(uint256)",
    "getLastIndex(uint256,address)",
    "getIdentityRegistry()",
    "getVersion()",
  ];
  const events = parseAbi([
    "event NewFeedback(uint256 indexed agentId, address indexed clientAddress, uint64 feedbackIndex, int128 value, uint8 valueDecimals, string indexed indexedTag1, string tag1, string tag2, string endpoint, string feedbackURI, bytes32 feedbackHash)",
    "event FeedbackRevoked(uint256 indexed agentId, address indexed clientAddress, uint64 indexed feedbackIndex)",
    "event ResponseAppended(uint256 indexed agentId, address indexed clientAddress, uint64 feedbackIndex, address indexed responder, string responseURI, bytes32 responseHash)",
  ]);

  it("has each function and each event to the letter, indexed where the standard indexes", () => {
    for (const abi of [feedbackRegistryAbi, registry.abi] as const) {
      const entries = abi as Abi;
      const selectors = entries.filter((e): e is AbiFunction => e.type === "function").map(toFunctionSelector);
      for (const signature of functions) expect(selectors, signature).to.include(toFunctionSelector(signature));
      for (const event of events) {
        const ours = entries.find((e): e is AbiEvent => e.type === "event" && e.name === event.name);
        expect(ours && toEventSelector(ours)).to.equal(toEventSelector(event));
        const flags = (e: AbiEvent) => e.inputs.map((input) => input.indexed === true);
        expect(ours && flags(ours)).to.deep.equal(flags(event));
      }
    }
  });

  it("names its version and its identity registry", async () => {
    expect(await feedback.read.getVersion()).to.equal("2.0.0");
    expect((await feedback.read.getIdentityRegistry()).toLowerCase()).to.equal(s.registry.address);
  });

  it("emits what was said, and stores value, decimals and tags", async () => {
    const said: Note = [-325n, 1, "tradingYield", "day", "https://agent.example/mcp", URI, HASH];
    const hash = await give(agentId, stranger.address, said);
    const { logs } = await s.publicClient.getTransactionReceipt({ hash });
    const [event, ...rest] = parseEventLogs({ abi: feedbackRegistryAbi, logs });
    expect(rest).to.deep.equal([]);
    expect(event?.eventName).to.equal("NewFeedback");
    expect(event?.args).to.deep.include({
      ...{ agentId, feedbackIndex: 1n, value: -325n, valueDecimals: 1 },
      ...{ indexedTag1: keccak256(toHex("tradingYield")), tag1: "tradingYield", tag2: "day" },
      ...{ endpoint: "https://agent.example/mcp", feedbackURI: URI, feedbackHash: HASH },
    });
    expect(await feedback.read.readFeedback([agentId, stranger.address, 1n])).to.deep.equal([
      ...[-325n, 1, "tradingYield", "day", false],
    ]);
    expect(await feedback.read.isBacked([agentId, stranger.address, 1n])).to.equal(false);
  });

  it("refuses an owner's, an operator's and an approved account's praise, and unknown agents", async () => {
    const operator = signerAt(9).address;
    const own = { account: provider.account };
    await s.registry.write.setApprovalForAll([operator, true], own);
    for (const account of [provider.account, operator]) {
      await refuses(give(agentId, account), "FeedbackSelf", [agentId, account]);
    }
    await s.registry.write.setApprovalForAll([operator, false], own);
    await s.viem.assertions.revertWithCustomError(give(9_999n, stranger.address), s.registry, "ERC721NonexistentToken");
  });

  it("bounds decimals, values and tags", async () => {
    const max = 10n ** 38n;
    const who = signerAt(8).address;
    await refuses(give(agentId, who, note(1n, 19)), "FeedbackTooManyDecimals", [19, 18]);
    await refuses(give(agentId, who, note(max + 1n)), "FeedbackValueTooLarge", [max + 1n, max]);
    await refuses(give(agentId, who, note(-max - 1n)), "FeedbackValueTooLarge", [-max - 1n, max]);
    await refuses(give(agentId, who, note(1n, 0, "x".repeat(129))), "FeedbackTagTooLong", [129n, 128n]);
    await refuses(give(agentId, who, note(1n, 0, "", "x".repeat(129))), "FeedbackTagTooLong", [129n, 128n]);
    await give(agentId, who, note(max, 18, "x".repeat(128)));
    await give(agentId, who, note(-max, 18));
    expect(await feedback.read.getSummary([agentId, [who], "", ""])).to.deep.equal([2n, 0n, 18]);
  });

  it("lets the giver revoke, once, and nothing else", async () => {
    const who = signerAt(7).address;
    await give(agentId, who);
    await refuses(feedback.write.revokeFeedback([agentId, 2n], { account: who }), "FeedbackUnknown", [
      agentId,
      who,
      2n,
      1n,
    ]);
    await refuses(feedback.write.revokeFeedback([agentId, 0n], { account: who }), "FeedbackUnknown");
    await s.viem.assertions.emitWithArgs(
      feedback.write.revokeFeedback([agentId, 1n], { account: who }),
      feedback,
      "FeedbackRevoked",
      [agentId, who, 1n],
    );
    await refuses(feedback.write.revokeFeedback([agentId, 1n], { account: who }), "FeedbackAlreadyRevoked");
    expect((await feedback.read.readFeedback([agentId, who, 1n]))[4]).to.equal(true);
    expect(await feedback.read.getSummary([agentId, [who], "", ""])).to.deep.equal([0n, 0n, 0]);
  });

  it("answers within the 300,000 gas that agent0 gives, two new tags of 31 bytes and a long URI included", async () => {
    const fresh = await s.registerAgent(11);
    const said: Note = [87n, 0, "a".repeat(31), "b".repeat(31), `https://${"e".repeat(80)}`, URI.repeat(2), HASH];
    const hash = await feedback.write.giveFeedback([fresh.agentId, ...said], {
      account: stranger.address,
      gas: 300_000n,
    });
    const { status } = await s.publicClient.getTransactionReceipt({ hash });
    expect(status).to.equal("success");
  });
});

describe("FeedbackRegistry: responses", () => {
  it("counts by feedback, client and agent, of all and of given responders, without a list to walk", async () => {
    const rated = await s.registerAgent(12);
    const [a, b, x, y] = [3, 4, 5, 6].map((index) => signerAt(index).address) as [Address, Address, Address, Address];
    for (const who of [a, a, b]) await give(rated.agentId, who);
    const respond = (of: Address, index: bigint, account: Address) =>
      feedback.write.appendResponse([rated.agentId, of, index, URI, HASH], { account });
    for (const [of, index, by] of [
      ...([
        [a, 1n, x],
        [a, 1n, x],
        [a, 1n, y],
        [a, 2n, x],
        [b, 1n, y],
      ] as const),
    ])
      await respond(of, index, by);
    const count = (of: Address, index: bigint, by: Address[] = []) =>
      feedback.read.getResponseCount([rated.agentId, of, index, by]);
    expect(await Promise.all([count(a, 1n), count(a, 2n), count(b, 1n)])).to.deep.equal([3n, 1n, 1n]);
    expect(await Promise.all([count(a, 0n), count(zeroAddress, 0n), count(zeroAddress, 7n)])).to.deep.equal([
      4n,
      5n,
      5n,
    ]);
    expect(await Promise.all([count(a, 1n, [x]), count(a, 0n, [x]), count(zeroAddress, 0n, [x])])).to.deep.equal([
      2n,
      3n,
      3n,
    ]);
    expect(await count(zeroAddress, 0n, [x, y, stranger.address])).to.equal(5n);
    await refuses(respond(a, 3n, x), "FeedbackUnknown", [rated.agentId, a, 3n, 2n]);
    await refuses(feedback.write.appendResponse([rated.agentId, a, 1n, "", HASH]), "FeedbackEmptyResponse");
  });
});

describe("FeedbackRegistry: a client's first feedback", () => {
  const EDGE = 2n ** 23n;

  for (const [value, where] of [
    ...([
      [EDGE - 1n, "in the client's slot"],
      [-EDGE, "in the client's slot"],
      [EDGE, "in a slot of its own"],
      [-EDGE - 1n, "in a slot of its own"],
    ] as const),
  ])
    it(`of ${value} lies ${where}, and reads the same before and after it is revoked and answered`, async () => {
      await s.registry.write.register({ account: provider.account });
      const id = (await s.registry.getEvents.Registered({}, { fromBlock: 0n })).at(-1)?.args.agentId ?? 0n;
      const [who, responder] = [signerAt(5).address, wallets[6]?.account.address as Address];
      const responses = () =>
        Promise.all([
          ...[1n, 2n, 0n].map((index) => feedback.read.getResponseCount([id, who, index, []])),
          feedback.read.getResponseCount([id, zeroAddress, 0n, []]),
        ]);
      const respond = (index: bigint) =>
        feedback.write.appendResponse([id, who, index, URI, HASH], { account: responder });
      const first = [value, 18, "starred", "ünïcode"] as const;
      await give(id, who, note(...first));
      const isHere = where === "in the client's slot";
      expect(await slotCountOf(id, who, 1n)).to.equal(isHere ? 0 : 1);
      expect(await feedback.read.readFeedback([id, who, 1n])).to.deep.equal([...first, false]);
      await give(id, who, note(7n));
      expect(await responses()).to.deep.equal([0n, 0n, 0n, 0n]);
      await feedback.write.revokeFeedback([id, 1n], { account: who });
      expect(await slotCountOf(id, who, 1n)).to.equal(isHere ? 0 : 1);
      expect(await feedback.read.readFeedback([id, who, 1n])).to.deep.equal([...first, true]);
      await refuses(feedback.write.revokeFeedback([id, 1n], { account: who }), "FeedbackAlreadyRevoked");
      for (const index of [2n, 1n, 2n]) await respond(index);
      expect(await slotCountOf(id, who, 1n)).to.equal(1);
      expect(await responses()).to.deep.equal([1n, 2n, 3n, 3n]);
      expect(await feedback.read.readFeedback([id, who, 1n])).to.deep.equal([...first, true]);
      expect(await feedback.read.readFeedback([id, who, 2n])).to.deep.equal([7n, 0, "", "", false]);
      expect(await feedback.read.getSummary([id, [who], "", ""])).to.deep.equal([1n, 7n, 0]);
      await feedback.write.revokeFeedback([id, 2n], { account: who });
      expect(await responses()).to.deep.equal([1n, 2n, 3n, 3n]);
    });
});

describe("FeedbackRegistry: deal-backed feedback", () => {
  it("consumes the deal's one ticket, and says so next to NewFeedback", async () => {
    const deal = await completedDeal();
    const dealId = dealIdOf(deal);
    const hash = await giveForDeal(deal, client.account, note(90n, 0, "starred"));
    const { logs } = await s.publicClient.getTransactionReceipt({ hash });
    const [given, backed, ...rest] = parseEventLogs({ abi: feedbackRegistryAbi, logs });
    expect([given?.eventName, backed?.eventName, rest.length]).to.deep.equal(["NewFeedback", "FeedbackBacked", 0]);
    const index = await feedback.read.getLastIndex([agentId, client.account]);
    expect(backed?.args).to.deep.include({ dealId, agentId, clientAgentId: client.agentId, feedbackIndex: index });
    expect(backed?.args.clientAddress.toLowerCase()).to.equal(client.account.toLowerCase());
    expect(await feedback.read.isBacked([agentId, client.account, index])).to.equal(true);
    expect(await escrow.read.isTicketUsed([dealId])).to.equal(true);
    await escrowRefuses(giveForDeal(deal, client.account), "DealEscrowTicketUsed", [dealId]);
    await feedback.write.revokeFeedback([agentId, index], { account: client.account });
    await escrowRefuses(giveForDeal(deal, client.account), "DealEscrowTicketUsed", [dealId]);
  });

  it("is for whoever speaks for the client: signer, owner, approved account, wallet; for nobody else", async () => {
    const hot = await s.bindLogSigner(client, 13);
    await giveForDeal(await completedDeal(), hot.address);
    const approved = signerAt(14).address;
    await s.registry.write.setApprovalForAll([approved, true], { account: client.account });
    await giveForDeal(await completedDeal(), approved);
    await s.registry.write.setApprovalForAll([approved, false], { account: client.account });
    const wallet = signerAt(17);
    const deadline = BigInt((await networkHelpers.time.latest()) + 200);
    const consent = { agentId: client.agentId, newWallet: wallet.address, owner: client.account, deadline };
    const proof = wallet.sign(typedDataDigest("AgentWalletSet", consent, s.contracts));
    await s.registry.write.setAgentWallet([client.agentId, wallet.address, deadline, proof], {
      account: client.account,
    });
    await giveForDeal(await completedDeal(), wallet.address);
    const deal = await completedDeal();
    for (const account of [approved, stranger.address]) {
      await refuses(giveForDeal(deal, account), "FeedbackNotClient", [dealIdOf(deal), client.agentId, account]);
    }
    await s.registry.write.revokeSigner([client.agentId, hot.signerHash, 0], { account: client.account });
    await refuses(giveForDeal(deal, hot.address), "FeedbackNotClient");
    await refuses(giveForDeal(deal, provider.account), "FeedbackNotClient");
  });

  it("has its tickets used by the registry alone that the deployer named, once: a stranger takes nobody's", async () => {
    const dealId = dealIdOf(await completedDeal());
    const other = await s.viem.deployContract("FeedbackRegistry", [escrow.address]);
    const [deployer] = wallets.map(({ account }) => account.address) as [Address];
    for (const account of [stranger.address, client.account, deployer]) {
      const asStranger = escrow.write.useTicket([dealId], { account });
      await escrowRefuses(asStranger, "DealEscrowNotNamed", [getAddress(account)]);
      const naming = escrow.write.setFeedbackRegistry([other.address], { account });
      await escrowRefuses(naming, "DealEscrowNotNamed", [getAddress(account)]);
    }
    const fresh = await s.createOtherEscrow();
    const early = fresh.write.setFeedbackRegistry([other.address], { account: stranger.address });
    await s.viem.assertions.revertWithCustomError(early, fresh, "DealEscrowNotNamed");
    expect(await escrow.read.isTicketUsed([dealId])).to.equal(false);
  });

  it("leaves the deal's slot as it was, but for its own bit", async () => {
    const deal = await completedDeal();
    const dealId = dealIdOf(deal);
    const slot = keccak256(
      encodeAbiParameters([{ type: "bytes32" }, { type: "uint256" }], [dealId, storageSlots.dealEscrow._progress]),
    );
    const read = async () => BigInt((await s.publicClient.getStorageAt({ address: escrow.address, slot })) ?? zeroHash);
    const before = await read();
    await giveForDeal(deal, client.account);
    expect((await read()) ^ before).to.equal(1n << 224n);
  });

  it("wants a settled deal: not an unknown, a funded, a submitted or a cancelled one; a refunded one counts", async () => {
    const funded = await s.openDeal();
    await escrowRefuses(giveForDeal(funded.deal, client.account), "DealEscrowNotSettled", [funded.dealId, 1]);
    const submitted = await s.submitDeal();
    await escrowRefuses(giveForDeal(submitted.deal, client.account), "DealEscrowNotSettled", [submitted.dealId, 2]);
    const invented = { ...funded.deal, salt: 1n << 200n };
    await escrowRefuses(giveForDeal(invented, client.account), "DealEscrowNotSettled", [dealIdOf(invented), 0]);
    const cancelled = await s.openDeal();
    await escrow.write.cancel([cancelled.deal, ...s.signCancel(cancelled.deal, client, provider)]);
    await escrowRefuses(giveForDeal(cancelled.deal, client.account), "DealEscrowNotSettled", [cancelled.dealId, 7]);
    await networkHelpers.time.increaseTo(funded.deal.submitBy + 1);
    await escrow.write.refund([funded.deal], { account: stranger.address });
    await giveForDeal(funded.deal, client.account, note(-100n));
  });

  it("weighs backed feedback apart from what anybody says", async () => {
    const rated = await s.registerAgent(15);
    const deal = await s.draftDeal(client, rated);
    await escrow.write.open([deal, ...s.sign(deal, client, rated)], { account: client.account });
    await escrow.write.submit([deal, HASH], { account: rated.account });
    await escrow.write.complete([deal, 10], { account: client.account });
    await giveForDeal(deal, client.account, note(40n));
    await give(rated.agentId, client.account, note(100n));
    await give(rated.agentId, stranger.address, note(100n));
    const both = [client.account, stranger.address];
    expect(await feedback.read.getSummary([rated.agentId, both, "", ""])).to.deep.equal([3n, 80n, 0]);
    expect(await feedback.read.getBackedSummary([rated.agentId, both, "", ""])).to.deep.equal([1n, 40n, 0]);
  });

  it("has no self-praise through a deal of one owner with itself", async () => {
    const sibling = await s.registry.read.balanceOf([client.account]);
    expect(sibling).to.equal(1n);
    await s.registry.write.register({ account: client.account });
    const signer = signerAt(16);
    const ids = await s.registry.getEvents.Registered({ owner: client.account }, { fromBlock: 0n });
    const twin = { ...client, agentId: ids.at(-1)?.args.agentId ?? 0n };
    const bound = { ...twin, signer: await s.bindLogSigner(twin, 16) };
    const deal = await s.draftDeal(client, bound);
    await escrow.write.open([deal, ...s.sign(deal, client, bound)], { account: client.account });
    await escrow.write.submit([deal, HASH], { account: signer.address });
    await escrow.write.complete([deal, 100], { account: client.account });
    await refuses(giveForDeal(deal, client.account), "FeedbackSelf", [bound.agentId, client.account]);
  });
});

/** How many of the mapping's slots for one feedback are written: the map of feedback is the one of the first 16 that has it. */
async function slotCountOf(agentId: bigint, who: Address, index: bigint): Promise<number> {
  let count = 0;
  for (let base = 0n; base < 16n; base++) {
    const map = keccak256(encodeAbiParameters([{ type: "uint256" }, { type: "uint256" }], [agentId, base]));
    const inner = keccak256(encodeAbiParameters([{ type: "address" }, { type: "bytes32" }], [who, map]));
    const slot = keccak256(encodeAbiParameters([{ type: "uint64" }, { type: "bytes32" }], [index, inner]));
    const word = await s.publicClient.getStorageAt({ address: feedback.address, slot });
    if (BigInt(word ?? "0x0") !== 0n) count++;
  }
  return count;
}

/** The slot of what is known of an agent, found by its newest client. */
async function slotOfAgent(agentId: bigint, newestClient: Address): Promise<readonly [Hex, bigint]> {
  for (let base = 0n; base < 16n; base++) {
    const slot = keccak256(encodeAbiParameters([{ type: "uint256" }, { type: "uint256" }], [agentId, base]));
    const word = BigInt((await s.publicClient.getStorageAt({ address: feedback.address, slot })) ?? "0x0");
    if (word !== 0n && BigInt.asUintN(160, word) === BigInt(newestClient)) return [slot, word];
  }
  throw new Error("no agent in the first 16 slots");
}

describe("FeedbackRegistry: views", () => {
  interface Said {
    readonly who: Address;
    readonly index: bigint;
    readonly value: bigint;
    readonly decimals: number;
    readonly tags: readonly [string, string];
    isRevoked: boolean;
  }

  /** ERC-8004 v2.0.0's own arithmetic: mean with 18 decimals, cut to the most frequent decimals. */
  function meanOf(all: readonly Said[]): [bigint, bigint, number] {
    if (all.length === 0) return [0n, 0n, 0];
    const counts = Array.from({ length: 19 }, (_, d) => all.filter(({ decimals }) => decimals === d).length);
    const decimals = counts.indexOf(Math.max(...counts));
    const sum = all.reduce((total, { value, decimals: d }) => total + value * 10n ** BigInt(18 - d), 0n);
    return [BigInt(all.length), sum / BigInt(all.length) / 10n ** BigInt(18 - decimals), decimals];
  }

  it("agree with the standard's semantics on random histories, page by page too", async function () {
    this.timeout(120_000);
    const people = [3, 4, 5].map((index) => signerAt(index).address);
    const tag = fc.constantFrom("", "starred", "uptime", "ünïcode");
    const given = fc.record({
      who: fc.constantFrom(...people),
      // Small first ones lie in their client's slot, others have one of their own.
      value: fc.oneof(
        fc.bigInt({ min: -(2n ** 24n), max: 2n ** 24n }),
        fc.bigInt({ min: -(10n ** 20n), max: 10n ** 20n }),
      ),
      decimals: fc.constantFrom(0, 1, 2, 18),
      tags: fc.tuple(tag, tag),
      revoke: fc.nat({ max: 5 }),
    });
    const history = async (entries: readonly (typeof given extends fc.Arbitrary<infer T> ? T : never)[]) => {
      await s.registry.write.register({ account: provider.account });
      const id = (await s.registry.getEvents.Registered({}, { fromBlock: 0n })).at(-1)?.args.agentId ?? 0n;
      const all: Said[] = [];
      for (const { who, value, decimals, tags, revoke } of entries) {
        await give(id, who, note(value, decimals, ...tags));
        const index = BigInt(all.filter((said) => said.who === who).length + 1);
        all.push({ who, index, value, decimals, tags, isRevoked: false });
        const victim = all[revoke];
        if (victim === undefined || victim.isRevoked) continue;
        await feedback.write.revokeFeedback([id, victim.index], { account: victim.who });
        victim.isRevoked = true;
      }
      return { id, all };
    };
    await fc.assert(
      fc.asyncProperty(fc.array(given, { minLength: 1, maxLength: 10 }), tag, tag, async (entries, tag1, tag2) => {
        const { id, all } = await history(entries);
        const order = [...new Set(all.map(({ who }) => who))];
        const matches = ({ tags }: Said) => (tag1 === "" || tags[0] === tag1) && (tag2 === "" || tags[1] === tag2);
        const standing = all.filter((said) => matches(said) && !said.isRevoked);
        const lower = (list: readonly Address[]) => list.map((who) => who.toLowerCase());
        expect(lower(await feedback.read.getClients([id]))).to.deep.equal(lower(order));
        expect(lower(await feedback.read.getClientsPage([id, zeroAddress, 100n]))).to.deep.equal(
          lower(order.toReversed()),
        );
        expect(await feedback.read.getSummary([id, people, tag1, tag2])).to.deep.equal(meanOf(standing));
        for (const includeRevoked of [false, true]) {
          const listed = order.flatMap((who) =>
            all.filter((said) => said.who === who && matches(said) && (includeRevoked || !said.isRevoked)),
          );
          const [clients, indexes, values, decimals, tag1s, tag2s, revoked] = await feedback.read.readAllFeedback([
            ...([id, [], tag1, tag2, includeRevoked] as const),
          ]);
          expect(lower(clients)).to.deep.equal(lower(listed.map(({ who }) => who)));
          expect([indexes, values, decimals]).to.deep.equal([
            listed.map(({ index }) => index),
            listed.map(({ value }) => value),
            listed.map(({ decimals: d }) => d),
          ]);
          expect([tag1s, tag2s, revoked]).to.deep.equal([
            listed.map(({ tags }) => tags[0]),
            listed.map(({ tags }) => tags[1]),
            listed.map(({ isRevoked }) => isRevoked),
          ]);
        }
        const first = order[0] as Address;
        const own = all.filter(({ who }) => who === first);
        const page = await feedback.read.readFeedbackPage([id, first, 2n, 3n]);
        expect(page.map(({ feedbackIndex, value, isRevoked }) => [feedbackIndex, value, isRevoked])).to.deep.equal(
          own.slice(1, 3).map(({ index, value, isRevoked }) => [index, value, isRevoked]),
        );
        const parts = await Promise.all(
          [
            [1n, 2n],
            [3n, 1_000n],
          ].map(([from, to]) =>
            feedback.read.summarizePage([id, first, from as bigint, to as bigint, tag1, tag2, false]),
          ),
        );
        const mine = standing.filter(({ who }) => who === first);
        expect(parts.reduce((total, { count }) => total + count, 0n)).to.equal(BigInt(mine.length));
        expect(parts.reduce((total, { sumWad }) => total + sumWad, 0n)).to.equal(
          mine.reduce((total, { value, decimals: d }) => total + value * 10n ** BigInt(18 - d), 0n),
        );
      }),
      { numRuns: 15 },
    );
  });

  it("asks for a choice of clients before it summarizes, as the standard does", async () => {
    await refuses(feedback.read.getSummary([agentId, [], "", ""]), "FeedbackNoClients", [agentId]);
    expect(await feedback.read.getSummary([agentId, [signerAt(19).address], "never used", ""])).to.deep.equal([
      0n,
      0n,
      0,
    ]);
  });

  it("never walk without a bound: past 2,048 they name the bound, and pages go on", async function () {
    this.timeout(120_000);
    const crowded = await s.viem.deployContract("FeedbackCrowd", [feedback.address, s.registry.address]);
    await crowded.write.register();
    const id = (await s.registry.getEvents.Registered({}, { fromBlock: 0n })).at(-1)?.args.agentId ?? 0n;
    const chunk = 200;
    for (let left = 2_049; left > 0; left -= chunk) await crowded.write.giveMany([id, BigInt(Math.min(left, chunk))]);
    const giver = await crowded.read.giver();
    expect(await feedback.read.getLastIndex([id, giver])).to.equal(2_049n);
    await refuses(feedback.read.getSummary([id, [giver], "", ""]), "FeedbackTooMany", [2_050n, 2_048n]);
    await refuses(feedback.read.readAllFeedback([id, [], "", "", true]), "FeedbackTooMany", [2_050n, 2_048n]);
    await refuses(feedback.read.readFeedbackPage([id, giver, 1n, 2_049n]), "FeedbackTooMany", [2_049n, 2_048n]);
    await refuses(feedback.read.getClientsPage([id, zeroAddress, 2_049n]), "FeedbackTooMany", [2_049n, 2_048n]);
    // As many clients cost millions of gas: the chain is told of them, in the agent's slot (client160 | count32 | responses64).
    const snapshot = await s.networkHelpers.takeSnapshot();
    const [slot, word] = await slotOfAgent(id, giver);
    const crowd = (word & ((1n << 160n) - 1n)) | (2_049n << 160n);
    await s.networkHelpers.setStorageAt(feedback.address, slot, numberToHex(crowd, { size: 32 }));
    await refuses(feedback.read.getClients([id]), "FeedbackTooMany", [2_049n, 2_048n]);
    expect(await feedback.read.getClientsPage([id, zeroAddress, 5n])).to.deep.equal([giver]);
    await snapshot.restore();
    const part = (from: bigint, to: bigint) => feedback.read.summarizePage([id, giver, from, to, "", "", false]);
    const [one, two] = await Promise.all([part(1n, 2_048n), part(2_049n, 9_999n)]);
    expect([one.count, two.count]).to.deep.equal([2_048n, 1n]);
    expect((await feedback.read.readFeedbackPage([id, giver, 2_042n, 2_049n])).length).to.equal(8);
    // A summary at the bound fits one transaction (EIP-7825: 16,777,216 gas).
    const call = encodeFunctionData({
      abi: feedbackRegistryAbi,
      functionName: "summarizePage",
      args: [id, giver, 1n, 2_048n, "", "", false],
    });
    expect(
      Number(
        await s.publicClient.estimateGas({
          account: wallets[0]?.account.address as Address,
          to: feedback.address,
          data: call,
        }),
      ),
    ).to.be.lessThan(16_777_216);
  });
});
