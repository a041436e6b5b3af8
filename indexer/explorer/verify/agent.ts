import { zeroAddress, zeroHash } from "viem";
import { credentialsAbi, identityRegistryAbi, stakeVaultAbi } from "#protocol";
import { auditAgent } from "../../../scripts/audit/agent.ts";
import { readEvents } from "../../../scripts/audit/logs.ts";
import type { MetaBlock } from "../api.ts";
import { compare, verifyBlock, type Chain } from "./chain.ts";
import type { AgentClaim, SignerClaim, Step } from "./claims.ts";

/** The registry's stake vault knows agents of 32 bits. */
const MAX_STAKED_AGENT = 2n ** 32n;

/** Compares what the server said of an agent with the chain, then has the auditor re-derive what the chain says. */
export async function* verifyAgent(
  chain: Chain,
  claim: AgentClaim,
  block: MetaBlock,
): AsyncGenerator<Step, void, void> {
  yield* verifyBlock(chain, block);
  yield* verifyRecord(chain, claim, block);
  yield* verifySigners(chain, claim, block);
  yield* verifyResponsibility(chain, claim, block);
  for await (const check of auditAgent(chain.client, chain.deployment, BigInt(claim.agentId))) {
    yield { ...check, about: "chain" };
  }
}

async function* verifyRecord(
  { client, deployment }: Chain,
  claim: AgentClaim,
  block: MetaBlock,
): AsyncGenerator<Step, void, void> {
  const at = { abi: identityRegistryAbi, address: deployment.contracts.identityRegistry } as const;
  const args = [BigInt(claim.agentId)] as const;
  const blockNumber = BigInt(block.number);
  yield compare("id", claim.id, `${deployment.chainId}:${claim.agentId}`);
  yield compare("owner", claim.owner, await client.readContract({ ...at, args, blockNumber, functionName: "ownerOf" }));
  const wallet = await client.readContract({ ...at, args, blockNumber, functionName: "getAgentWallet" });
  yield compare("wallet", claim.agentWallet, wallet === zeroAddress ? null : wallet);
  const uri = await client.readContract({ ...at, args, blockNumber, functionName: "tokenURI" });
  yield compare("registration", claim.agentURI, uri);
  const stored = await client.readContract({ ...at, args, blockNumber, functionName: "commitmentOf" });
  const [commitment, version, head] = stored;
  yield compare("version", claim.version, version);
  yield compare("commitment", claim.commitment, commitment === zeroHash ? null : commitment);
  yield compare("version chain's head", claim.head, head === zeroHash ? null : head);
}

async function* verifySigners(
  { client, deployment }: Chain,
  claim: AgentClaim,
  block: MetaBlock,
): AsyncGenerator<Step, void, void> {
  const registry = { abi: identityRegistryAbi, address: deployment.contracts.identityRegistry } as const;
  const [agentId, toBlock] = [BigInt(claim.agentId), BigInt(block.number)];
  const range = { ...registry, args: { agentId }, fromBlock: BigInt(deployment.deployedAtBlock), toBlock };
  const bound = await readEvents(client, { ...range, eventName: "SignerBound" });
  // A list that leaves a key out is as wrong as one that adds a key.
  const ids = (list: readonly string[]) => [...new Set(list)].sort().join(", ");
  const listed = ids(claim.signers.map(({ id }) => id.toLowerCase()));
  yield compare("list of signers", listed, ids(bound.map(({ args }) => args.signerHash.toLowerCase())));
  for (const signer of claim.signers) {
    const [owner, purpose, validFrom, validUntil] = await client.readContract({
      ...registry,
      functionName: "signerOf",
      args: [signer.id],
      blockNumber: toBlock,
    });
    const now = block.timestamp;
    const isValid = await client.readContract({
      ...registry,
      functionName: "isSignerValidAt",
      args: [agentId, signer.id, purpose, BigInt(now)],
      blockNumber: toBlock,
    });
    const said = [claim.agentId, signer.purpose, signer.validFrom, signer.validUntil, wordOf(isSaidValid(signer, now))];
    yield compare(`signer ${signer.signer}`, said, [owner, purpose, validFrom, validUntil, wordOf(isValid)]);
  }
}

const wordOf = (isValid: boolean): string => (isValid ? "valid" : "not valid");

function isSaidValid({ validFrom, validUntil, invalidFrom }: SignerClaim, now: number): boolean {
  const isEnded = Number(validUntil) !== 0 && now >= Number(validUntil);
  return now >= Number(validFrom) && !isEnded && (invalidFrom === null || now < Number(invalidFrom));
}

async function* verifyResponsibility(
  { client, deployment }: Chain,
  claim: AgentClaim,
  block: MetaBlock,
): AsyncGenerator<Step, void, void> {
  const [agentId, blockNumber] = [BigInt(claim.agentId), BigInt(block.number)];
  const { credentials, stakeVault } = deployment.contracts;
  const [operator, level, validUntil] = await client.readContract({
    ...{ abi: credentialsAbi, address: credentials, functionName: "credentialOf", args: [agentId], blockNumber },
  });
  const said = claim.credentials.find(({ renouncedAt }) => renouncedAt === null);
  const held = operator === zeroHash ? null : [operator, level, validUntil].join(", level ");
  yield compare(
    "credential",
    said === undefined ? null : [said.operator, said.level, said.validUntil].join(", level "),
    held,
  );
  if (agentId >= MAX_STAKED_AGENT) return;
  const [staked, locked, unbonding] = await client.readContract({
    ...{ abi: stakeVaultAbi, address: stakeVault, functionName: "stakeOf", args: [Number(agentId)], blockNumber },
  });
  const stake = claim.stakes[0];
  yield compare("staked", stake?.staked ?? 0, staked);
  yield compare("locked", stake?.locked ?? 0, locked);
  yield compare("unbonding", stake?.unbonding ?? 0, unbonding);
}
