import { zeroAddress } from "viem";
import type { Row } from "../entities.ts";
import type { Folds } from "./event-types.ts";
import { agentKey, put, type EventPlace, type RowReader } from "./row-change.ts";

/** Metadata key under which ERC-8004 announces an agent's payment wallet; empty = none. */
const WALLET_KEY = "agentWallet";

export const identityFolds: Folds<"identityRegistry"> = {
  // A mint comes before its Registered event, so that this fold is where an agent begins.
  Transfer({ from, to, tokenId }, place, rows) {
    const agent = agentOf(tokenId, place, rows);
    const transfer = put("transfers", {
      id: `${place.transaction}:${place.logIndex}`,
      agent: agent.id,
      from,
      to,
      blockNumber: place.blockNumber,
      timestamp: place.timestamp,
      transaction: place.transaction,
    });
    return [put("agents", { ...agent, owner: to }), transfer];
  },
  Registered({ agentId, agentURI, owner }, place, rows) {
    return [put("agents", { ...agentOf(agentId, place, rows), agentURI, owner })];
  },
  URIUpdated({ agentId, newURI }, place, rows) {
    return [put("agents", { ...agentOf(agentId, place, rows), agentURI: newURI })];
  },
  MetadataSet({ agentId, metadataKey, metadataValue }, place, rows) {
    const agent = agentOf(agentId, place, rows);
    const wallet = metadataValue.length === 42 ? metadataValue : null;
    const entry = put("agentMetadatas", {
      id: `${agent.id}:${metadataKey}`,
      agent: agent.id,
      key: metadataKey,
      value: metadataValue,
      updatedAt: place.timestamp,
    });
    return [entry, put("agents", metadataKey === WALLET_KEY ? { ...agent, agentWallet: wallet } : agent)];
  },
  CommitmentUpdated({ agentId, version, head, commitment, signature }, place, rows) {
    const agent = agentOf(agentId, place, rows);
    const step = put("commitments", {
      id: `${agent.id}:${version}`,
      agent: agent.id,
      version,
      commitment,
      head,
      signature,
      timestamp: place.timestamp,
      transaction: place.transaction,
    });
    return [step, put("agents", { ...agent, commitment, version, head })];
  },
  SignerBound({ agentId, signerHash, purpose, signer, validFrom, validUntil }, place) {
    return [
      put("signers", {
        id: signerHash,
        agent: agentKey(place, agentId),
        signer,
        purpose,
        validFrom,
        validUntil,
        invalidFrom: null,
        boundTx: place.transaction,
        revokedTx: null,
      }),
    ];
  },
  SignerRevoked({ signerHash, invalidFrom }, place, rows) {
    const signer = rows.get("signers", signerHash);
    return signer === undefined ? [] : [put("signers", { ...signer, invalidFrom, revokedTx: place.transaction })];
  },
};

/** The agent's row as it stands, touched now; a fresh one if this is its first event. */
function agentOf(agentId: bigint, place: EventPlace, rows: RowReader): Row<"agents"> {
  const id = agentKey(place, agentId);
  const known = rows.get("agents", id);
  if (known !== undefined) return { ...known, updatedAt: place.timestamp };
  return {
    id,
    chainId: place.chainId,
    agentId,
    owner: zeroAddress,
    agentURI: "",
    agentWallet: null,
    commitment: null,
    version: 0n,
    head: null,
    registeredAt: place.timestamp,
    registeredTx: place.transaction,
    updatedAt: place.timestamp,
  };
}
