import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { gzipSync } from "node:zlib";
import type { Deployment } from "#protocol";
import { readScript, scriptNames } from "./bundle.ts";

/** What the explorer tells its visitors beside the rows. */
export interface ExplorerOptions {
  /** An endpoint of the chain to suggest to a visitor who has none; one that the visitor can reach. */
  readonly rpcUrl?: string;
  /** Names of topics; the chain knows their hashes only. */
  readonly topics?: readonly string[];
}

export interface SiteOptions {
  readonly deployment: Deployment;
  readonly explorer?: ExplorerOptions;
  /** Symbol and decimals of the deployment's token; undefined = it does not say. */
  readonly readToken: () => Promise<{ readonly symbol: string; readonly decimals: number } | undefined>;
}

/** @returns false = not a path of the site */
export type Site = (request: IncomingMessage, response: ServerResponse) => boolean;

interface Asset {
  readonly type: string;
  readonly body: Uint8Array;
  readonly policy?: string;
}

/** Paths of pages: all of them are one document, which reads its path. */
const PAGE_PATH = /^\/($|(agents|deals|disputes|topics|trust|evidence|epochs|settings)(\/[0-9a-zA-Z]+)?$)/;

/**
 * The page runs its own scripts only, and is framed by nobody. It may ask any endpoint: the visitor chooses which, and a
 * script that somebody slipped in would have to get past script-src first.
 */
const PAGE_POLICY = [
  ...["default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'"],
  ...["connect-src 'self' http: https:", "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'"],
].join("; ");

/** Serves the explorer's pages from memory. Scripts are bundled when the first visitor asks for them. */
export function createSite(options: SiteOptions): Site {
  const assets = new Map<string, Promise<Asset>>();
  const makers: Record<string, () => Promise<Asset>> = {
    ...Object.fromEntries(
      scriptNames.map((name) => [
        `/assets/${name}.js`,
        async () => ({ type: "text/javascript", body: await readScript(name) }),
      ]),
    ),
    "/assets/style.css": () => readAsset("style.css", "text/css"),
    "/assets/icon.svg": () => readAsset("icon.svg", "image/svg+xml"),
    "/explorer.json": () => describeSite(options),
    "/passkey": async () => withInlinePolicy(await readAsset("passkey/index.html", "text/html")),
    "/": async () => ({ ...(await readAsset("index.html", "text/html")), policy: PAGE_POLICY }),
  };
  const assetOf = (path: string, make: () => Promise<Asset>): Promise<Asset> => {
    const known = assets.get(path);
    if (known !== undefined) return known;
    const made = make();
    assets.set(path, made);
    // What failed is tried again for the next visitor.
    made.catch(() => assets.delete(path));
    return made;
  };
  return (request, response) => {
    const path = request.url?.split("?", 1)[0] ?? "";
    const key = PAGE_PATH.test(path) ? "/" : path;
    const make = Object.hasOwn(makers, key) ? makers[key] : undefined;
    if (make === undefined || (request.method !== "GET" && request.method !== "HEAD")) return false;
    assetOf(key, make).then(
      (asset) => sendAsset(asset, request, response),
      () => response.writeHead(500, { "content-type": "text/plain" }).end("The page could not be made."),
    );
    return true;
  };
}

async function readAsset(path: string, type: string): Promise<Asset> {
  return { type, body: await readFile(new URL(`../explorer/${path}`, import.meta.url)) };
}

async function describeSite({ deployment, explorer = {}, readToken }: SiteOptions): Promise<Asset> {
  const { rpcUrl = null, topics = [] } = explorer;
  const token = (await readToken()) ?? null;
  const body = Buffer.from(JSON.stringify({ deployment, rpcUrl, topics, token }));
  return { type: "application/json", body };
}

/** The passkey page carries script and style in itself, to be read whole: they are allowed by their hashes. */
function withInlinePolicy(asset: Asset): Asset {
  const html = Buffer.from(asset.body).toString();
  const hashesOf = (tag: string) =>
    [...html.matchAll(new RegExp(`<${tag}[^>]*>([\\s\\S]*?)</${tag}>`, "g"))]
      .map(([, text = ""]) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`)
      .join(" ");
  const policy = [
    ...["default-src 'none'", `script-src ${hashesOf("script")}`, `style-src ${hashesOf("style")}`],
    ...["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"],
  ].join("; ");
  return { ...asset, policy };
}

function sendAsset({ type, body, policy }: Asset, request: IncomingMessage, response: ServerResponse): void {
  const tag = `"${createHash("sha256").update(body).digest("base64url").slice(0, 22)}"`;
  const headers = {
    "content-type": `${type}; charset=utf-8`,
    // Asked again each time, and answered 304: a page never runs with a script of another version.
    ...{ "cache-control": "no-cache", etag: tag, vary: "accept-encoding" },
    ...{ "x-content-type-options": "nosniff", "referrer-policy": "no-referrer" },
    "cross-origin-opener-policy": "same-origin",
    ...(policy === undefined ? {} : { "content-security-policy": policy }),
  };
  if (request.headers["if-none-match"] === tag) {
    response.writeHead(304, headers).end();
    return;
  }
  const isZipped = /\bgzip\b/.test(String(request.headers["accept-encoding"]));
  const sent = isZipped ? gzipSync(body) : body;
  response.writeHead(200, { ...headers, ...(isZipped ? { "content-encoding": "gzip" } : {}) });
  response.end(request.method === "HEAD" ? undefined : sent);
}
