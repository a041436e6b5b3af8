import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Members of a group: 2^16. Every smaller group proves with the same circuit. */
export const TREE_DEPTH = 16;
/** The npm package that carries the circuits of all depths and their keys (MIT), and the digest of its tarball. */
export const ARTIFACTS_PACKAGE = "@zk-kit/semaphore-artifacts@4.13.0";
export const ARTIFACTS_INTEGRITY =
  "sha512-UgFQkcwI63XT1Xk8fkUYMNfcuR85LiSL3Of9XLsyMLflHkiwXP9D1WC8hnpD8Tp2HoAMJ/mCv7ZMlU7TC0mvdQ==";

/** What of it is kept, by SHA-256. */
const checksums = {
  "semaphore-16.json": "c0fc89249ca42a2763ec4e521bf43bc8b3f35307258f6ddcaaed6047c189680e",
  "semaphore-16.wasm": "06df31461d17db86897fc234f0e6e5f5e2f6add1b8c821b5c6ae75030b3e0d7c",
  "semaphore-16.zkey": "948763c7315a337b7722c0344a28af4be66fbbc618474d6dbe9036e799d1a3b5",
} as const;
export type ArtifactName = keyof typeof checksums;
export const artifactNames = Object.keys(checksums) as ArtifactName[];

export const artifactsDir = join(import.meta.dirname, "..", "artifacts");
export const artifactPath = (name: ArtifactName): string => join(artifactsDir, name);

/** Whether the file is there and is the one that we checked. */
export function isGenuine(name: ArtifactName, dir = artifactsDir): boolean {
  const path = join(dir, name);
  return existsSync(path) && createHash("sha256").update(readFileSync(path)).digest("hex") === checksums[name];
}
