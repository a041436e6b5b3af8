import { keccak256, toHex, zeroAddress } from "viem";
import type { Row } from "../entities.ts";
import type { Folds } from "./event-types.ts";
import { parseRegistrationFile } from "./registration-file.ts";
import { agentKey, put, type EventPlace, type RowChange, type RowReader } from "./row-change.ts";

/** Metadata key under which ERC-8004 announces an agent's payment wallet; empty = none. */
const WALLET_KEY = "agentWallet";
/** A longer key stands in its row's id by its hash: databases index ids, and no entry of an index is as long as a transaction. */
const MAX_KEY_LENGTH = 256;

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
    const ended = endSigners(agent, place, rows);
    return [put("agents", { ...agent, owner: to, newestSigner: null }), transfer, ...ended];
  },
  Registered({ agentId, agentURI, owner }, place, rows) {
    return setURI({ ...agentOf(agentId, place, rows), owner }, agentURI, place);
  },
  URIUpdated({ agentId, newURI }, place, rows) {
    return setURI(agentOf(agentId, place, rows), newURI, place);
  },
  ApprovalForAll({ owner, operator, approved }) {
    return [put("operatorApprovals", { id: `${owner}:${operator}`, owner, operator, isApproved: approved })];
  },
  MetadataSet({ agentId, metadataKey, metadataValue }, place, rows) {
    const agent = agentOf(agentId, place, rows);
    const wallet = metadataValue.length === 42 ? metadataValue : null;
    const entry = put("agentMetadatas", {
      id: `${agent.id}:${metadataKey.length > MAX_KEY_LENGTH ? keccak256(toHex(metadataKey)) : metadataKey}`,
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
  SignerBound({ agentId, signerHash, purpose, signer, validFrom, validUntil }, place, rows) {
    const agent = agentOf(agentId, place, rows);
    return [
      put("agents", { ...agent, newestSigner: signerHash }),
      put("signers", {
        id: signerHash,
        agent: agent.id,
        signer,
        purpose,
        validFrom,
        validUntil,
        invalidFrom: null,
        isUnchecked: false,
        olderSigner: agent.newestSigner,
        boundTx: place.transaction,
        revokedTx: null,
      }),
    ];
  },
  SignerUnchecked({ signerHash }, _place, rows) {
    const signer = rows.get("signers", signerHash);
    return signer === undefined ? [] : [put("signers", { ...signer, isUnchecked: true })];
  },
  SignerRevoked({ signerHash, invalidFrom }, place, rows) {
    const signer = rows.get("signers", signerHash);
    return signer === undefined ? [] : [put("signers", { ...signer, invalidFrom, revokedTx: place.transaction })];
  },
};

/**
 * Signers of an owner end with its tenure: what the registry says without a loop, rows have to be told one by one. Our
 * registry binds a signer once, so that the list ends; a contract that binds one twice ties it to a ring, which is walked once.
 */
function endSigners(agent: Row<"agents">, place: EventPlace, rows: RowReader): RowChange[] {
  const ended: RowChange[] = [];
  const walked = new Set<string>();
  for (let id = agent.newestSigner; id !== null && !walked.has(id);) {
    walked.add(id);
    const signer = rows.get("signers", id);
    if (signer === undefined) break;
    const invalidFrom = Math.min(signer.invalidFrom ?? place.timestamp, place.timestamp);
    if (invalidFrom !== signer.invalidFrom) ended.push(put("signers", { ...signer, invalidFrom }));
    id = signer.olderSigner;
  }
  return ended;
}

/** The agent with its URI, and the registration file that stands in it. */
function setURI(agent: Row<"agents">, agentURI: string, place: EventPlace): RowChange[] {
  const id = `${place.transaction}:${place.logIndex}`;
  const file = parseRegistrationFile(agentURI);
  if (file === undefined) return [put("agents", { ...agent, agentURI, registrationFile: null })];
  return [
    put("agentRegistrationFiles", {
      ...{ id, agent: agent.id, agentId: agent.agentId, createdAt: place.timestamp },
      ...file,
    }),
    put("agents", { ...agent, agentURI, registrationFile: id }),
  ];
}

/** The agent's row as it stands, touched now; a fresh one if this is its first event. */
function agentOf(agentId: bigint, place: EventPlace, rows: RowReader): Row<"agents"> {
  const id = agentKey(place, agentId);
  const known = rows.get("agents", id);
  if (known !== undefined) return { ...known, updatedAt: place.timestamp, lastActivity: place.timestamp };
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
    newestSigner: null,
    registeredAt: place.timestamp,
    registeredTx: place.transaction,
    updatedAt: place.timestamp,
    registrationFile: null,
    totalFeedback: 0n,
    lastActivity: place.timestamp,
  };
}
