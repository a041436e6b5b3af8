import { expect } from "chai";
import {
  encodeAbiParameters,
  keccak256,
  numberToHex,
  parseAbi,
  toEventSelector,
  toFunctionSelector,
  toHex,
  zeroAddress,
  zeroHash,
  type Address,
  type Hex,
} from "viem";
import { validationRegistryAbi } from "#protocol";
import { createSettlement, signerAt, type Agent } from "../settlement/fixture.ts";

const s = await createSettlement();
const { client, provider, networkHelpers } = s;
const registry = await s.viem.deployContract("ValidationRegistry", [s.registry.address]);
const [validator, other] = [signerAt(5).address, signerAt(6).address];
const REQUEST_URI = "ipfs://request";
const RESPONSE_HASH = keccak256(toHex("evidence"));
let count = 0;
const freshHash = (): Hex => keccak256(toHex(`request ${++count}`));

const ask = (of: Agent, hash: Hex, by: Address = validator, account: Address = of.account) =>
  registry.write.validationRequest([by, of.agentId, REQUEST_URI, hash], { account });
const answer = (hash: Hex, response: number, tag = "", account: Address = validator) =>
  registry.write.validationResponse([hash, response, "ipfs://response", RESPONSE_HASH, tag], { account });
async function refuses(call: Promise<unknown>, name: string, args: unknown[]): Promise<void> {
  await s.viem.assertions.revertWithCustomErrorWithArgs(call as Promise<Hex>, registry, name as never, args as never);
}
/** Where the length of an agent's list of requests lies, found by what it is. */
async function slotOfRequests(agentId: bigint, length: number): Promise<Hex> {
  for (let base = 0n; base < 16n; base++) {
    const slot = keccak256(encodeAbiParameters([{ type: "uint256" }, { type: "uint256" }], [agentId, base]));
    const word = await s.publicClient.getStorageAt({ address: registry.address, slot });
    if (BigInt(word ?? "0x0") === BigInt(length)) return slot;
  }
  throw new Error("no list of requests in the first 16 slots");
}
const lower = (address: Address) => address.toLowerCase();

describe("ValidationRegistry: the surface of ERC-8004", () => {
  it("has each function and each event to the letter", () => {
    const selectors = validationRegistryAbi.filter((e) => e.type === "function").map(toFunctionSelector);
    for (const signature of [
      "validationRequest(address,uint256,string,bytes32)",
      "validationResponse(bytes32,uint8,string,bytes32,string)",
      "getValidationStatus(bytes32)",
      "getSummary(uint256,address[],string)",
      "getAgentValidations(uint256)",
      "getValidatorRequests(address)",
      "getIdentityRegistry()",
      "getVersion()",
    ]) {
      expect(selectors, signature).to.include(toFunctionSelector(signature));
    }
    for (const event of parseAbi([
      "event ValidationRequest(address indexed validatorAddress, uint256 indexed agentId, string requestURI, bytes32 indexed requestHash)",
      "event ValidationResponse(address indexed validatorAddress, uint256 indexed agentId, bytes32 indexed requestHash, uint8 response, string responseURI, bytes32 responseHash, string tag)",
    ])) {
      const ours = validationRegistryAbi.find((e) => e.type === "event" && e.name === event.name);
      expect(ours?.type === "event" && toEventSelector(ours)).to.equal(toEventSelector(event));
      const flags = (inputs: readonly object[] = []) => inputs.map((input) => "indexed" in input);
      expect(flags(ours?.inputs.filter((i) => "indexed" in i && i.indexed))).to.have.length(
        flags(event.inputs).filter(Boolean).length,
      );
    }
  });

  it("takes a request from owner and operator, and an answer from the asked validator", async () => {
    const hash = freshHash();
    await s.viem.assertions.emitWithArgs(ask(provider, hash), registry, "ValidationRequest", [
      ...[validator, provider.agentId, REQUEST_URI, hash],
    ] as never);
    const before = await registry.read.getValidationStatus([hash]);
    expect(before.slice(1, 5)).to.deep.equal([provider.agentId, 0, zeroHash, ""]);
    await networkHelpers.time.increase(60);
    await s.viem.assertions.emitWithArgs(answer(hash, 93, "hard-finality"), registry, "ValidationResponse", [
      ...[validator, provider.agentId, hash, 93, "ipfs://response", RESPONSE_HASH, "hard-finality"],
    ] as never);
    const after = await registry.read.getValidationStatus([hash]);
    expect([lower(after[0]), ...after.slice(1, 5)]).to.deep.equal([
      ...[lower(validator), provider.agentId, 93, RESPONSE_HASH, "hard-finality"],
    ]);
    expect(after[5]).to.equal(BigInt(await networkHelpers.time.latest()));
    expect(after[5] > before[5]).to.equal(true);
  });

  it("refuses strangers, unknown requests, other validators, zero validators and answers above 100", async () => {
    const hash = freshHash();
    const stranger = s.stranger.address;
    await refuses(ask(provider, hash, validator, stranger), "ValidationNotAuthorized", [provider.agentId, stranger]);
    await refuses(ask(provider, hash, zeroAddress), "ValidationZeroValidator", [provider.agentId]);
    await refuses(answer(hash, 1), "ValidationUnknown", [hash, validator]);
    await refuses(registry.read.getValidationStatus([hash]), "ValidationUnknown", [hash, zeroAddress]);
    await ask(provider, hash);
    await refuses(ask(provider, hash), "ValidationExists", [hash, provider.agentId, validator]);
    await refuses(answer(hash, 1, "", other), "ValidationUnknown", [hash, other]);
    await refuses(answer(hash, 101), "ValidationResponseTooLarge", [101, 100]);
    await refuses(answer(hash, 1, "x".repeat(129)), "ValidationTagTooLong", [129n, 128n]);
  });

  it("summarizes the last answers, by validator and tag, and lists hashes in order", async () => {
    const agent = await s.registerAgent(7);
    const hashes = [freshHash(), freshHash(), freshHash(), freshHash()] as const;
    for (const hash of hashes.slice(0, 3)) await ask(agent, hash);
    await ask(agent, hashes[3], other);
    await answer(hashes[0], 100, "soft");
    await answer(hashes[0], 40, "hard");
    await answer(hashes[1], 61, "soft");
    await answer(hashes[3], 0, "hard", other);
    const summary = (by: Address[], tag: string) => registry.read.getSummary([agent.agentId, by, tag]);
    expect(await summary([], "")).to.deep.equal([3n, 33]);
    expect(await summary([validator], "")).to.deep.equal([2n, 50]);
    expect(await summary([], "hard")).to.deep.equal([2n, 20]);
    expect(await summary([other, validator], "soft")).to.deep.equal([1n, 61]);
    expect(await summary([], "never used")).to.deep.equal([0n, 0]);
    expect(await registry.read.getAgentValidations([agent.agentId])).to.deep.equal([...hashes]);
    expect(await registry.read.getAgentValidationsPage([agent.agentId, 1n, 3n])).to.deep.equal(hashes.slice(1, 3));
    expect((await registry.read.getValidatorRequests([validator])).slice(-3)).to.deep.equal(hashes.slice(0, 3));
    const parts = await Promise.all(
      [
        [0n, 2n],
        [2n, 99n],
      ].map(([from, to]) => registry.read.summarizePage([agent.agentId, [], "", from as bigint, to as bigint])),
    );
    expect(parts).to.deep.equal([
      [2n, 101n],
      [1n, 0n],
    ]);
  });
});

describe("ValidationRegistry: what the reference leaves open", () => {
  it("keeps every answer: a later one does not replace what was said", async () => {
    const hash = freshHash();
    await ask(provider, hash);
    for (const [response, tag] of [
      [10, "first"],
      [90, "second"],
      [20, ""],
    ] as const)
      await answer(hash, response, tag);
    const of = [hash, provider.agentId, validator] as const;
    const history = await registry.read.getValidationHistory([...of, 0n, 10n]);
    expect(history.map(({ response, tag }) => [response, tag])).to.deep.equal([
      [10, "first"],
      [90, "second"],
      [20, ""],
    ]);
    expect((await registry.read.getValidationHistory([...of, 1n, 2n])).map(({ response }) => response)).to.deep.equal([
      90,
    ]);
    const [, answerCount, last] = await registry.read.getValidationOf(of);
    expect([answerCount, last.response]).to.deep.equal([3n, 20]);
  });

  it("knows no self-validation: owner, operator, wallet and signer are refused, also when they become it later", async () => {
    const agent = await s.registerAgent(8);
    const operator = signerAt(9).address;
    await s.registry.write.setApprovalForAll([operator, true], { account: agent.account });
    for (const self of [agent.account, operator]) {
      await refuses(ask(agent, freshHash(), self), "ValidationSelf", [agent.agentId, self]);
    }
    const hot = await s.bindLogSigner(agent, 10);
    await refuses(ask(agent, freshHash(), hot.address), "ValidationSelf", [agent.agentId, hot.address]);
    const hash = freshHash();
    await ask(agent, hash, other);
    await s.registry.write.transferFrom([agent.account, other, agent.agentId], { account: agent.account });
    await refuses(answer(hash, 100, "", other), "ValidationSelf", [agent.agentId, other]);
  });

  it("never walks without a bound: past 2,048 steps it names the bound, and pages go on", async () => {
    const agent = await s.registerAgent(12);
    const hashes = [freshHash(), freshHash()];
    for (const hash of hashes) await ask(agent, hash);
    // 2,049 requests cost an agent's owner a night: the chain is told of them, in the array's length.
    const slot = await slotOfRequests(agent.agentId, hashes.length);
    await networkHelpers.setStorageAt(registry.address, slot, numberToHex(2_049, { size: 32 }));
    const id = agent.agentId;
    const tooMany = (steps: bigint): [string, bigint[]] => ["ValidationTooMany", [steps, 2_048n]];
    await refuses(registry.read.getAgentValidations([id]), ...tooMany(2_049n));
    await refuses(registry.read.getAgentValidationsPage([id, 0n, 2_049n]), ...tooMany(2_049n));
    await refuses(registry.read.getSummary([id, [], ""]), ...tooMany(2_049n));
    await refuses(registry.read.summarizePage([id, [validator, other], "", 0n, 683n]), ...tooMany(2_049n));
    expect(await registry.read.summarizePage([id, [validator, other], "", 0n, 2n])).to.deep.equal([0n, 0n]);
    expect(await registry.read.getAgentValidationsPage([id, 0n, 2n])).to.deep.equal(hashes);
    expect(await registry.read.getAgentValidationsPage([id, 5n, 2n])).to.deep.equal([]);
  });

  it("cannot be squatted: whoever takes a hash first blocks nobody", async () => {
    const hash = freshHash();
    await ask(client, hash, other);
    await ask(provider, hash);
    await answer(hash, 77);
    const [, , mine] = await registry.read.getValidationOf([hash, provider.agentId, validator]);
    expect(mine.response).to.equal(77);
    // Even the same validator can tell them apart, by naming the agent.
    await ask(client, hash);
    await refuses(answer(hash, 1), "ValidationAmbiguous", [hash, validator]);
    await registry.write.validationResponseFor([client.agentId, hash, 11, "", zeroHash, ""], { account: validator });
    const [, , theirs] = await registry.read.getValidationOf([hash, client.agentId, validator]);
    expect(theirs.response).to.equal(11);
    expect((await registry.read.getValidationOf([hash, provider.agentId, validator]))[2].response).to.equal(77);
  });
});
