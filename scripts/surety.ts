#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { SuretyError } from "#protocol";
import { fileURLToPath } from "node:url";
import { exitCodes, reportError } from "./cli/action.ts";

// Hardhat looks for its configuration around the caller's folder; ours lies beside this one, as source or built.
process.env["HARDHAT_CONFIG"] ??= fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "../hardhat.config.ts" : "../hardhat.config.js", import.meta.url),
);

/** Each command's module, loaded when it is named: a look-up at a node does not wait for Hardhat to load. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  devnet: async () => (await import("./commands/devnet.ts")).devnetCommand(),
  deploy: async () => (await import("./commands/deploy.ts")).deployCommand(),
  node: async () => (await import("./commands/node.ts")).nodeCommand(),
  indexer: async () => (await import("./commands/indexer.ts")).indexerCommand(),
  agent: async () => (await import("./commands/agent.ts")).agentCommand(),
  baid: async () => (await import("./commands/baid.ts")).baidCommand(),
  batch: async () => (await import("./commands/batch.ts")).batchCommand(),
  stake: async () => (await import("./commands/stake.ts")).stakeCommand(),
  window: async () => (await import("./commands/window.ts")).windowCommand(),
  token: async () => (await import("./commands/token.ts")).tokenCommand(),
  proof: async () => (await import("./commands/proof.ts")).proofCommand(),
  mechanism: async () => (await import("./commands/mechanism.ts")).mechanismCommand(),
  mcp: async () => (await import("./commands/mcp.ts")).mcpCommand(),
  task: async () => (await import("./commands/task.ts")).taskCommand(),
  log: async () => (await import("./commands/log.ts")).logCommand(),
  find: async () => (await import("./commands/find.ts")).findCommand(),
  network: async () => (await import("./commands/network.ts")).networkCommand(),
  tab: async () => (await import("./commands/tab.ts")).tabCommand(),
  pay: async () => (await import("./commands/pay.ts")).payCommand(),
  deal: async () => (await import("./commands/deal.ts")).dealCommand(),
  reputation: async () => (await import("./commands/reputation.ts")).reputationCommand(),
  verify: async () => (await import("./commands/verify.ts")).verifyCommand(),
  audit: async () => (await import("./commands/audit.ts")).auditCommand(),
  passkey: async () => (await import("./commands/passkey.ts")).passkeyCommand(),
};

const program = new Command("surety")
  // `surety indexer` and `surety indexer verify` share names of options: each takes those that follow it.
  .enablePositionalOptions()
  .description("Bound identities, settled deals, and scores that anyone can check and slash.")
  .addHelpText(
    "after",
    "\nExit codes: 0 done and holds · 1 what was asked about does not hold or does not exist · 2 wrong usage" +
      "\n            3 the environment failed · 130 interrupted",
  );
const named = commands[process.argv[2] ?? ""];
const loaded = named === undefined ? Object.values(commands) : [named];
for (const load of loaded) program.addCommand(await load());

const isJson = process.argv.includes("--json");
let failed = program;
for (const command of walk(program)) {
  command.configureOutput({ outputError: () => {}, ...(isJson ? { writeErr: () => {} } : {}) });
  command.exitOverride((error) => {
    failed = command;
    throw error;
  });
}
try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? exitCodes.ok : reportUsage(error, failed);
}

/** Asking for help is no mistake, a missing subcommand is: its help is printed, and for a program the error. */
function reportUsage({ code, message }: CommanderError, command: Command): number {
  const path = pathOf(command);
  // --json belongs to the subcommand that is missing.
  const isBare = code === "commander.help" || (command.commands.length > 0 && message.includes("'--json'"));
  if (isBare && !isJson) return exitCodes.usage;
  const text = isBare ? `${path} needs a command.` : message.replace(/^error: /, "");
  return reportError(
    new SuretyError(`USAGE_${isBare ? "COMMAND_MISSING" : screaming(code)}`, text, { next: `See ${path} --help.` }),
    isJson,
  );
}

function screaming(code: string): string {
  const name = code.replace(/^commander\./, "");
  return name.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

function* walk(command: Command): Generator<Command> {
  yield command;
  for (const child of command.commands) yield* walk(child);
}
