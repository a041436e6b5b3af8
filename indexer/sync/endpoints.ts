import type { Hex } from "viem";
import type { RawLog } from "../handlers/decode.ts";
import type { BlockRef } from "../store/store.ts";
import type { ChainReader } from "./rpc.ts";

/** Others are asked for their heads when the current endpoint's has not moved for so long. */
const STILL_HEAD_MS = 2_000;
/** An endpoint that is so far behind another is stuck; one or two blocks are the network's delay. */
const STUCK_BLOCKS = 3;
/** A witness may be behind for so long before a block is taken without it: a stuck one must not stop us for ever. */
const WITNESS_PATIENCE_MS = 15_000;

/** One endpoint of the chain, by a name that may be shown: no URL, which may hold a key. */
export interface Endpoint {
  readonly name: string;
  readonly reader: ChainReader;
}

/** What is known of one endpoint. */
export interface EndpointStatus {
  readonly name: string;
  /** Asked first. */
  readonly isCurrent: boolean;
  /** Requests that it failed. */
  readonly failures: number;
  /** Answers in which most others contradicted it. */
  readonly contradictions: number;
}

interface Member extends Endpoint {
  failures: number;
  contradictions: number;
  isKnown: boolean;
}

/** What one endpoint says of a block, and of the logs up to it. */
interface Testimony {
  readonly reader: ChainReader;
  readonly hash: Hex;
  readonly logs: RawLog[];
}

/** What is said of the endpoints; where no chain is read, of none. */
export type EndpointReport = Pick<EndpointPool, "status" | "unwitnessed">;

/**
 * Several endpoints as one. A request that one fails goes to the next; an endpoint whose head stands still while another's moves is
 * left; and logs, the only answers that no hash of ours vouches for, are taken when a second endpoint gives the same ones. Where two
 * contradict each other, most of those who answer decide; without a majority the request fails, and rows stay as they are.
 *
 * A block that no other endpoint can speak of (all are down, or behind for long) is taken on one's word, and counted.
 */
export class EndpointPool implements ChainReader {
  readonly #members: Member[];
  readonly #chainId: number;
  readonly #nowMs: () => number;
  #current: Member;
  #head: { readonly hash: string; readonly sinceMs: number } | undefined;
  #waitingSinceMs: number | undefined;
  #unwitnessed = 0;

  /** @param endpoints at least one, the preferred one first */
  constructor(endpoints: readonly Endpoint[], chainId: number, nowMs: () => number) {
    this.#members = endpoints.map((endpoint) => ({ ...endpoint, failures: 0, contradictions: 0, isKnown: false }));
    this.#current = this.#members[0] as Member;
    this.#chainId = chainId;
    this.#nowMs = nowMs;
  }

  /** In the order given. */
  status(): EndpointStatus[] {
    return this.#members.map((member) => {
      const { name, failures, contradictions } = member;
      return { name, isCurrent: member === this.#current, failures, contradictions };
    });
  }

  /** Answers about logs that nobody else could speak of, among several endpoints. */
  get unwitnessed(): number {
    return this.#unwitnessed;
  }

  /** The chain of the first endpoint that is on another than ours, if there is one among those that answer. */
  async chainId(signal: AbortSignal): Promise<number> {
    const answers = await Promise.allSettled(this.#members.map(({ reader }) => reader.chainId(signal)));
    signal.throwIfAborted();
    const known = answers.filter((answer) => answer.status === "fulfilled").map(({ value }) => value);
    if (known.length === 0) throw (answers[0] as PromiseRejectedResult).reason;
    return known.find((chainId) => chainId !== this.#chainId) ?? this.#chainId;
  }

  async head(signal: AbortSignal): Promise<BlockRef> {
    const head = await this.#ask((reader) => reader.head(signal), signal);
    const nowMs = this.#nowMs();
    if (head.hash !== this.#head?.hash) this.#head = { hash: head.hash, sinceMs: nowMs };
    if (nowMs - this.#head.sinceMs < STILL_HEAD_MS || this.#members.length === 1) return head;
    this.#head = { hash: head.hash, sinceMs: nowMs };
    return this.#highest(head, signal);
  }

  finalized(signal: AbortSignal): Promise<number> {
    return this.#ask((reader) => reader.finalized(signal), signal);
  }

  header(number: number, signal: AbortSignal): Promise<BlockRef | undefined> {
    return this.#ask((reader) => reader.header(number, signal), signal);
  }

  logsOfRange(from: number, to: number, signal: AbortSignal): Promise<RawLog[]> {
    return this.#witnessed(to, (reader) => reader.logsOfRange(from, to, signal), signal);
  }

  logsOfBlock(block: Pick<BlockRef, "number" | "hash">, signal: AbortSignal): Promise<RawLog[]> {
    return this.#witnessed(block.number, (reader) => reader.logsOfBlock(block, signal), signal);
  }

  /** From the current endpoint, or the next one that answers. @throws what the last one failed with */
  async #ask<T>(read: (reader: ChainReader) => Promise<T>, signal: AbortSignal): Promise<T> {
    let fault: unknown;
    for (const member of this.#from(this.#current)) {
      try {
        return await this.#of(member, read, signal);
      } catch (error) {
        signal.throwIfAborted();
        fault = error;
        if (this.#current === member) this.#current = this.#after(member);
      }
    }
    throw fault;
  }

  /** What one endpoint says, once it is known to be on our chain. */
  async #of<T>(member: Member, read: (reader: ChainReader) => Promise<T>, signal: AbortSignal): Promise<T> {
    try {
      if (!member.isKnown) {
        const chainId = await member.reader.chainId(signal);
        if (chainId !== this.#chainId) throw new Error(`${member.name} serves chain ${chainId}, not ${this.#chainId}`);
        member.isKnown = true;
      }
      return await read(member.reader);
    } catch (error) {
      signal.throwIfAborted();
      member.failures++;
      throw error;
    }
  }

  async #highest(head: BlockRef, signal: AbortSignal): Promise<BlockRef> {
    const others = this.#members.filter((member) => member !== this.#current);
    const heads = await Promise.allSettled(
      others.map(async (member) => ({ member, head: await this.#of(member, (reader) => reader.head(signal), signal) })),
    );
    signal.throwIfAborted();
    const ahead = heads
      .flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []))
      .filter((other) => other.head.number >= head.number + STUCK_BLOCKS)
      .sort((a, b) => b.head.number - a.head.number)[0];
    if (ahead === undefined) return head;
    this.#current = ahead.member;
    return ahead.head;
  }

  /** The speaker's logs, if the first other endpoint that can speak of the block has the same; else what most of all say. */
  async #witnessed(
    number: number,
    read: (reader: ChainReader) => Promise<RawLog[]>,
    signal: AbortSignal,
  ): Promise<RawLog[]> {
    if (this.#members.length === 1) return this.#ask(read, signal);
    const testify = async (reader: ChainReader): Promise<Testimony | undefined> => {
      const header = await reader.header(number, signal);
      return header && { reader, hash: header.hash, logs: await read(reader) };
    };
    const spoken = await this.#ask(testify, signal);
    if (spoken === undefined) throw new Error(`block ${number} has vanished`);
    const heard: Testimony[] = [];
    let isAwaited = false;
    for (const member of this.#members.filter(({ reader }) => reader !== spoken.reader)) {
      // One that fails is counted, and the next one asked.
      const answer = await this.#of(member, testify, signal).then(accepted, () => failed);
      signal.throwIfAborted();
      if (answer.isFailed) continue;
      if (answer.testimony === undefined) isAwaited = true;
      else heard.push(answer.testimony);
      if (heard.length === 1 && isSame(spoken, heard[0] as Testimony)) return this.#take(spoken);
    }
    if (heard.length > 0) return this.#take(this.#decide(spoken, heard, number));
    if (isAwaited) this.#awaitWitness(number);
    this.#unwitnessed++;
    return spoken.logs;
  }

  #take({ logs }: Testimony): RawLog[] {
    this.#waitingSinceMs = undefined;
    return logs;
  }

  /** @throws where no answer has more than half of the voices */
  #decide(spoken: Testimony, heard: readonly Testimony[], number: number): Testimony {
    const voices = [spoken, ...heard];
    const winner = voices.find((one) => 2 * voices.filter((other) => isSame(one, other)).length > voices.length);
    if (winner === undefined) throw new Error(`the endpoints contradict each other about block ${number}`);
    for (const member of this.#members) {
      const voice = voices.find(({ reader }) => reader === member.reader);
      if (voice !== undefined && !isSame(voice, winner)) member.contradictions++;
    }
    // What else the outvoted endpoint says is of its own chain: the next answers come from one of the majority.
    this.#current = this.#members.find(({ reader }) => reader === winner.reader) as Member;
    return winner;
  }

  /** @throws while the others may still come to that block */
  #awaitWitness(number: number): void {
    const nowMs = this.#nowMs();
    this.#waitingSinceMs ??= nowMs;
    if (nowMs - this.#waitingSinceMs < WITNESS_PATIENCE_MS)
      throw new Error(`no other endpoint has block ${number} yet`);
  }

  /** All members, that one first. */
  #from(first: Member): Member[] {
    const start = this.#members.indexOf(first);
    return [...this.#members.slice(start), ...this.#members.slice(0, start)];
  }

  #after(member: Member): Member {
    return this.#from(member)[1] ?? member;
  }
}

/** Both may have changed branch between header and logs; the core refuses logs of another block than the header's. */
function isSame(one: Testimony, other: Testimony): boolean {
  return one.hash === other.hash && JSON.stringify(one.logs) === JSON.stringify(other.logs);
}

const accepted = (testimony: Testimony | undefined) => ({ isFailed: false, testimony }) as const;
const failed = { isFailed: true } as const;
