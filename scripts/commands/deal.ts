import { Command } from "commander";
import type { Hex } from "viem";
import { dealEscrowAbi, SuretyError } from "#protocol";
import { readEvents } from "../audit/logs.ts";
import { runAction } from "../cli/action.ts";
import { connect } from "../cli/network.ts";
import { addNetworkOptions, jsonOption, parseBytes32, type CommonOptions } from "../cli/options.ts";

export function dealCommand(): Command {
  const deal = new Command("deal").description("show deals");
  addNetworkOptions(deal.command("show"))
    .description("a deal's terms and what happened to it, from the escrow's events")
    .argument("<dealId>", "the deal's id", parseBytes32)
    .addOption(jsonOption())
    .action((dealId: Hex, options: CommonOptions) =>
      runAction(options.json, ({ signal }) => showDeal(dealId, options, signal)),
    );
  return deal;
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
  ].map(({ eventName, blockNumber, transactionHash, args }) => ({ eventName, blockNumber, transactionHash, args }));
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
