import type { Hex } from "viem";
import { accept, type Verdict } from "#protocol";
import { readBundle } from "./bundle.ts";
import type { Check } from "./checks.ts";
import { isForeignBundle, readForeignBundle, verifyForeignBundle } from "./foreign-bundle.ts";
import { verifyBundle } from "./verify-bundle.ts";

/** A bundle that was read, of whichever kind, ready to be checked against a block hash. */
export type Checkable = (blockHash: Hex) => Generator<Check, void, void>;

/** Reads a bundle of an agent of ours or of another registry, by what its first line says. */
export const readAnyBundle = (text: string): Verdict<Checkable> =>
  isForeignBundle(text) ? ready(readForeignBundle(text), verifyForeignBundle) : ready(readBundle(text), verifyBundle);

const ready = <T>(read: Verdict<T>, verify: (bundle: T, blockHash: Hex) => Generator<Check, void, void>) =>
  read.kind === "accept" ? accept<Checkable>((blockHash) => verify(read.value, blockHash)) : read;
