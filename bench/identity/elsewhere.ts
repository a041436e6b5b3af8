import type { Result } from "../harness/report.ts";

/** What the design asks for in gas, and which rows of `npm run bench -- gas` measure it. */
const gas: readonly (readonly [id: string, goal: number, rows: string])[] = [
  ["register(uri of 66 B), new owner", 150_000, "identity.register-uri.new-owner"],
  ["register(uri of 66 B), existing owner", 130_000, "identity.register-uri.existing-owner"],
  ["register + BAID commitment + LOG signer", 230_000, "identity.register-bound"],
  ["bind one more secp256k1 signer", 75_000, "identity.bind-signer"],
  ["rotate signer", 60_000, "identity.rotate-signer"],
  ["binding in a batch of 1,000, each", 100, "identity.anchor-bindings.per-binding"],
  ["signer check, on chain view", 10_000, "identity.signer-check"],
  ["P-256 / passkey assertion check", 45_000, "identity.passkey-assertion"],
  ["equivocation proof and slash", 120_000, "stake.slash-equivocation"],
  ["zk operator credential, with registration", 300_000, "identity.credential.zero-knowledge"],
];

/** Figures of the design's table that are not times: named here, so that the table is whole, and measured there. */
export const elsewhere = (): Result[] =>
  gas.map(([id, goal, row]) => ({
    ...{ id, unit: "gas", value: null, goal, better: "lower", peers: {}, ratio: null },
    note: `gas, by \`npm run bench -- gas\`: ${row}`,
  }));
