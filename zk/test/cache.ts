import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const kept = process.env["SURETY_ZK_CACHE"];

/** Compiled keys, shared by the files of one run; gone at its end unless SURETY_ZK_CACHE names a folder. */
export const cacheDir = kept ?? mkdtempSync(join(tmpdir(), "surety-zk-"));
if (kept === undefined) process.once("exit", () => rmSync(cacheDir, { recursive: true, force: true }));
