import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gql, request } from "graphql-request";
import type { PublicClient } from "viem";
import type { Deployment } from "#protocol";
import { readBundle, writeBundle } from "../audit/bundle.ts";
import { runChecks } from "../audit/checks.ts";
import { exportBundle } from "../audit/export.ts";
import { verifyBundle } from "../audit/verify-bundle.ts";
import type { LocalAgent } from "./provision.ts";

/** Writes every agent's bundle and checks it offline against its block hash. */
export async function auditAgents(
  client: PublicClient,
  deployment: Deployment,
  agents: ReadonlyMap<string, LocalAgent>,
  dir: string,
): Promise<{ agents: number; isOk: boolean }> {
  let isOk = true;
  for (const [name, { agentId }] of agents) {
    const { bundle, blockHash } = await exportBundle(client, deployment, agentId);
    const text = writeBundle(bundle);
    writeFileSync(join(dir, `${name}.bundle.json`), text);
    const read = readBundle(text);
    isOk &&= read.kind === "accept" && (await runChecks(name, verifyBundle(read.value, blockHash))).isOk;
  }
  return { agents: agents.size, isOk };
}

const countQuery = gql`
  {
    deals(first: 1000) {
      id
    }
    agents(first: 1000) {
      id
    }
  }
`;

/** What the indexer knows, asked as any client would. */
export async function countIndexed(graphqlUrl: string): Promise<{ deals: number; agents: number }> {
  const { deals, agents } = await request<{ deals: unknown[]; agents: unknown[] }>(graphqlUrl, countQuery);
  return { deals: deals.length, agents: agents.length };
}
