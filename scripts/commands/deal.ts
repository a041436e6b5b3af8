import { Command } from "commander";
import type { Hex } from "viem";
import { dealEscrowAbi, SuretyError } from "#protocol";
import { readEvents } from "../audit/logs.ts";
import { runAction } from "../cli/action.ts";
import { connect } from "../cli/network.ts";
import { addNodeOptions, askNode, type NodeOptions } from "../cli/node-api.ts";
import { tamed, writeOut } from "../cli/output.ts";
import {
  addNetworkOptions,
  jsonOption,
  parseAmount,
  parseBytes32,
  parseRating,
  type CommonOptions,
} from "../cli/options.ts";

export function dealCommand(): Command {
  const deal = new Command("deal").description("deals: show any; list, judge, split or cancel those of a running node");
  addNetworkOptions(deal.command("show"))
    .description("a deal's terms and what happened to it, from the escrow's events")
    .argument("<dealId>", "the deal's id", parseBytes32)
    .addOption(jsonOption())
    .action((dealId: Hex, options: CommonOptions) =>
      runAction(options.json, ({ signal }) => showDeal(dealId, options, signal)),
    );
  addNodeOptions(deal.command("list"))
    .description("deals of a running node, newest last")
    .action((options: NodeOptions) =>
      runAction(options.json, async ({ signal }) => {
        const { deals } = await askNode<{ deals: DealReport[] }>("/deals", options, signal);
        return { result: { deals }, lines: deals.length === 0 ? ["no deal"] : deals.map(lineOf) };
      }),
    );
  addChange(deal, "complete", "pay the whole price, and rate the delivery").option(
    "--rating <points>",
    "-100 to 100; 0 rates nothing",
    parseRating,
    0,
  );
  addChange(deal, "dispute", "object to a delivery; the arbitrator's fee is deposited by the node").requiredOption(
    "--reason <text>",
    "what is wrong: its hash goes on chain, its text into the evidence",
  );
  addChange(deal, "part", "pay a part for good; the rest stays under the same rules").requiredOption(
    "--amount <amount>",
    "all that is released so far with this part, in the token's smallest unit",
    parseAmount,
  );
  addChange(deal, "split", "propose how to share the price, or accept what the other side proposes")
    .option("--amount <amount>", "what the provider gets of the price, in the token's smallest unit", parseAmount)
    .option("--rating <points>", "the client's rating with it, -100 to 100", parseRating, 0)
    .option("--accept", "sign the other side's proposal instead", false);
  addChange(deal, "cancel", "return everything to both sides, once the other side agrees");
  addNodeOptions(deal.command("evidence"))
    .description("all that the node can show of a deal: terms, signatures, delivery, diary, log entries")
    .argument("<dealId>", "the deal's id", parseBytes32)
    .option("--out <file>", "write it to a file as JSON")
    .action((dealId: Hex, options: NodeOptions & { readonly out?: string }) =>
      runAction(options.json, async ({ signal }) => {
        const evidence = await askNode<EvidenceReport>(`/evidence/${dealId}`, options, signal);
        if (options.out !== undefined) writeOut(options.out, `${JSON.stringify(evidence, null, 2)}\n`);
        const { hash, role, items } = evidence;
        const diary = items.map(({ atMs, kind, text }) => `  ${new Date(atMs).toISOString()} ${kind}: ${tamed(text)}`);
        return { result: evidence, lines: [`evidence of the ${role}, ${hash}`, ...diary] };
      }),
    );
  addNodeOptions(deal.command("award"))
    .description("why a deal is the award of its call: rules, bids and proof, for `surety verify deal --award`")
    .argument("<dealId>", "the deal's id", parseBytes32)
    .option("--out <file>", "write it to a file as JSON")
    .action((dealId: Hex, options: NodeOptions & { readonly out?: string }) =>
      runAction(options.json, async ({ signal }) => {
        const award = await askNode<Record<string, string>>(`/awards/${dealId}`, options, signal);
        if (options.out !== undefined) writeOut(options.out, `${JSON.stringify(award, null, 2)}\n`);
        const lines = [
          options.out === undefined ? JSON.stringify(award, null, 2) : `award of ${dealId}: ${options.out}`,
        ];
        return { result: award, lines };
      }),
    );
  return deal;
}

interface DealReport {
  readonly dealId: Hex;
  readonly role: string;
  readonly state?: string;
  readonly isEnded: boolean;
  readonly deal: { readonly price: string };
  readonly offeredSplit?: { readonly toProviderWei: string; readonly rating: number };
}

interface EvidenceReport {
  readonly hash: Hex;
  readonly role: string;
  readonly items: readonly { readonly atMs: number; readonly kind: string; readonly text: string }[];
}

interface ChangeOptions extends NodeOptions {
  readonly rating?: number;
  readonly reason?: string;
  readonly amount?: bigint;
  readonly accept?: boolean;
}

function addChange(deal: Command, name: string, description: string): Command {
  return addNodeOptions(deal.command(name))
    .description(description)
    .argument("<dealId>", "the deal's id", parseBytes32)
    .action((dealId: Hex, options: ChangeOptions) =>
      runAction(options.json, async ({ signal }) => {
        const { rating, reason, amount, accept = false } = options;
        if (name === "split" && accept === (amount !== undefined)) throw splitUnclear(accept);
        const fields = { ...(rating === undefined ? {} : { rating }), ...(reason === undefined ? {} : { reason }) };
        const amountField = amount === undefined ? {} : { amountWei: amount };
        const action = accept ? "accept-split" : name;
        const result = await askNode("/deals", options, signal, { action, dealId, ...fields, ...amountField });
        return { result, lines: [`deal ${dealId}: the node has it in hand; see surety deal list`] };
      }),
    );
}

function splitUnclear(isBoth: boolean): SuretyError {
  const given = isBoth ? "Both an amount and --accept were given." : "Neither an amount nor --accept was given.";
  return new SuretyError("USAGE_SPLIT", given, {
    next: "Propose with --amount, or sign the other side's proposal with --accept.",
  });
}

function lineOf({ dealId, role, state, isEnded, deal, offeredSplit }: DealReport): string {
  const offer =
    offeredSplit && `; offered: ${offeredSplit.toProviderWei} to the provider, rating ${offeredSplit.rating}`;
  return `${dealId} as ${role}: ${state ?? (isEnded ? "ended" : "not seen on chain yet")}, price ${deal.price}${offer ?? ""}`;
}

async function showDeal(dealId: Hex, options: CommonOptions, signal: AbortSignal) {
  const { client, deployment } = await connect(options, signal);
  const address = deployment.contracts.dealEscrow;
  const range = {
    abi: dealEscrowAbi,
    address,
    args: { dealId },
    fromBlock: BigInt(deployment.deployedAtBlock),
    toBlock: await client.getBlockNumber(),
  };
  const funded = await readEvents(client, { ...range, eventName: "DealFunded" });
  if (funded[0] === undefined) {
    throw new SuretyError("DEAL_UNKNOWN", `The escrow ${address} never opened a deal ${dealId}.`, {
      values: { dealId, address },
      next: "Check the id and the network; a deal that nobody opened is known to its two parties only.",
    });
  }
  const steps = [
    ...funded,
    ...(await readEvents(client, { ...range, eventName: "DealSubmitted" })),
    ...(await readEvents(client, { ...range, eventName: "DealCompleted" })),
    ...(await readEvents(client, { ...range, eventName: "DealRefunded" })),
    ...(await readEvents(client, { ...range, eventName: "DealCancelled" })),
    ...(await readEvents(client, { ...range, eventName: "DealPartReleased" })),
    ...(await readEvents(client, { ...range, eventName: "DealDisputed" })),
    ...(await readEvents(client, { ...range, eventName: "DealResolved" })),
  ]
    .sort((a, b) => Number(a.blockNumber - b.blockNumber) || a.logIndex - b.logIndex)
    .map(({ eventName, blockNumber, transactionHash, args }) => ({ eventName, blockNumber, transactionHash, args }));
  const terms = funded[0].args.deal;
  return {
    result: { dealId, terms, steps },
    lines: [
      `deal ${dealId}`,
      ...Object.entries(terms).map(([name, value]) => `  ${name}: ${value}`),
      ...steps.map((step) => `  ${step.eventName} in block ${step.blockNumber}, ${step.transactionHash}`),
    ],
  };
}
