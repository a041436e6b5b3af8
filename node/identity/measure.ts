import { createHash, hash } from "node:crypto";
import { constants } from "node:fs";
import { lstat, open, readdir, readFile, realpath } from "node:fs/promises";
import { dirname, join, resolve, sep } from "node:path";
import {
  checkConfig,
  IGNORE_FILE,
  MAX_MANIFEST_FILES,
  parseIgnoreRules,
  pathFaultOf,
  SuretyError,
  type Config,
  type IgnoreRules,
  type ManifestFile,
} from "#protocol";

/** Files read at once: enough to keep a disk busy, few enough for any descriptor limit. */
const READERS = 16;
/** Larger files are hashed in pieces, so that weights of any size fit. */
const WHOLE_FILE_BYTES = 1 << 20;

/**
 * The manifest of a folder: every file in it but those that `.suretyignore` leaves out.
 * @throws SuretyError MANIFEST_FOLDER, MANIFEST_LINK, MANIFEST_SPECIAL, MANIFEST_PATH, MANIFEST_TOO_LARGE, IGNORE_RULE,
 * or the signal's reason
 */
export async function measureCode(folder: string, signal: AbortSignal): Promise<ManifestFile[]> {
  const root = await realpath(folder).catch((cause: unknown) => {
    throw new SuretyError("MANIFEST_FOLDER", `There is no folder ${folder}.`, {
      values: { folder },
      next: "Name the folder that holds the agent's code.",
      cause,
    });
  });
  const found: Found[] = [];
  await walk({ root, rules: await readRules(root), found, signal }, "");
  const files: ManifestFile[] = [];
  let next = 0;
  const read = async () => {
    for (let item = found[next++]; item !== undefined; item = found[next++]) {
      signal.throwIfAborted();
      files.push({ path: item.path, sha256: `0x${await hashFile(item)}` });
    }
  };
  await Promise.all(Array.from({ length: READERS }, read));
  return files;
}

/** A file as it stands in the manifest, and where its bytes are. */
interface Found {
  readonly path: string;
  /** Without links. */
  readonly target: string;
}

interface Walk {
  readonly root: string;
  readonly rules: IgnoreRules;
  readonly found: Found[];
  readonly signal: AbortSignal;
}

/** Whether the folder's rules leave out a path in it, by its own name or with a folder above it. */
export async function isLeftOut(folder: string, path: string): Promise<boolean> {
  const rules = await readRules(folder);
  const steps = path.split("/");
  return steps.some((_, at) => rules(steps.slice(0, at + 1).join("/"), at < steps.length - 1));
}

async function readRules(root: string): Promise<IgnoreRules> {
  try {
    return parseIgnoreRules(await readFile(join(root, IGNORE_FILE), "utf8"));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return parseIgnoreRules("");
    throw cause;
  }
}

async function walk(state: Walk, folder: string): Promise<void> {
  const { root, rules, found, signal } = state;
  for (const entry of await readdir(join(root, folder), { withFileTypes: true })) {
    signal.throwIfAborted();
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (rules(path, entry.isDirectory())) continue;
    const fault = pathFaultOf(path);
    if (fault !== undefined) throw refused("MANIFEST_PATH", path, fault);
    if (entry.isDirectory()) await walk(state, path);
    else if (entry.isFile()) found.push({ path, target: join(root, path) });
    else if (entry.isSymbolicLink()) found.push({ path, target: await targetOf(root, path) });
    else throw refused("MANIFEST_SPECIAL", path, "is neither a file nor a folder");
    if (found.length > MAX_MANIFEST_FILES)
      throw refused("MANIFEST_TOO_LARGE", path, `is beyond ${MAX_MANIFEST_FILES} files`);
  }
}

/** A link counts as the file to which it leads, if that lies in the folder. */
async function targetOf(root: string, path: string): Promise<string> {
  const target = await realpath(join(root, path)).catch((cause: unknown) => {
    throw refused("MANIFEST_LINK", path, "is a link that leads nowhere", cause);
  });
  if (!target.startsWith(root + sep)) throw refused("MANIFEST_LINK", path, "is a link that leads out of the folder");
  if (!(await lstat(target)).isFile()) throw refused("MANIFEST_LINK", path, "is a link to what is no file");
  return target;
}

async function hashFile({ path, target }: Found): Promise<string> {
  // A link put here since the walk is not followed.
  const file = await open(target, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0)).catch((cause: unknown) => {
    throw refused("MANIFEST_UNREADABLE", path, "cannot be read", cause);
  });
  try {
    const { size } = await file.stat();
    if (size <= WHOLE_FILE_BYTES) return hash("sha256", await file.readFile(), "hex");
    const hashing = createHash("sha256");
    for await (const piece of file.createReadStream({ autoClose: false })) hashing.update(piece as Buffer);
    return hashing.digest("hex");
  } finally {
    await file.close();
  }
}

function refused(code: string, path: string, fault: string, cause?: unknown): SuretyError {
  return new SuretyError(code, `${path} ${fault}; the code cannot be committed to.`, {
    values: { path },
    next: `Remove it, or leave it out by a line in ${IGNORE_FILE}.`,
    cause,
  });
}

/** In a config file, `{ "$sha256": "prompt.md" }` stands for the hash of that file's bytes. */
const REFERENCE = "$sha256";

/**
 * Reads a config: a JSON file in which references to other files, relative to its own folder, are replaced by their hashes.
 * @throws SuretyError CONFIG_FILE, CONFIG_REFERENCE, CONFIG_INVALID
 */
export async function readConfigFile(path: string): Promise<Config> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new SuretyError("CONFIG_FILE", `The agent's config ${path} cannot be read, or is not JSON.`, {
      values: { path },
      next: "Name a JSON file with the agent's model, prompt, tools, safety and budget; docs/bind-your-agent.md has one.",
      cause,
    });
  }
  return checkConfig(await resolveReferences(parsed, dirname(resolve(path))));
}

async function resolveReferences(value: unknown, folder: string): Promise<unknown> {
  if (Array.isArray(value)) return Promise.all(value.map((item: unknown) => resolveReferences(item, folder)));
  if (typeof value !== "object" || value === null) return value;
  if (Object.hasOwn(value, REFERENCE)) return { sha256: `0x${await hashReference(value, folder)}` };
  const entries = Object.entries(value).map(
    async ([name, item]) => [name, await resolveReferences(item, folder)] as const,
  );
  return Object.fromEntries(await Promise.all(entries));
}

async function hashReference(reference: object, folder: string): Promise<string> {
  const path = (reference as Record<string, unknown>)[REFERENCE];
  const fail = (fault: string, cause?: unknown) =>
    new SuretyError("CONFIG_REFERENCE", `The config refers to a file ${String(path)}: ${fault}.`, {
      values: { path },
      next: `Write { "${REFERENCE}": "FILE" } alone, with a path from the config's own folder.`,
      cause,
    });
  if (typeof path !== "string" || Object.keys(reference).length !== 1)
    throw fail("a reference is one path and nothing else");
  try {
    const target = await realpath(resolve(folder, path));
    return await hashFile({ path, target });
  } catch (cause) {
    throw fail("it cannot be read", cause);
  }
}
