import { BaseError, parseEventLogs, RpcError, UnknownRpcError, type Address, type Hex } from "viem";
import { identityRegistryAbi } from "#protocol";
import { withSignal } from "./clock.ts";
import { unreachable, type ChainClient } from "./connect.ts";

/** Signers of one agent that are looked for, the newest ones: a registry entry costs its owner gas, and us a call. */
export const MAX_SIGNERS = 16;
/** Blocks of one eth_getLogs; public endpoints refuse more. Halved where one refuses these, down to the second. */
const RANGE_BLOCKS = 10_000n;
const MIN_RANGE_BLOCKS = 100n;
/** Ranges that one question reads, a million blocks; the next question about the agent goes on where it ended. */
const MAX_RANGES = 100;
/** Agents whose reading is remembered, so that a second question reads new blocks only. */
const MAX_AGENTS = 1_000;
/** Blocks that are read again each time: a reorg may have put others in their place. */
const REORG_BLOCKS = 128n;

/** What was read of one agent: all blocks from `oldest` to `newest`. */
interface Reading {
  oldest: bigint;
  newest: bigint;
  /** Bytes of signers, the newest binding first. */
  signers: readonly Hex[];
}

export interface BoundSignersOptions {
  readonly client: ChainClient;
  readonly registry: Address;
  /** Before it there are no events. */
  readonly firstBlock: bigint;
  readonly rangeBlocks?: bigint;
  readonly maxRanges?: number;
}

/** Signers that were bound to an agent, by the registry's events, the newest first. The chain says whether they still are. */
export interface BoundSigners {
  /** @param latest block up to which is read @throws SuretyError CHAIN_UNREACHABLE */
  of(agentId: bigint, latest: bigint, signal: AbortSignal): Promise<readonly Hex[]>;
}

export function createBoundSigners(options: BoundSignersOptions): BoundSigners {
  const { client, registry, firstBlock, maxRanges = MAX_RANGES } = options;
  let rangeBlocks = options.rangeBlocks ?? RANGE_BLOCKS;
  const readings = new Map<bigint, Reading>();

  /** Signers bound from `from` to `to`, the newest first; undefined where the endpoint wants a smaller range. */
  async function read(agentId: bigint, from: bigint, to: bigint, signal: AbortSignal): Promise<Hex[] | undefined> {
    const range = { address: registry, event: signerBound, args: { agentId }, fromBlock: from, toBlock: to };
    try {
      const logs = await withSignal(client.getLogs(range), signal);
      return parseEventLogs({ abi: [signerBound], logs })
        .map(({ args }) => args.signer)
        .reverse();
    } catch (cause) {
      signal.throwIfAborted();
      if (!isRefusal(cause) || rangeBlocks <= MIN_RANGE_BLOCKS) throw unreachable(cause);
      rangeBlocks = rangeBlocks / 2n > MIN_RANGE_BLOCKS ? rangeBlocks / 2n : MIN_RANGE_BLOCKS;
      return undefined;
    }
  }

  /** From the newest block backwards: what was bound last is looked for first. @returns the first block that was read */
  async function readBack(
    reading: { signers: Hex[]; ranges: number },
    agentId: bigint,
    [from, to]: readonly [bigint, bigint],
    signal: AbortSignal,
  ): Promise<bigint> {
    let at = to + 1n;
    while (at > from && reading.ranges < maxRanges && reading.signers.length < MAX_SIGNERS) {
      const start = at - rangeBlocks > from ? at - rangeBlocks : from;
      reading.ranges++;
      const found = await read(agentId, start, at - 1n, signal);
      if (found === undefined) continue;
      reading.signers = [...new Set([...reading.signers, ...found])];
      at = start;
    }
    return at;
  }

  function remember(agentId: bigint, reading: Reading): void {
    readings.delete(agentId);
    readings.set(agentId, reading);
    const oldest = readings.keys().next();
    if (readings.size > MAX_AGENTS && !oldest.done) readings.delete(oldest.value);
  }

  return {
    async of(agentId, latest, signal) {
      const known = readings.get(agentId);
      const fresh = { signers: [] as Hex[], ranges: 0 };
      const since = known === undefined ? firstBlock : known.newest - REORG_BLOCKS;
      const from = since > firstBlock ? since : firstBlock;
      const reached = await readBack(fresh, agentId, [from, latest], signal);
      // A gap of more ranges than one question reads: what is older than it is read again.
      const older = known !== undefined && reached <= known.newest ? known : undefined;
      const signers = [...new Set([...fresh.signers, ...(older?.signers ?? [])])];
      const rest = { signers, ranges: fresh.ranges };
      const oldest = await readBack(rest, agentId, [firstBlock, (older?.oldest ?? reached) - 1n], signal);
      const newest = rest.signers.slice(0, MAX_SIGNERS);
      remember(agentId, { oldest, newest: latest, signers: newest });
      return newest;
    },
  };
}

/** The endpoint has answered, with an error: that a range is too long, for all we know. */
const isRefusal = (cause: unknown): boolean =>
  cause instanceof BaseError &&
  cause.walk((error) => error instanceof RpcError && !(error instanceof UnknownRpcError)) !== null;

const signerBound = identityRegistryAbi.find(
  (entry) => entry.type === "event" && entry.name === "SignerBound",
) as Extract<(typeof identityRegistryAbi)[number], { type: "event"; name: "SignerBound" }>;
