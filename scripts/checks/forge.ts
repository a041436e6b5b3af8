import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { root } from "./run-tool.ts";

/** forge in the PATH, or where `npm install --no-save @foundry-rs/forge-linux-amd64` puts it. */
export function findForge(): string | undefined {
  const folders = [
    ...(process.env["PATH"] ?? "").split(delimiter),
    join(root, "node_modules/@foundry-rs/forge-linux-amd64/bin"),
  ];
  return folders.map((folder) => join(folder, "forge")).find((path) => existsSync(path));
}
