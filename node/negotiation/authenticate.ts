import type { Address, Hex } from "viem";
import {
  accept,
  addressOfPeerId,
  ignore,
  purposes,
  recoverSigner,
  reject,
  signerHashOf,
  typedDataDigest,
  type DomainContracts,
  type Structs,
  type Verdict,
} from "#protocol";
import type { Clock, IdentityReader } from "../chain/port.ts";
import type { PeerName } from "../transport/port.ts";
import { IDENTITY_CACHE_MS, MAX_REMEMBERED } from "./limits.ts";

/** Who signed what, and whether the registry lets that key speak for that agent. */
export class Authenticator {
  readonly #identity: IdentityReader;
  readonly #contracts: DomainContracts;
  readonly #clock: Clock;
  readonly #known = new Map<string, { isValid: boolean; atMs: number }>();
  /** Taking the key out of a peer id is two square roots, a fifth of what recovering one costs. */
  readonly #senders = new Map<PeerName, Verdict<Address>>();
  /** A bid comes twice under one signature, sealed and open: recovering a key takes a millisecond. */
  readonly #recovered = new Map<string, Verdict<Address>>();

  constructor(identity: IdentityReader, contracts: DomainContracts, clock: Clock) {
    this.#identity = identity;
    this.#contracts = contracts;
    this.#clock = clock;
  }

  /**
   * The signer of a struct, if it is a LOG signer of the agent now and the peer that sent it: nobody passes on what
   * another one signed. The cheap checks come first; the registry is asked for keys that did sign.
   */
  async signerOf<K extends keyof Structs>(
    claim: { struct: K; value: Structs[K]; signature: Hex; agentId: bigint; from: PeerName },
    signal: AbortSignal,
  ): Promise<Verdict<Address>> {
    const signer = this.recover(typedDataDigest(claim.struct, claim.value, this.#contracts), claim.signature);
    return signer.kind === "accept" ? await this.isSender(claim.agentId, signer.value, claim.from, signal) : signer;
  }

  /** The address that signed a digest. */
  recover(digest: Hex, signature: Hex): Verdict<Address> {
    const key = `${digest} ${signature}`;
    const known = this.#recovered.get(key);
    if (known !== undefined) return known;
    const signer = recoverSigner(digest, signature);
    remember(this.#recovered, key, signer);
    return signer;
  }

  #addressOf(peer: PeerName): Verdict<Address> {
    const known = this.#senders.get(peer);
    if (known !== undefined) return known;
    const sender = addressOfPeerId(peer);
    remember(this.#senders, peer, sender);
    return sender;
  }

  /** Whether who signed is who sent, and speaks for the agent. */
  async isSender(agentId: bigint, signer: Address, from: PeerName, signal: AbortSignal): Promise<Verdict<Address>> {
    const sender = this.#addressOf(from);
    if (sender.kind !== "accept") return sender;
    if (sender.value !== signer) return reject("SIGNER_NOT_SENDER", `${signer} signed, ${sender.value} sent`);
    return await this.speaksFor(agentId, signer, signal);
  }

  /** Whether a key is a LOG signer of an agent now. */
  async speaksFor(agentId: bigint, signer: Address, signal: AbortSignal): Promise<Verdict<Address>> {
    const key = `${agentId} ${signer}`;
    const known = this.#known.get(key);
    const nowMs = this.#clock.nowMs();
    const isFresh = known !== undefined && nowMs - known.atMs < IDENTITY_CACHE_MS;
    const isValid = isFresh ? known.isValid : await this.#askRegistry(agentId, signer, signal);
    if (!isFresh) remember(this.#known, key, { isValid, atMs: nowMs });
    return isValid ? accept(signer) : ignore("SIGNER_UNKNOWN", `${signer} is not a LOG signer of agent ${agentId} now`);
  }

  async #askRegistry(agentId: bigint, signer: Address, signal: AbortSignal): Promise<boolean> {
    const query = { agentId, signerHash: signerHashOf(signer), purpose: purposes.log };
    return await this.#identity.isSignerValidAt(query, signal);
  }
}

/** Keeps an answer, and lets the oldest go where there are too many. */
function remember<K, V>(answers: Map<K, V>, key: K, answer: V): void {
  const [oldest] = answers.keys();
  if (answers.size >= MAX_REMEMBERED && oldest !== undefined) answers.delete(oldest);
  answers.set(key, answer);
}

/** Messages of each peer in the running minute. */
export class PeerBudget {
  readonly #max: number;
  readonly #counts = new Map<PeerName, { minute: number; count: number }>();

  constructor(maxPerMinute: number) {
    this.#max = maxPerMinute;
  }

  take(peer: PeerName, nowMs: number): boolean {
    const minute = Math.floor(nowMs / 60_000);
    const known = this.#counts.get(peer);
    const count = known?.minute === minute ? known.count + 1 : 1;
    this.#counts.delete(peer);
    this.#counts.set(peer, { minute, count });
    const [oldest] = this.#counts.keys();
    if (this.#counts.size > MAX_REMEMBERED && oldest !== undefined) this.#counts.delete(oldest);
    return count <= this.#max;
  }
}
