import { Command } from "commander";
import { newCommand, solveCommand } from "./mechanism/author.ts";
import { checkCommand, explainCommand } from "./mechanism/inspect.ts";
import { attackCommand, improveCommand } from "./mechanism/loop.ts";

export function mechanismCommand(): Command {
  return new Command("mechanism")
    .description("rules of a deal as a document: write, solve, check, explain, attack and improve them")
    .addCommand(newCommand())
    .addCommand(solveCommand())
    .addCommand(checkCommand())
    .addCommand(explainCommand())
    .addCommand(attackCommand())
    .addCommand(improveCommand());
}
