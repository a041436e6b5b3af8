import {
  compactSignature,
  typedDataDigest,
  type Bodies,
  type DomainContracts,
  type LogRange,
  type Signer,
  type Structs,
} from "#protocol";
import { bytesToHex, type Hex } from "viem";

/** What a checkpoint says beside its range and root: the newest block, and the signature by which anybody may anchor the range. */
export function signCheckpoint(
  anchor: Structs["LogAnchor"],
  by: {
    readonly signer: Signer;
    readonly contracts: DomainContracts;
    readonly block: { readonly number: bigint; readonly hash: Hex };
  },
): Omit<Bodies["checkpoint"], keyof LogRange | "root"> {
  const { agentId, stateHead } = anchor;
  const signature = by.signer.sign(typedDataDigest("LogAnchor", anchor, by.contracts));
  const { number, hash } = by.block;
  return {
    ...{ agentId, stateHead, anchorSignature: bytesToHex(compactSignature(signature)) },
    ...{ blockNumber: number, blockHash: hash },
  };
}
