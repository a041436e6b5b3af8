import { writeFileSync } from "node:fs";
import { bytesToHex, type Hex } from "viem";
import { SuretyError } from "#protocol";

// What strangers wrote, on its way to a terminal or a file.

/** UTF-8 as text, all else in hex. */
export function contentOf(bytes: Uint8Array): { text: string } | { hex: Hex } {
  try {
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes) };
  } catch {
    return { hex: bytesToHex(bytes) };
  }
}

/** A stranger's text must not steer the terminal: control characters other than line ends and tabs are replaced. */
export const tamed = (text: string): string => text.replace(/[^\P{Cc}\n\t]/gu, "\ufffd");

/** As a terminal may show it. */
export function shownOf(bytes: Uint8Array): string {
  const content = contentOf(bytes);
  return "text" in content ? tamed(content.text) : content.hex;
}

/** @throws SuretyError USAGE_OUT_FILE */
export function writeOut(path: string, content: string | Uint8Array): void {
  try {
    writeFileSync(path, content);
  } catch (cause) {
    throw new SuretyError("USAGE_OUT_FILE", `The file ${path} cannot be written.`, {
      values: { path },
      next: "Name a file in a folder that is there and that you may write to.",
      cause,
    });
  }
}
