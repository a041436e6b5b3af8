import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { isHex, type Hex } from "viem";
import { generatePrivateKey } from "viem/accounts";
import { SuretyError } from "#protocol";

/**
 * Reads a private key: 0x and 64 hex digits in a file that only its owner may read.
 * @throws SuretyError USAGE_KEY_MISSING, USAGE_KEY_READABLE or USAGE_KEY_INVALID
 */
export function readKeyFile(path: string): Hex {
  let text: string;
  let mode: number;
  try {
    text = readFileSync(path, "utf8").trim();
    mode = statSync(path).mode;
  } catch (cause) {
    throw new SuretyError("USAGE_KEY_MISSING", `There is no key file at ${path}.`, {
      values: { path },
      next: `Create one with \`surety agent key --key-file ${path}\`.`,
      cause,
    });
  }
  if (process.platform !== "win32" && (mode & 0o077) !== 0) {
    throw new SuretyError("USAGE_KEY_READABLE", `Others on this machine can read the key file ${path}.`, {
      values: { path, mode: (mode & 0o777).toString(8) },
      next: `Run chmod 600 ${path}, and use a new key if anyone may have read it.`,
    });
  }
  if (!isHex(text) || text.length !== 66) {
    throw new SuretyError("USAGE_KEY_INVALID", `${path} does not hold 0x and 64 hex digits.`, {
      values: { path },
      next: "Write the private key into it as one line.",
    });
  }
  return text;
}

/** Creates a key file with a new random key. @throws SuretyError USAGE_KEY_EXISTS */
export function createKeyFile(path: string): Hex {
  const key = generatePrivateKey();
  mkdirSync(dirname(path), { recursive: true });
  try {
    writeFileSync(path, `${key}\n`, { mode: 0o600, flag: "wx" });
  } catch (cause) {
    throw new SuretyError("USAGE_KEY_EXISTS", `${path} exists already.`, {
      values: { path },
      next: "Name another file; a key is never overwritten.",
      cause,
    });
  }
  return key;
}
