import { expect } from "chai";
import { readdirSync } from "node:fs";
import type { Command } from "commander";
import { root } from "../../../scripts/checks/run-tool.ts";
import { join } from "node:path";

const folder = join(root, "scripts/commands");
/** A command is one word; agent-orders.ts is a part of one. */
const files = readdirSync(folder).filter((file) => /^[a-z]+\.ts$/.test(file));

function* walk(command: Command, above = ""): Generator<readonly [string, Command]> {
  const name = `${above} ${command.name()}`.trim();
  yield [name, command];
  for (const child of command.commands) yield* walk(child, name);
}

describe("the commands of surety", () => {
  it("print help with a description of themselves, every option and every argument", async () => {
    for (const file of files) {
      const loaded = (await import(join(folder, file))) as Record<string, unknown>;
      const create = loaded[`${file.slice(0, -3)}Command`] as (() => Command) | undefined;
      if (create === undefined) throw new Error(`${file} exports no ${file.slice(0, -3)}Command`);
      for (const [name, command] of walk(create())) {
        expect(command.helpInformation(), name).to.match(/^Usage: /);
        const described = [...command.options, ...command.registeredArguments];
        expect(command.description(), name).to.not.equal("");
        for (const { description } of described) expect(description, name).to.not.equal("");
        if (command.commands.length === 0) {
          expect(
            command.options.map(({ long }) => long),
            name,
          ).to.include("--json");
        }
      }
    }
  });
});
