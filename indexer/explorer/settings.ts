// What a visitor decided, kept in this browser only.
import type { SiteConfig } from "./api.ts";

const RPC_KEY = "surety.rpcUrl";
const THEME_KEY = "surety.theme";
const PIN_KEY = "surety.contracts";

export type Theme = "system" | "light" | "dark";

export function rpcUrlOf(config: SiteConfig): string {
  return read(RPC_KEY) ?? config.rpcUrl ?? "";
}

/** Whether the endpoint is the visitor's own choice, not this server's suggestion. */
export function isOwnRpc(config: SiteConfig): boolean {
  const own = read(RPC_KEY);
  return own !== undefined && own !== config.rpcUrl;
}

export function keepRpcUrl(url: string): void {
  write(RPC_KEY, url);
}

export function themeOf(): Theme {
  const kept = read(THEME_KEY);
  return kept === "light" || kept === "dark" ? kept : "system";
}

export function keepTheme(theme: Theme): void {
  write(THEME_KEY, theme);
  applyTheme();
}

export function applyTheme(): void {
  document.documentElement.dataset["theme"] = themeOf();
}

/**
 * The contracts that this browser saw here first. A server that later names others would have every check succeed
 * against contracts of its own making.
 * @returns names of the contracts that changed since
 */
export function changedContracts({ deployment }: SiteConfig): string[] {
  const { chainId, contracts } = deployment;
  const kept = JSON.parse(read(`${PIN_KEY}.${chainId}`) ?? "null") as Record<string, string> | null;
  if (kept === null) pinContracts({ deployment });
  return Object.entries(kept ?? {})
    .filter(([name, address]) => contracts[name as keyof typeof contracts] !== address)
    .map(([name]) => name);
}

export function pinContracts({ deployment }: Pick<SiteConfig, "deployment">): void {
  write(`${PIN_KEY}.${deployment.chainId}`, JSON.stringify(deployment.contracts));
}

// Storage may be forbidden by the browser: then nothing is kept, and everything else works.
function read(key: string): string | undefined {
  try {
    return localStorage.getItem(key) ?? undefined;
  } catch {
    return undefined;
  }
}

function write(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    return;
  }
}
