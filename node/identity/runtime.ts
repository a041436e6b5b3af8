import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { hash } from "node:crypto";
import type { Hex } from "viem";
import { canonicalJson, encodeCodeCommitment, manifestCommitment, SuretyError, type ManifestFile } from "#protocol";
import { measureCode } from "./measure.ts";

/** What runs an agent's code: this package, the packages that its lockfile pins, and the interpreter. */
export interface Runtime {
  readonly package: string;
  readonly version: string;
  /** Typed commitment to the manifest of the package's own code. */
  readonly code: Hex;
  /** sha256 of package-lock.json; null where the package was installed without one. */
  readonly lockfile: Hex | null;
  /** Version of the interpreter. */
  readonly interpreter: string;
}

/** The config's field that holds it, so that it is committed with the rest and can be disclosed alone. */
export const RUNTIME_FIELD = "runtime";

/** Folders whose code a node runs: built, or as source. */
const BUILT = ["dist"];
const SOURCE = ["contracts/protocol", "node", "scripts"];

const here = fileURLToPath(import.meta.url);
let measured: Promise<Runtime> | undefined;

/** The runtime of this process, measured once: what was loaded is what was there at the start. */
export function ownRuntime(signal: AbortSignal): Promise<Runtime> {
  const root = packageAbove(here);
  const isBuilt = BUILT.some((name) => relative(root, here).startsWith(name + sep));
  measured ??= measureRuntime(root, isBuilt, signal).catch((error: unknown) => {
    measured = undefined;
    throw error;
  });
  return measured;
}

/**
 * Measures a copy of this package.
 * @param root its folder, with package.json
 * @throws SuretyError as `measureCode`
 */
export async function measureRuntime(root: string, isBuilt: boolean, signal: AbortSignal): Promise<Runtime> {
  const files: ManifestFile[] = [];
  for (const folder of isBuilt ? BUILT : SOURCE) {
    for (const { path, sha256 } of await measureCode(join(root, folder), signal)) {
      files.push({ path: `${folder}/${path}`, sha256 });
    }
  }
  const described = readFileSync(join(root, "package.json"));
  files.push({ path: "package.json", sha256: sha256Of(described) });
  const { name, version } = JSON.parse(described.toString("utf8")) as { name: string; version: string };
  const lockfile = join(root, "package-lock.json");
  return {
    ...{ package: name, version, code: encodeCodeCommitment(manifestCommitment(files)) },
    lockfile: existsSync(lockfile) ? sha256Of(readFileSync(lockfile)) : null,
    interpreter: process.version,
  };
}

/** The members in which two runtimes differ, as text; undefined = none. */
export function runtimeDifference(committed: Runtime, found: Runtime): string | undefined {
  const names = (["package", "version", "code", "lockfile", "interpreter"] as const).filter(
    (name) => committed[name] !== found[name],
  );
  if (names.length === 0) return undefined;
  return names.map((name) => `${name} is ${found[name]}, committed was ${committed[name]}`).join("; ");
}

/** A runtime out of a file. */
export function readRuntime(value: unknown): Runtime | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { package: name, version, code, lockfile, interpreter } = value as Record<string, unknown>;
  const texts = [name, version, code, interpreter, lockfile ?? ""];
  if (!texts.every((text) => typeof text === "string")) return undefined;
  const runtime = { package: name, version, code, lockfile: lockfile ?? null, interpreter } as Runtime;
  return canonicalJson(runtime) === canonicalJson(value) ? runtime : undefined;
}

const sha256Of = (bytes: Uint8Array): Hex => `0x${hash("sha256", bytes, "hex")}`;

/** The folder of the package that a file belongs to. A build's own package.json only says how its modules are read: it has no name. */
export function packageAbove(path: string): string {
  const folder = dirname(path);
  const described = join(folder, "package.json");
  if (existsSync(described) && Object.hasOwn(JSON.parse(readFileSync(described, "utf8")) as object, "name"))
    return folder;
  if (folder !== path) return packageAbove(folder);
  throw new SuretyError("RUNTIME_UNKNOWN", "This code lies in no package, so its version cannot be committed to.", {
    next: "Run it as it was installed.",
  });
}
