import { decodeFunctionData, type Hex, type PublicClient } from "viem";
import {
  checkAwardEvidence,
  dealEscrowAbi,
  identityRegistryAbi,
  purposes,
  recoverSigner,
  signerHashOf,
  structHash,
  typedDataDigest,
  type AwardEvidence,
  type Deal,
  type Deployment,
} from "#protocol";
import { check, fails, holds, type Check } from "./checks.ts";
import { readEvents } from "./logs.ts";

/** The contract's enum, in its order. */
const states = ["Open", "Funded", "Submitted", "Completed", "Refunded", "Disputed", "Resolved", "Cancelled"] as const;

/** The event that leads to each state in which a funded deal can be. */
const eventOfState = {
  Completed: "DealCompleted",
  Refunded: "DealRefunded",
  Cancelled: "DealCancelled",
  Submitted: "DealSubmitted",
  Disputed: "DealDisputed",
  Resolved: "DealResolved",
} as const;

/** What a deal's own transactions and slots say, re-derived with no indexer: terms, both signatures, state, payout. */
export async function* auditDeal(
  client: PublicClient,
  deployment: Deployment,
  dealId: Hex,
  award?: AwardEvidence,
): AsyncGenerator<Check, void, void> {
  const escrow = { abi: dealEscrowAbi, address: deployment.contracts.dealEscrow } as const;
  const toBlock = await client.getBlockNumber();
  const range = { ...escrow, args: { dealId }, fromBlock: BigInt(deployment.deployedAtBlock), toBlock };
  const [funded] = await readEvents(client, { ...range, eventName: "DealFunded" });
  if (funded === undefined) return yield fails("funded", "the escrow never emitted DealFunded for this id");
  const { deal, payer } = funded.args;
  const block = await client.getBlock({ blockHash: funded.blockHash });
  yield holds("funded", `block ${funded.blockNumber}, transaction ${funded.transactionHash}, paid by ${payer}`);
  yield check("terms", structHash("Deal", deal) === dealId, `the terms hash to ${structHash("Deal", deal)}`);
  yield* auditSignatures(client, deployment, deal, funded.transactionHash, block.timestamp);
  if (award !== undefined) yield* auditAward(client, deployment, deal, award, block.timestamp);

  const [stateIndex] = await client.readContract({
    ...escrow,
    functionName: "dealOf",
    args: [dealId],
    blockNumber: toBlock,
  });
  const state = states[stateIndex] ?? "Open";
  if (state === "Funded") return yield holds("state", "Funded; nothing else happened");
  const eventName = eventOfState[state as keyof typeof eventOfState];
  if (eventName === undefined) return yield fails("state", `${state} cannot follow Funded`);
  const [last] = await readEvents(client, { ...range, eventName });
  yield check(
    "state",
    last !== undefined,
    last === undefined ? `${state} without its event` : `${state}, as in ${last.transactionHash}`,
  );
  if (last === undefined) return;
  const released = await client.readContract({
    ...escrow,
    functionName: "releasedOf",
    args: [dealId],
    blockNumber: toBlock,
  });
  const held = deal.price - released;
  if (last.eventName === "DealResolved") {
    const { toProvider, toClient } = last.args;
    const whole = held + deal.providerBond + deal.clientBond;
    yield check("payout", toProvider + toClient === whole, `${toProvider} and ${toClient} of ${whole}`);
  } else if ("amount" in last.args) {
    const { amount } = last.args;
    const due = held + bondsWith(state, deal);
    yield check("payout", amount === due, `${amount} of ${due}: price less parts released before, and bonds`);
  }
}

/** The bonds that the ending's event counts with its payment (IDealEscrow). */
function bondsWith(state: string, { providerBond, clientBond }: Deal): bigint {
  if (state === "Completed") return providerBond;
  return state === "Refunded" ? providerBond + clientBond : clientBond;
}

/** Both signatures stand in the input of the transaction that opened the deal. */
async function* auditSignatures(
  client: PublicClient,
  deployment: Deployment,
  deal: Deal,
  transactionHash: Hex,
  openedAt: bigint,
): AsyncGenerator<Check, void, void> {
  const { input, to } = await client.getTransaction({ hash: transactionHash });
  if (to?.toLowerCase() !== deployment.contracts.dealEscrow.toLowerCase()) {
    return yield holds("signatures", `opened through ${to}; the escrow checked both signatures itself`);
  }
  const { args } = decodeFunctionData({ abi: dealEscrowAbi, data: input });
  const [, client_, provider] = args as unknown as [Deal, Party, Party];
  const digest = typedDataDigest("Deal", deal, { chainId: deployment.chainId, ...deployment.contracts });
  for (const [role, agentId, party] of [
    ["client", deal.clientAgentId, client_],
    ["provider", deal.providerAgentId, provider],
  ] as const) {
    const isAccount = party.signer.length === 42;
    const recovered = recoverSigner(digest, party.signature);
    if (isAccount && recovered.kind === "accept" && recovered.value.toLowerCase() !== party.signer.toLowerCase()) {
      return yield fails(`${role} signature`, `recovers to ${recovered.value}, not to ${party.signer}`);
    }
    const isValid = await client.readContract({
      abi: identityRegistryAbi,
      address: deployment.contracts.identityRegistry,
      functionName: "isSignerValidAt",
      args: [agentId, signerHashOf(party.signer), purposes.log, openedAt],
    });
    yield check(`${role} signature`, isValid, `${party.signer} for agent ${agentId} at ${openedAt}`);
  }
}

/** The rules, the bids and the proof behind the hashes of a deal: its award, made again, and every bidder's key at the time. */
async function* auditAward(
  client: PublicClient,
  deployment: Deployment,
  deal: Deal,
  evidence: AwardEvidence,
  openedAt: bigint,
): AsyncGenerator<Check, void, void> {
  const checked = checkAwardEvidence(evidence, deal, { chainId: deployment.chainId, ...deployment.contracts });
  if (checked.kind !== "accept") return yield fails("award", `${checked.code}: ${checked.detail}`);
  const { award, bidders } = checked.value;
  yield holds(
    "award",
    `${award.payment} to agent ${award.winner.bid.providerAgentId} among ${bidders.length} bids, by ${deal.mechanismHash}`,
  );
  for (const { agentId, signer } of bidders) {
    const isValid = await client.readContract({
      abi: identityRegistryAbi,
      address: deployment.contracts.identityRegistry,
      functionName: "isSignerValidAt",
      args: [agentId, signerHashOf(signer), purposes.log, openedAt],
    });
    yield check(`bid of agent ${agentId}`, isValid, `${signer} at ${openedAt}`);
  }
}

interface Party {
  readonly signer: Hex;
  readonly signature: Hex;
}
