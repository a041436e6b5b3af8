// The tree behind Deal.splitsRoot, as contracts/settlement/Shares.sol builds it.
import { concat, encodeAbiParameters, keccak256, zeroHash, type Address, type Hex } from "viem";

/** Who gets which part of what the provider earns. */
export interface Share {
  readonly account: Address;
  /** Of 1,000,000. */
  readonly millionths: number;
}

/** Bounds of the contract: leaves of one deal, and what they may add up to. */
export const shareLimits = { maxCount: 128, whole: 1_000_000 } as const;

const leafTypes = [{ type: "uint256" }, { type: "address" }, { type: "uint32" }] as const;

/** Root over all shares in their order; zero for none, which is no split. */
export function rootOfShares(shares: readonly Share[]): Hex {
  let nodes = shares.map(({ account, millionths }, k) =>
    keccak256(encodeAbiParameters(leafTypes, [BigInt(k), account, millionths])),
  );
  while (nodes.length > 1) {
    const above: Hex[] = [];
    for (let k = 0; k + 1 < nodes.length; k += 2) above.push(keccak256(concat(nodes.slice(k, k + 2))));
    if (nodes.length % 2 === 1) above.push(nodes[nodes.length - 1] as Hex);
    nodes = above;
  }
  return nodes[0] ?? zeroHash;
}

/** What each share gets of a pot, rounded down, and what is left for the provider. */
export function splitPot(pot: bigint, shares: readonly Share[]): { amounts: bigint[]; rest: bigint } {
  const amounts = shares.map(({ millionths }) => (pot * BigInt(millionths)) / BigInt(shareLimits.whole));
  return { amounts, rest: amounts.reduce((rest, amount) => rest - amount, pot) };
}
