#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { exitCodes } from "./cli/action.ts";
import { agentCommand } from "./commands/agent.ts";
import { auditCommand } from "./commands/audit.ts";
import { dealCommand } from "./commands/deal.ts";
import { deployCommand } from "./commands/deploy.ts";
import { devnetCommand } from "./commands/devnet.ts";
import { findCommand } from "./commands/find.ts";
import { indexerCommand } from "./commands/indexer.ts";
import { nodeCommand } from "./commands/node.ts";
import { reputationCommand } from "./commands/reputation.ts";
import { verifyCommand } from "./commands/verify.ts";

const program = new Command("surety")
  .description("Bound identities, settled deals, and scores that anyone can check and slash.")
  .addHelpText(
    "after",
    "\nExit codes: 0 done and holds · 1 what was checked does not hold · 2 wrong usage · 3 the environment failed · 130 interrupted",
  );
for (const command of [
  devnetCommand(),
  deployCommand(),
  nodeCommand(),
  indexerCommand(),
  agentCommand(),
  findCommand(),
  dealCommand(),
  reputationCommand(),
  verifyCommand(),
  auditCommand(),
]) {
  program.addCommand(command);
}

for (const command of walk(program)) command.exitOverride().showHelpAfterError("(add --help for usage)");
try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  // commander has printed what is wrong; asking for help is not a mistake.
  process.exitCode = error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
}

function* walk(command: Command): Generator<Command> {
  yield command;
  for (const child of command.commands) yield* walk(child);
}
