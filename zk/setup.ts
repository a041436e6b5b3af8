// `npm run zk:setup`, after the packages: takes the circuit of one depth out of the npm package that has all of them. The registry's
// client fetches the package; its digest and those of the three files are pinned, and nothing is asked of another host.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  ARTIFACTS_INTEGRITY,
  ARTIFACTS_PACKAGE,
  artifactNames,
  artifactPath,
  artifactsDir,
  isGenuine,
} from "./semaphore/artifacts.ts";

/** The tarball has 109 MB. */
const DOWNLOAD_TIMEOUT_MS = 600_000;

function fetchPackage(dir: string): string {
  const npm = process.env["npm_execpath"];
  const args = ["pack", ARTIFACTS_PACKAGE, "--json", "--silent", "--pack-destination", dir];
  const [command, first] = npm === undefined ? ["npm", []] : [process.execPath, [npm]];
  const answer = execFileSync(command, [...first, ...args], { encoding: "utf8", timeout: DOWNLOAD_TIMEOUT_MS });
  const [packed] = JSON.parse(answer) as { filename: string }[];
  if (packed === undefined) throw new Error(`zk: npm packed nothing for ${ARTIFACTS_PACKAGE}`);
  return join(dir, packed.filename.replace("@", "").replace("/", "-"));
}

function takeArtifacts(): void {
  const dir = mkdtempSync(join(tmpdir(), "surety-zk-"));
  try {
    const tarball = fetchPackage(dir);
    const integrity = `sha512-${createHash("sha512").update(readFileSync(tarball)).digest("base64")}`;
    if (integrity !== ARTIFACTS_INTEGRITY) throw new Error(`zk: ${ARTIFACTS_PACKAGE} has ${integrity}`);
    execFileSync("tar", ["-xzf", tarball, "-C", dir, ...artifactNames.map((name) => `package/${name}`)]);
    mkdirSync(artifactsDir, { recursive: true });
    for (const name of artifactNames) {
      if (!isGenuine(name, join(dir, "package"))) throw new Error(`zk: ${name} is not the file that was checked`);
      copyFileSync(join(dir, "package", name), artifactPath(name));
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

if (artifactNames.every((name) => isGenuine(name))) console.log("zk: the circuit is there");
else {
  takeArtifacts();
  console.log(`zk: took the circuit of depth 16 from ${ARTIFACTS_PACKAGE}`);
}
