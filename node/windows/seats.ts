import {
  accept,
  addressOfPeerId,
  batchDigestOf,
  ignore,
  quorumOf,
  recoverSigner,
  reject,
  signersOfBatch,
  windowAt,
  type DomainContracts,
  type SealedBatch,
  type SignedBatch,
  type Verdict,
} from "#protocol";
import type { PeerName, Transport } from "../transport/port.ts";
import type { WindowChain, WindowPeers } from "./port.ts";

/** Epochs whose validators are remembered; batches of older ones are history. */
const MAX_EPOCHS = 8;

/** Who sits where in a topic's epochs, and whose signatures are theirs. */
export interface Seats {
  /** Agents by seat; asked again while the epoch has none. */
  of(epoch: number, signal: AbortSignal): Promise<readonly number[]>;
  /** The seat whose validator signed a batch header. */
  signerSeat(signed: SignedBatch, signal: AbortSignal): Promise<Verdict<number>>;
  /** Whether a quorum of the epoch's validators sealed a batch. */
  checkSealed(sealed: SealedBatch, signal: AbortSignal): Promise<Verdict<SealedBatch>>;
  /** A peer of the validator in a seat. */
  peerOf(epoch: number, seat: number, signal: AbortSignal): Promise<PeerName | undefined>;
}

export interface SeatsOptions {
  readonly topic: bigint;
  readonly chain: WindowChain;
  readonly peers: WindowPeers;
  readonly transport: Transport;
  readonly contracts: DomainContracts;
}

export function createSeats({ topic, chain, peers, transport, contracts }: SeatsOptions): Seats {
  const drawn = new Map<number, readonly number[]>();

  async function of(epoch: number, signal: AbortSignal): Promise<readonly number[]> {
    const known = drawn.get(epoch);
    if (known !== undefined) return known;
    const asked = await chain.validatorsOf(topic, epoch, signal);
    if (asked.length > 0) drawn.set(epoch, asked);
    const oldest = drawn.keys().next();
    if (drawn.size > MAX_EPOCHS && oldest.done !== true) drawn.delete(oldest.value);
    return asked;
  }

  const epochOf = (window: number): number => windowAt(chain.clock, window).epoch;

  return {
    of,
    async signerSeat({ header, signature }, signal) {
      const signer = recoverSigner(batchDigestOf(header, contracts), signature);
      if (signer.kind !== "accept") return signer;
      const seats = await of(epochOf(header.window), signal);
      const agentId = await peers.agentOf(signer.value, signal);
      const seat = seats.findIndex((validator) => BigInt(validator) === agentId);
      // The chain may have told others already what it has not told us.
      return seat < 0 ? ignore("WINDOW_NOT_VALIDATOR", `${signer.value} has no seat`) : accept(seat);
    },
    async checkSealed(sealed, signal) {
      const signers = signersOfBatch(sealed, contracts);
      if (signers.kind !== "accept") return signers;
      const seats = await of(epochOf(sealed.header.window), signal);
      if (seats.length === 0) return ignore("BATCH_EPOCH", "no validators are known of its epoch");
      if (seats.length !== sealed.signatures.length) return reject("BATCH_SEATS", `${seats.length} seats were drawn`);
      let valid = 0;
      for (const [seat, signer] of signers.value.entries()) {
        const agentId = signer === undefined ? undefined : await peers.agentOf(signer, signal);
        if (agentId === BigInt(seats[seat] ?? 0)) valid++;
      }
      // Keys that ended since are missed here; the chain judges an anchor by the window's second.
      return valid >= quorumOf(seats.length)
        ? accept(sealed)
        : ignore("BATCH_SIGNER", `${valid} signers have their seats`);
    },
    async peerOf(epoch, seat, signal) {
      const agentId = BigInt((await of(epoch, signal))[seat] ?? 0);
      for (const peer of transport.peers()) {
        const address = addressOfPeerId(peer);
        if (address.kind === "accept" && (await peers.agentOf(address.value, signal)) === agentId) return peer;
      }
      return peers.reach(agentId, signal);
    },
  };
}
