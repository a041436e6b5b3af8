// Writes test/vectors/semaphore-membership.json: a real proof for the contracts that a fresh local chain deploys first, so that tests and
// benchmarks of the root project can present one without a prover. The contracts' addresses follow from account and nonce.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Group } from "@semaphore-protocol/group";
import { Identity } from "@semaphore-protocol/identity";
import { getContractAddress, type Address } from "viem";
import { scopeOf } from "../contracts/protocol/index.ts";
import { endProver, proveMembership } from "./semaphore/prove.ts";

/** First account of Hardhat's public test mnemonic: it deploys registry, SemaphoreCredentials and Credentials, and owns agent 1. */
const OWNER: Address = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
const CHAIN_ID = 31_337;
/** 2035-01-02: later than any local chain starts. */
const VALID_UNTIL = Date.UTC(2035, 0, 2) / 1000;
/** Semaphore's identities of these names are public, and for tests only. */
const NAMES = ["ada", "bob", "eve", "dan", "fay"];

const addressAt = (nonce: bigint): Address => getContractAddress({ from: OWNER, nonce });
const [registry, semaphoreCredentials, credentials] = [addressAt(0n), addressAt(1n), addressAt(2n)];
const people = NAMES.map((name) => new Identity(name));
const [ada] = people;
if (ada === undefined) throw new Error("nobody to prove for");
const membership = await proveMembership(
  ada,
  new Group(people.map(({ commitment }) => commitment)),
  { scope: scopeOf(CHAIN_ID, credentials, registry), agentId: 1n, owner: OWNER, validUntil: VALID_UNTIL },
  { chainId: CHAIN_ID, identityRegistry: registry, dealEscrow: registry, semaphoreCredentials },
);
const { root, nullifier, presentation } = membership;
const dir = join(import.meta.dirname, "../test/vectors");
mkdirSync(dir, { recursive: true });
writeFileSync(
  join(dir, "semaphore-membership.json"),
  `${JSON.stringify({ root: root.toString(), nullifier, validUntil: VALID_UNTIL, presentation }, null, 2)}\n`,
);
await endProver();
