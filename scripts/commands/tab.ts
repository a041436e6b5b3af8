import { Command } from "commander";
import { hexToBytes, type Hex } from "viem";
import { runAction } from "../cli/action.ts";
import { addNodeOptions, askNode, type NodeOptions } from "../cli/node-api.ts";
import { contentOf, shownOf } from "../cli/output.ts";
import { parseAgentId, parseAmount, parseBytes32, parseInteger } from "../cli/options.ts";

/** A tab as its node tells of it. */
interface TabReport {
  readonly tabId: Hex;
  readonly role: string;
  readonly state?: string;
  readonly priceWei: string;
  readonly depositWei: string;
  readonly tasks: number;
  readonly spentWei: string;
  readonly claimedWei: string;
  readonly isEnded: boolean;
}

interface OpenOptions extends NodeOptions {
  readonly topic: string;
  readonly deposit: bigint;
  readonly price?: bigint;
  readonly life: number;
  readonly challenge: number;
}

/** Tabs of a running node: it holds the vouchers, so that it alone can spend and claim. */
export function tabCommand(): Command {
  const tab = new Command("tab").description(
    "tabs: many small tasks, one settlement; through the agent's running node",
  );
  addNodeOptions(tab.command("open"))
    .description("open a tab to a provider that the node knows")
    .argument("<providerAgentId>", "the provider's id", parseAgentId)
    .requiredOption("--topic <name>", "topic of the work")
    .requiredOption("--deposit <amount>", "the most to be spent, in the token's smallest unit", parseAmount)
    .option("--price <amount>", "price of a task; default: the provider's list price", parseAmount)
    .option("--life <seconds>", "until the tab expires", parseInteger(1), 86_400)
    .option("--challenge <seconds>", "the provider's time to claim once the client closes", parseInteger(1), 3_600)
    .action((providerAgentId: bigint, options: OpenOptions) =>
      runAction(options.json, async ({ signal }) => {
        const { topic, deposit, price, life, challenge } = options;
        const opened = await askNode<TabReport>("/tabs", options, signal, {
          ...{ action: "open", providerAgentId, topic, depositWei: deposit },
          ...{ lifeSeconds: life, challengeSeconds: challenge, ...(price === undefined ? {} : { priceWei: price }) },
        });
        return { result: opened, lines: linesOf(opened) };
      }),
    );
  addNodeOptions(tab.command("show"))
    .description("the node's tabs, or one of them")
    .argument("[tabId]", "the tab's id", parseBytes32)
    .action((tabId: Hex | undefined, options: NodeOptions) =>
      runAction(options.json, async ({ signal }) => {
        const { tabs } = await askNode<{ tabs: TabReport[] }>("/tabs", options, signal);
        const shown = tabs.filter((each) => tabId === undefined || each.tabId === tabId);
        const lines = shown.length === 0 ? ["no tab"] : shown.flatMap(linesOf);
        return { result: { tabs: shown }, lines, isFailed: tabId !== undefined && shown.length === 0 };
      }),
    );
  addNodeOptions(tab.command("ask"))
    .description("have one task done on a tab")
    .argument("<tabId>", "the tab's id", parseBytes32)
    .argument("<task>", "what is wanted, as the provider reads it")
    .action((tabId: Hex, spec: string, options: NodeOptions) =>
      runAction(options.json, async ({ signal }) => {
        const done = await askNode<{ answer: Hex; rating: number }>("/tabs", options, signal, {
          action: "ask",
          tabId,
          spec,
        });
        const answer = hexToBytes(done.answer);
        const rated = done.rating === 0 ? [] : [`rated ${done.rating}`];
        return { result: { ...done, ...contentOf(answer) }, lines: [shownOf(answer), ...rated] };
      }),
    );
  addNodeOptions(tab.command("top-up"))
    .description("add to a tab's deposit")
    .argument("<tabId>", "the tab's id", parseBytes32)
    .argument("<amount>", "how much, in the token's smallest unit", parseAmount)
    .action((tabId: Hex, amountWei: bigint, options: NodeOptions) =>
      runAction(options.json, async ({ signal }) => {
        const result = await askNode("/tabs", options, signal, { action: "top-up", tabId, amountWei });
        return { result, lines: [`tab ${tabId}: ${amountWei} more is deposited`] };
      }),
    );
  addChange(tab, "claim", "claim the newest voucher now; the provider's node also does so by itself");
  addChange(tab, "close", "end a tab: what was not spent returns to the client");
  return tab;
}

function addChange(tab: Command, action: "claim" | "close", description: string): void {
  addNodeOptions(tab.command(action))
    .description(description)
    .argument("<tabId>", "the tab's id", parseBytes32)
    .action((tabId: Hex, options: NodeOptions) =>
      runAction(options.json, async ({ signal }) => {
        const result = await askNode("/tabs", options, signal, { action, tabId });
        return { result, lines: [`tab ${tabId}: the node will ${action} it; see surety tab show ${tabId}`] };
      }),
    );
}

const linesOf = ({
  tabId,
  role,
  state,
  priceWei,
  depositWei,
  tasks,
  spentWei,
  claimedWei,
  isEnded,
}: TabReport): string[] => [
  `tab ${tabId} as ${role}: ${isEnded ? "ended" : (state ?? "not seen on chain yet")}`,
  `  ${tasks} tasks at ${priceWei}; spent ${spentWei} of ${depositWei}, claimed ${claimedWei}`,
];
