import { hexToBigInt } from "viem";
import { LeafTree, packScoreQuery, reputationEpochsAbi, SCORE_SUM, unpackLeaf, verifyProof } from "#protocol";
import { auditScore } from "../../../scripts/audit/score.ts";
import type { MetaBlock } from "../api.ts";
import { compare, verifyBlock, type Chain } from "./chain.ts";
import type { ScoreClaim, Step, TopicClaim } from "./claims.ts";

/**
 * Compares a score with the root that the chain holds: the leaf says it, the proof leads to the root, the contract answers
 * the same; then the auditor computes it again from the ledger's events.
 */
export async function* verifyScore(
  chain: Chain,
  claim: ScoreClaim,
  block: MetaBlock,
): AsyncGenerator<Step, void, void> {
  yield* verifyBlock(chain, block);
  const { root, leafCount } = yield* verifyRoot(chain, claim, block);
  const leaf = unpackLeaf(hexToBigInt(claim.leaf));
  yield compare("score that the page shows", claim.shown, leaf.score);
  yield compare("score of the proof", claim.score, leaf.score);
  yield compare("agent of the leaf", claim.agentId, leaf.agentId);
  yield compare("prior", claim.prior, leaf.prior);
  const index = Number(claim.index);
  const isProven = verifyProof(root, leafCount, { index, word: hexToBigInt(claim.leaf) }, claim.proof);
  const detail = isProven
    ? `${claim.proof.length} hashes lead from the leaf to the root on chain`
    : `the proof does not lead to the root on chain, ${root}`;
  yield { name: "proof", isOk: isProven, detail, about: "server" };
  yield* askContract(chain, claim, block);
  const question = { agentId: Number(claim.agentId), topic: BigInt(claim.topic), claimed: BigInt(claim.shown) };
  for await (const check of auditScore(chain.client, chain.deployment, question)) yield { ...check, about: "chain" };
}

/** Compares every leaf that the page lists with the root on chain: none is changed, missing or added. */
export async function* verifyTopic(
  chain: Chain,
  claim: TopicClaim,
  block: MetaBlock,
): AsyncGenerator<Step, void, void> {
  yield* verifyBlock(chain, block);
  const { root } = yield* verifyRoot(chain, claim, block);
  const words = claim.leaves.map(({ leaf }) => hexToBigInt(leaf));
  for (const [seat, said] of claim.leaves.entries()) {
    const { agentId, score } = unpackLeaf(hexToBigInt(said.leaf));
    if (Number(said.seat) === seat && said.agent === String(agentId) && said.score === String(score)) continue;
    return yield compare(
      `row of agent ${said.agent}`,
      `seat ${said.seat}, ${said.score}`,
      `seat ${seat}, agent ${agentId}, ${score}`,
    );
  }
  yield { name: "rows", isOk: true, detail: `${words.length} rows say what their leaves say`, about: "server" };
  yield compare("root of the listed leaves", words.length === 0 ? null : new LeafTree(words).root, root);
  const sum = words.reduce((total, word) => total + unpackLeaf(word).score, 0n);
  yield { name: "sum", isOk: sum <= SCORE_SUM, detail: `the scores sum to ${sum} of ${SCORE_SUM}`, about: "chain" };
}

async function* verifyRoot(
  { client, deployment }: Chain,
  claim: Pick<ScoreClaim, "topic" | "root" | "epoch" | "leafCount">,
  block: MetaBlock,
) {
  const [root, epoch, leafCount] = await client.readContract({
    abi: reputationEpochsAbi,
    address: deployment.contracts.reputationEpochs,
    functionName: "finalizedOf",
    args: [BigInt(claim.topic)],
    blockNumber: BigInt(block.number),
  });
  yield compare("finalized epoch", claim.epoch, epoch);
  yield compare("root", claim.root, root);
  yield compare("leaves", claim.leafCount, leafCount);
  return { root, leafCount };
}

async function* askContract(
  { client, deployment }: Chain,
  claim: ScoreClaim,
  block: MetaBlock,
): AsyncGenerator<Step, void, void> {
  const query = packScoreQuery({ topic: BigInt(claim.topic), epoch: Number(claim.epoch), index: Number(claim.index) });
  const answer = await client
    .readContract({
      abi: reputationEpochsAbi,
      address: deployment.contracts.reputationEpochs,
      functionName: "verifyScore",
      args: [query, hexToBigInt(claim.leaf), claim.proof],
      blockNumber: BigInt(block.number),
    })
    .catch(() => undefined);
  const said = `agent ${claim.agentId}, ${claim.shown}`;
  const actual = answer === undefined ? "that it refuses the proof" : `agent ${answer[0]}, ${answer[1]}`;
  yield compare("contract", said, actual);
}
