import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { GraphQLClient, type ClientError } from "graphql-request";
import { type Hex, bytesToHex, decodeFunctionResult, hexToBytes, keccak256, numberToHex, toHex } from "viem";
import { encodeLeaves, encodeLeavesFile, fileNameOf, LeafTree, reputationEpochsAbi, verifyProof } from "#protocol";
import { createIndexer, verifyStored, type Indexer } from "../../../indexer/index.ts";
import { topicRootOf } from "../../reputation-contracts/world.ts";
import { solveHonestly, TrustGraph, type Epoch } from "../../reputation-contracts/trust-graph.ts";
import {
  agentAt,
  EPOCH_LENGTH_SECONDS,
  settleDeal,
  startSuretyChain,
  TOPICS,
  type SuretyChain,
} from "../surety-chain.ts";

interface ScoreAnswer {
  score: {
    agent: { id: string };
    candidate: { id: string; leavesState: string };
    score: string;
    root: Hex;
    index: string;
    leaf: Hex;
    leafCount: string;
    proof: Hex[];
    proofCalldata: Hex;
    contract: Hex;
    finality: string;
    publishedIn: Hex;
    finalizedIn: Hex | null;
  } | null;
}

const SCORE = `query ($agentId: BigInt!, $topic: BigInt!, $epoch: Int) {
  score(agentId: $agentId, topic: $topic, epoch: $epoch) {
    agent { id } candidate { id leavesState } score root index leaf leafCount proof query proofCalldata contract
    finality isChainFinal publishedIn finalizedIn
  }
}`;

describe("scores and their proofs", () => {
  let chain: SuretyChain;
  let indexer: Indexer;
  let graphql: GraphQLClient;
  let honest: Epoch;
  let second: Epoch;
  let commitTx: Hex;
  const [topic, otherTopic] = TOPICS;

  before(async function () {
    this.timeout(180_000);
    chain = await startSuretyChain();
    const { client, deployment, folder } = chain;
    indexer = createIndexer({ client, deployment, store: { folder }, pollIntervalMs: 10 });
    await indexer.start();
    graphql = new GraphQLClient(indexer.graphqlUrl);
    const graphs = TOPICS.map((one) => new TrustGraph(one));
    for (const { agentId, account } of chain.agents) {
      await chain.vault.write.stake([agentId, 10_000n * BigInt(agentId)], { account });
    }
    const ratings = [
      [0, 1, 90],
      [1, 2, 50],
      [2, 0, 70],
      [3, 1, 20],
      [0, 3, -60],
      [4, 2, 100],
    ] as const;
    for (const [k, graph] of graphs.entries()) {
      for (const [from, to, rating] of ratings) {
        const [a, b] = [agentAt(chain, from), agentAt(chain, to)];
        await settleDeal(chain, [a, b], rating, { topic: TOPICS[k] as bigint });
        graph.record(a.agentId, b.agentId, Math.max(rating, 0), Math.max(-rating, 0));
      }
    }
    const epochs = graphs.map((graph) => solveHonestly(graph.close((agentId) => 10_000n * BigInt(agentId))));
    [honest, second] = epochs as [Epoch, Epoch];
    await goToEpoch(2n);
    commitTx = await commit([honest], bytesToHex(encodeLeaves(honest.words)));
    // The second topic comes with one leaf's score moved, the first again without leaves.
    const tampered = hexToBytes(bytesToHex(encodeLeaves((epochs[1] as Epoch).words)));
    tampered[40] = (tampered[40] as number) ^ 1;
    await commit([epochs[1] as Epoch], bytesToHex(tampered));
    await commit([honest], "0x");
    await catchUp();
  });

  after(async () => {
    await indexer?.stop();
    await chain?.close();
  });

  async function goToEpoch(epoch: bigint): Promise<void> {
    const start = (await chain.ledger.read.genesis()) + (epoch - 1n) * BigInt(EPOCH_LENGTH_SECONDS);
    await chain.rpc("evm_setNextBlockTimestamp", `0x${start.toString(16)}`);
    await chain.rpc("evm_mine");
  }

  const commit = (epochs: readonly Epoch[], leaves: Hex): Promise<Hex> => commitRoots(epochs.map(topicRootOf), leaves);

  async function commitRoots(roots: readonly ReturnType<typeof topicRootOf>[], leaves: Hex): Promise<Hex> {
    const { agentId, account } = agentAt(chain, 0);
    const args = [agentId, keccak256(toHex("closing")), roots, leaves] as const;
    return chain.epochs.write.commit(args, { account });
  }

  async function catchUp(): Promise<void> {
    const { number, hash } = await chain.client.getBlock();
    await indexer.reached({ number: Number(number), hash });
  }

  const ask = async (agentId: number, of: bigint, epoch?: number) =>
    (await graphql.request<ScoreAnswer>(SCORE, { agentId, topic: of.toString(), epoch })).score;

  it("recomputes each root before it shows a score, and tells what became of the leaves", async () => {
    const { candidates } = await graphql.request<{
      candidates: { leavesState: string; state: string; scores: unknown[] }[];
    }>("{ candidates(orderBy: id) { leavesState state scores { id } } }");
    expect(candidates.map(({ leavesState, scores }) => [leavesState, scores.length])).to.deep.equal([
      ["verified", honest.words.length],
      ["mismatch", 0],
      ["announced", 0],
    ]);
    const error = (await ask(1, otherTopic, 1).catch((reason: unknown) => reason)) as ClientError;
    expect(error.response.errors?.[0]?.extensions).to.include({ code: "SCORE_NOT_VERIFIED", leavesState: "mismatch" });
  });

  it("gives scores of leaves that came as a file, past a source that lies, and again after a reorg and a restart without any", async () => {
    const { client, deployment } = chain;
    const place = mkdtempSync(join(tmpdir(), "surety-score-"));
    const words = second.words;
    const { root } = new LeafTree(words);
    const lying = createServer((_request, response) => {
      const bytes = encodeLeavesFile(words);
      bytes[bytes.length - 1] = (bytes[bytes.length - 1] as number) ^ 1;
      response.end(bytes);
    });
    lying.listen(0, "127.0.0.1");
    await once(lying, "listening");
    const liar = `http://127.0.0.1:${(lying.address() as AddressInfo).port}`;
    const store = { folder: join(place, "index") };
    const open = async (leafSources: string[]) => {
      const own = createIndexer({ client, deployment, store, pollIntervalMs: 10, leafSources, explorer: false });
      await own.start();
      await own.ready();
      return { own, graphql: new GraphQLClient(own.graphqlUrl) };
    };
    const reachedBy = async (of: Indexer) => {
      const { number, hash } = await client.getBlock();
      await of.reached({ number: Number(number), hash });
    };
    const stateIn = async (of: GraphQLClient, asOf = root) => {
      const query = `{ topicRoots(where: { root: "${asOf}", topic: "${otherTopic}" }) { leavesState leavesFile { state knownLeafCount detail } } }`;
      const { topicRoots } = await of.request<{
        topicRoots: {
          leavesState: string;
          leavesFile: { state: string; knownLeafCount: string; detail: string | null } | null;
        }[];
      }>(query);
      return topicRoots[0];
    };
    const until = async (of: GraphQLClient, state: string, asOf = root) => {
      while ((await stateIn(of, asOf))?.leavesFile?.state !== state)
        await new Promise((resolve) => setTimeout(resolve, 20));
    };
    const scoreIn = async (of: GraphQLClient) =>
      (await of.request<ScoreAnswer>(SCORE, { agentId: 2, topic: otherTopic.toString(), epoch: 1 })).score;
    const expectProven = async (of: GraphQLClient) => {
      const answer = await scoreIn(of);
      const leaf = { index: Number(answer?.index), word: BigInt(answer?.leaf ?? 0) };
      expect(leaf.word).to.equal(words[leaf.index]);
      expect(verifyProof(root, Number(answer?.leafCount), leaf, answer?.proof ?? [])).to.equal(true);
      expect(answer?.agent.id).to.equal("31337:2");
    };
    let { own, graphql: asked } = await open([liar]);
    try {
      await until(asked, "false");
      expect(await stateIn(asked)).to.deep.include({ leavesState: "mismatch" });
      const error = (await scoreIn(asked).catch((reason: unknown) => reason)) as ClientError;
      expect(error.response.errors?.[0]?.extensions).to.include({ code: "SCORE_NOT_VERIFIED", fileState: "false" });
      await own.stop();
      writeFileSync(join(place, fileNameOf(root)), encodeLeavesFile(words));
      ({ own, graphql: asked } = await open([liar, place]));
      await until(asked, "verified");
      await expectProven(asked);
      // A branch with a root of its own goes, and comes again: what was loaded of it is still here, without any source.
      const fork = await chain.rpc("evm_snapshot");
      const others = words.with(-1, (words.at(-1) as bigint) + 1n);
      const other = { topic: otherTopic, root: new LeafTree(others).root, multiplier: 1n, shift: 0 };
      writeFileSync(join(place, fileNameOf(other.root)), encodeLeavesFile(others));
      await commitRoots([other], "0x");
      await until(asked, "verified", other.root);
      await chain.rpc("evm_revert", fork);
      await chain.rpc("evm_mine");
      await reachedBy(own);
      expect(await stateIn(asked, other.root)).to.equal(undefined);
      rmSync(join(place, fileNameOf(other.root)));
      const again = await chain.rpc("evm_snapshot");
      await commitRoots([other], "0x");
      await reachedBy(own);
      expect((await stateIn(asked, other.root))?.leavesFile).to.include({ state: "verified" });
      await chain.rpc("evm_revert", again);
      await chain.rpc("evm_mine");
      await reachedBy(own);
      await own.stop();
      rmSync(join(place, fileNameOf(root)));
      ({ own, graphql: asked } = await open([]));
      await expectProven(asked);
      const checked = await verifyStored(client, deployment, store, new AbortController().signal);
      expect(checked.differenceCount).to.equal(0);
    } finally {
      await own.stop();
      lying.close();
      rmSync(place, { recursive: true, force: true });
    }
  });

  it("gives a committed score with its proof, and calls it standing until it is finalized", async () => {
    expect(await ask(2, topic)).to.equal(null);
    const answer = await ask(2, topic, 1);
    expect(answer).to.deep.include({ finality: "standing", publishedIn: commitTx, finalizedIn: null });
    expect(answer?.agent.id).to.equal("31337:2");
    const leaf = { index: Number(answer?.index), word: BigInt(answer?.leaf ?? 0) };
    expect(verifyProof(answer?.root as Hex, Number(answer?.leafCount), leaf, answer?.proof ?? [])).to.equal(true);
    expect(answer?.root).to.equal(new LeafTree(honest.words).root);
  });

  it("shows scores of a commit without leaves once they are answered on chain, and who waits for an answer", async () => {
    const [, , silent] = (await graphql.request<{ candidates: { id: string }[] }>("{ candidates(orderBy: id) { id } }"))
      .candidates;
    const [candidateId, { account }] = [BigInt(silent?.id ?? 0), agentAt(chain, 4)];
    const ofSilent = async () => {
      await catchUp();
      const query = `{ candidate(id: "${candidateId}") { leavesState scores { leaf } leafRequests { state requester fee } } }`;
      return (await graphql.request<{ candidate: Record<string, unknown> }>(query)).candidate;
    };
    const value = 10n ** 18n;
    await chain.epochs.write.requestLeaves([candidateId, topic, 0n], { account, value });
    const asked = { requester: account.toLowerCase(), fee: value.toString() };
    expect(await ofSilent()).to.deep.equal({
      ...{ leavesState: "announced", scores: [], leafRequests: [{ state: "waiting", ...asked }] },
    });
    await chain.epochs.write.answerLeaves([candidateId, topic, 0n, honest.words, []], { account });
    const { scores, ...rest } = await ofSilent();
    expect(rest).to.deep.equal({ leavesState: "verified", leafRequests: [{ state: "answered", ...asked }] });
    expect(scores).to.deep.equal(honest.words.map((word) => ({ leaf: numberToHex(word, { size: 32 }) })));
  });

  it("gives calldata with which the contract itself confirms a finalized score", async () => {
    await goToEpoch(3n);
    await chain.epochs.write.finalize([1, [topic]], { account: agentAt(chain, 3).account });
    await catchUp();
    for (const { agentId } of chain.agents.slice(0, 5)) {
      const answer = await ask(agentId, topic);
      expect(answer?.finality).to.equal("finalized");
      const { data } = await chain.client.call({ to: answer?.contract as Hex, data: answer?.proofCalldata as Hex });
      const [agent, score] = decodeFunctionResult({
        abi: reputationEpochsAbi,
        functionName: "verifyScore",
        data: data as Hex,
      });
      expect([agent, score]).to.deep.equal([agentId, BigInt(answer?.score ?? 0)]);
    }
    expect(await ask(6, topic)).to.equal(null);
    expect(await ask(0, topic)).to.equal(null);
  });
});
