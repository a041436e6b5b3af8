import { isAddressEqual, type Address, type Hex } from "viem";
import { accept, type Deployment, type Verdict } from "#protocol";
import { readBundle } from "./bundle.ts";
import { check, unproven, type Check } from "./checks.ts";
import { isForeignBundle, readForeignBundle, verifyForeignBundle } from "./foreign-bundle.ts";
import { verifyBundle } from "./verify-bundle.ts";

/** A bundle that was read, of whichever kind. */
export interface Checkable {
  /** The contracts whose storage it proves, by their names in a deployment. */
  readonly contracts: Readonly<Partial<Record<keyof Deployment["contracts"], Address>>>;
  readonly verify: (blockHash: Hex) => Generator<Check, void, void>;
}

/** Reads a bundle of an agent of ours or of another registry, by what its first line says. */
export const readAnyBundle = (text: string): Verdict<Checkable> =>
  isForeignBundle(text) ? ready(readForeignBundle(text), verifyForeignBundle) : ready(readBundle(text), verifyBundle);

function ready<T extends Pick<Checkable, "contracts">>(
  read: Verdict<T>,
  verify: (bundle: T, blockHash: Hex) => Generator<Check, void, void>,
): Verdict<Checkable> {
  if (read.kind !== "accept") return read;
  const bundle = read.value;
  return accept({ contracts: bundle.contracts, verify: (blockHash) => verify(bundle, blockHash) });
}

/**
 * Everything of a bundle, and first of all whether its contracts are those of the deployment that is meant: who makes a bundle
 * may prove the storage of contracts of its own.
 * @param deployment that the auditor believes; without one the question stays open, and is told as that
 */
export function* verifyAnyBundle(
  { contracts, verify }: Checkable,
  blockHash: Hex,
  deployment?: Deployment,
): Generator<Check, void, void> {
  const named = Object.entries(contracts) as [keyof Deployment["contracts"], Address][];
  const listed = named.map(([name, address]) => `${name} ${address}`).join(", ");
  if (deployment === undefined) {
    yield unproven("contracts", `whether ${listed} are those that you mean: name the deployment's file, or compare`);
  } else {
    const other = named.find(([name, address]) => !isAddressEqual(deployment.contracts[name], address));
    const detail = other && `${other[0]} is ${deployment.contracts[other[0]]} there, and ${other[1]} in the bundle`;
    yield check("contracts", other === undefined, detail ?? `those of the deployment: ${listed}`);
  }
  yield* verify(blockHash);
}
