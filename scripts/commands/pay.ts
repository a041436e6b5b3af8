import { readFileSync } from "node:fs";
import { Command, Option } from "commander";
import { bytesToHex, hexToBytes, stringToBytes, type Hex } from "viem";
import { SuretyError } from "#protocol";
import { runAction } from "../cli/action.ts";
import { addNodeOptions, askNode, type NodeOptions } from "../cli/node-api.ts";
import { contentOf, shownOf, writeOut } from "../cli/output.ts";
import { parseAmount, parseRating } from "../cli/options.ts";

interface PayOptions extends NodeOptions {
  readonly max: bigint;
  readonly by?: "deal" | "tab";
  readonly deposit?: bigint;
  readonly rating?: number;
  readonly body?: string;
  readonly bodyFile?: string;
  readonly out?: string;
}

/** What the node tells of a purchase; amounts are decimal texts. */
interface PayReport {
  readonly body: Hex;
  readonly mimeType: string;
  readonly contentHash: Hex;
  readonly paid?: {
    readonly by: "deal" | "tab";
    readonly amountWei: string;
    readonly dealId?: Hex;
    readonly transaction?: Hex;
    readonly tabId?: Hex;
    readonly seq?: string;
  };
}

/** Fetches a resource over HTTP and pays for it, if its server asks for that (x402). */
export function payCommand(): Command {
  return addNodeOptions(new Command("pay"))
    .description(
      "fetch a URL, and pay for it by a deal or on a tab where the server answers 402; through a running node",
    )
    .argument("<url>", "http or https")
    .requiredOption("--max <amount>", "the most that this request may cost, in the token's smallest unit", parseAmount)
    .addOption(
      new Option("--by <way>", "how to pay; default: a tab that is open for it, else a deal").choices(["deal", "tab"]),
    )
    .option("--deposit <amount>", "deposit of a tab, should one be opened: many requests, one settlement", parseAmount)
    .option(
      "--rating <points>",
      "rate the answer of a deal at once, -100 to 100; else: surety deal complete",
      parseRating,
    )
    .option("--body <text>", "send it by POST")
    .option("--body-file <file>", "send the file's bytes by POST")
    .option("--out <file>", "write the answer to a file")
    .addHelpText(
      "after",
      "\nA deal's money waits in the escrow: it returns if no answer comes, and goes to the provider when the answer was" +
        "\naccepted or nobody objected in time (surety deal dispute, surety deal complete).",
    )
    .action((url: string, options: PayOptions) =>
      runAction(options.json, async ({ signal }) => {
        const bought = await askNode<PayReport>("/pay", options, signal, requestOf(url, options));
        const bytes = hexToBytes(bought.body);
        if (options.out !== undefined) writeOut(options.out, bytes);
        const { body: _, ...report } = bought;
        const result = { url, ...report, bytes: bytes.length, ...(options.out === undefined ? contentOf(bytes) : {}) };
        return { result, lines: linesOf(bought, bytes, options.out) };
      }),
    );
}

function requestOf(url: string, options: PayOptions): Record<string, unknown> {
  const { max, by, deposit, rating, body, bodyFile } = options;
  if (body !== undefined && bodyFile !== undefined) {
    throw new SuretyError("USAGE_BODY", "Both --body and --body-file were given.", { next: "Give one of them." });
  }
  const bytes = bodyFile === undefined ? body && stringToBytes(body) : readBody(bodyFile);
  return {
    ...{ url, maxWei: max },
    ...(bytes === undefined || bytes === "" ? {} : { method: "POST", body: bytesToHex(bytes) }),
    ...(by === undefined ? {} : { by }),
    ...(deposit === undefined ? {} : { depositWei: deposit }),
    ...(rating === undefined ? {} : { rating }),
  };
}

function readBody(path: string): Uint8Array {
  try {
    return new Uint8Array(readFileSync(path));
  } catch (cause) {
    throw new SuretyError("USAGE_BODY", `The file ${path} cannot be read.`, {
      values: { path },
      next: "Check the path.",
      cause,
    });
  }
}

function linesOf({ paid, mimeType, contentHash }: PayReport, bytes: Uint8Array, out: string | undefined): string[] {
  const price =
    paid === undefined
      ? "free of charge"
      : paid.by === "deal"
        ? `paid ${paid.amountWei} by deal ${paid.dealId}`
        : `paid ${paid.amountWei} on tab ${paid.tabId}, request ${paid.seq}`;
  return [
    ...(out === undefined ? [shownOf(bytes)] : [`${bytes.length} bytes (${mimeType}) in ${out}`]),
    `${price}; content ${contentHash}`,
  ];
}
