import { dealEscrowAbi, structHash, type Deal } from "#protocol";
import { auditDeal } from "../../../scripts/audit/deal.ts";
import { readEvents } from "../../../scripts/audit/logs.ts";
import type { MetaBlock } from "../api.ts";
import { compare, verifyBlock, type Chain } from "./chain.ts";
import type { DealClaim, Step } from "./claims.ts";

/** The contract's enum, in its order. */
const states = ["Open", "Funded", "Submitted", "Completed", "Refunded", "Disputed", "Resolved", "Cancelled"] as const;

/** Compares what the server said of a deal with the chain, then has the auditor check signatures, state and payment. */
export async function* verifyDeal(chain: Chain, claim: DealClaim, block: MetaBlock): AsyncGenerator<Step, void, void> {
  yield* verifyBlock(chain, block);
  // The id is the hash of the terms: terms that hash to it are the ones that both sides signed.
  const terms = structHash("Deal", termsOf(claim));
  yield { ...compare("terms", claim.id, terms), detail: `the terms shown hash to ${terms}` };
  yield* verifyCourse(chain, claim, block);
  for await (const check of auditDeal(chain.client, chain.deployment, claim.id)) yield { ...check, about: "chain" };
}

function termsOf(claim: DealClaim): Deal {
  const agentOf = (party: DealClaim["client"]) => BigInt(party?.id.split(":")[1] ?? 0);
  const { token, arbiter, mechanismHash, certificateHash, specHash, splitsRoot, hook } = claim;
  return {
    ...{ token, arbiter, mechanismHash, certificateHash, specHash, splitsRoot, hook },
    clientAgentId: agentOf(claim.client),
    providerAgentId: agentOf(claim.provider),
    topic: BigInt(claim.topic),
    price: BigInt(claim.price),
    providerBond: BigInt(claim.providerBond),
    clientBond: BigInt(claim.clientBond),
    submitBy: Number(claim.submitBy),
    reviewPeriod: Number(claim.reviewPeriod),
    arbiterDeadline: Number(claim.arbiterDeadline),
    epoch: Number(claim.epoch),
    salt: BigInt(claim.salt),
  };
}

async function* verifyCourse(
  { client, deployment }: Chain,
  claim: DealClaim,
  block: MetaBlock,
): AsyncGenerator<Step, void, void> {
  const escrow = { abi: dealEscrowAbi, address: deployment.contracts.dealEscrow } as const;
  const toBlock = BigInt(block.number);
  const at = { ...escrow, args: [claim.id], blockNumber: toBlock } as const;
  const [state, payer] = await client.readContract({ ...at, functionName: "dealOf" });
  yield compare("state", claim.state, states[state]);
  yield compare(
    "released before the end",
    claim.released,
    await client.readContract({ ...at, functionName: "releasedOf" }),
  );
  const range = { ...escrow, args: { dealId: claim.id }, fromBlock: BigInt(deployment.deployedAtBlock), toBlock };
  const [funded] = await readEvents(client, { ...range, eventName: "DealFunded" });
  yield compare("payer", claim.payer, payer);
  yield compare("funded in", claim.fundedTx, funded?.transactionHash);
  const [submitted] = await readEvents(client, { ...range, eventName: "DealSubmitted" });
  yield compare("submitted in", claim.submittedTx, submitted?.transactionHash);
  yield compare("deliverable", claim.deliverableHash, submitted?.args.deliverableHash);
  const [completed] = await readEvents(client, { ...range, eventName: "DealCompleted" });
  const [resolved] = await readEvents(client, { ...range, eventName: "DealResolved" });
  yield compare("rating", claim.rating, (completed ?? resolved)?.args.rating);
  if (completed === undefined) return;
  yield compare("ended in", claim.endedTx, completed.transactionHash);
  yield compare("payee", claim.payee, completed.args.payee);
  yield compare("payout", claim.payout, completed.args.amount);
}
