import type { Hex } from "viem";
import {
  contentHashOf,
  dealDigestOf,
  dealIdOf,
  recoverSigner,
  signerHashOf,
  SuretyError,
  topicIdOf,
  type Deployment,
} from "#protocol";
import type { ChainClient } from "../chain/connect.ts";
import type { IdentityReader } from "../chain/port.ts";
import type { Consent } from "../negotiation/port.ts";
import type { EvidenceBundle } from "../settlement/evidence.ts";
import type { IdentityCheck } from "./agents.ts";

/** A bundle that is larger is exported by the command line, to a file. */
const MAX_BUNDLE_CHARACTERS = 262_144;

export interface AuditDeskOptions {
  readonly client: ChainClient;
  readonly deployment: Deployment;
  readonly identity: IdentityReader;
}

/**
 * Everything that proves an agent's state against one block hash: what `surety audit export` writes, made by the auditor's
 * own code, and checked by it without this node.
 * @throws SuretyError AUDIT_TOO_LARGE
 */
export async function auditAgent(
  { client, deployment }: AuditDeskOptions,
  agentId: bigint,
  topics: readonly string[] | undefined,
) {
  const [{ exportBundle }, { writeBundle }] = await Promise.all([
    import("../../scripts/audit/export.ts"),
    import("../../scripts/audit/bundle.ts"),
  ]);
  const exported = await exportBundle(client, deployment, agentId, { topics: topics?.map(topicIdOf) });
  const bundle = writeBundle(exported.bundle);
  if (bundle.length > MAX_BUNDLE_CHARACTERS) throw tooLarge(bundle.length);
  const { blockNumber, blockHash } = exported;
  return { kind: "agent", agentId, blockNumber, blockHash, scores: exported.bundle.scores.length, bundle };
}

/** Whether the evidence of a deal holds by itself: ids, hashes, both signatures, and for whom their keys speak. */
export async function auditDeal(
  { deployment, identity }: AuditDeskOptions,
  { deal, dealId, client, provider, spec, deliverable }: EvidenceBundle,
  signal: AbortSignal,
): Promise<IdentityCheck[]> {
  const digest = dealDigestOf(deal, { chainId: deployment.chainId, ...deployment.contracts });
  const signed = async (name: string, consent: Consent, agentId: bigint): Promise<IdentityCheck> => {
    const signer = recoverSigner(digest, consent.signature);
    const speaksFor = await identity.agentOfSigner(signerHashOf(consent.signer), signal);
    const holds = signer.kind === "accept" && signer.value === consent.signer && speaksFor === agentId;
    return { name, holds, detail: `${consent.signer} speaks for agent ${speaksFor}` };
  };
  const same = (name: string, given: Hex, expected: Hex): IdentityCheck => ({
    ...{ name, holds: given === expected, detail: given },
  });
  const delivered: IdentityCheck = {
    ...{ name: "delivery", holds: true },
    detail: deliverable.length === 0 ? "none" : contentHashOf(deliverable),
  };
  return [
    same("deal id", dealIdOf(deal), dealId),
    same("specification", contentHashOf(spec), deal.specHash),
    await signed("client's signature", client, deal.clientAgentId),
    await signed("provider's signature", provider, deal.providerAgentId),
    delivered,
  ];
}

const tooLarge = (characters: number) =>
  new SuretyError("AUDIT_TOO_LARGE", `The bundle takes ${characters} characters of ${MAX_BUNDLE_CHARACTERS}.`, {
    values: { characters, max: MAX_BUNDLE_CHARACTERS },
    next: "Name the topics whose scores matter, or export it to a file: `surety audit export`.",
  });
