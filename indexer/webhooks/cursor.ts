import type { BlockRef, EventPosition, StoredEvent } from "../store/store.ts";

/** Told blocks are all remembered up to twice this age, of older ones ever fewer: 7 KB after 100,000 of them, and slowly more. */
const DENSE_BLOCKS = 4;
/** After every event of a block. */
const END_OF_BLOCK = 2 ** 31 - 1;

/** A block of which something was told, and its place in the order of those. */
export interface ToldBlock extends Pick<BlockRef, "number" | "hash"> {
  readonly ordinal: number;
}

/** How far a subscription has come. */
export interface Cursor {
  /** Chain and contracts; with others, it begins anew. */
  readonly deployment: string;
  /** Events of later blocks are told. */
  readonly start: number;
  /** Everything up to here was told, or is not wanted. Without a hash: no event was met after `start` or a block of `told`. */
  readonly at: EventPosition & { readonly hash?: BlockRef["hash"] };
  /**
   * INVARIANT: a block is written here before the first of its messages is sent. A message may be taken though we never
   * hear of it; whatever becomes of us then, the block is called void if the chain leaves it.
   */
  readonly told: readonly ToldBlock[];
  /** A notice that has to be delivered before anything else: what was told of blocks above is void. */
  readonly voidAbove?: number;
  /** Counts branches that were left after something was told of them: what is told again has another id. */
  readonly reorgs: number;
}

/** @param start events of later blocks are told */
export function beginCursor(deployment: string, start: number): Cursor {
  return { deployment, start, at: { block: start, logIndex: END_OF_BLOCK }, told: [], reorgs: 0 };
}

type EventPlace = Pick<StoredEvent, "blockNumber" | "blockHash" | "logIndex">;

/** The cursor before an event is told; the same where its block is remembered already. */
export function intend(cursor: Cursor, { blockNumber: number, blockHash: hash }: EventPlace): Cursor {
  const newest = cursor.told.at(-1);
  if (newest?.hash === hash) return cursor;
  return { ...cursor, told: thin([...cursor.told, { number, hash, ordinal: (newest?.ordinal ?? 0) + 1 }]) };
}

/** The cursor after an event that was told or is not wanted. */
export function pass(cursor: Cursor, { blockNumber, blockHash, logIndex }: EventPlace): Cursor {
  return { ...cursor, at: { block: blockNumber, logIndex, hash: blockHash } };
}

/** Of blocks of twice the age, half: what is called void begins at most a third of the left branch too early. */
function thin(told: readonly ToldBlock[]): readonly ToldBlock[] {
  const newest = told.at(-1)?.ordinal ?? 0;
  return told.filter(({ ordinal }) => {
    const age = newest - ordinal;
    return age < 2 * DENSE_BLOCKS || ordinal % 2 ** Math.floor(Math.log2(age / DENSE_BLOCKS)) === 0;
  });
}

/**
 * Goes back to the newest told block that the chain still has, when it has left one that was gone through or told. A block
 * vouches for all before it, so that nothing else needs to be compared.
 * @param isOnChain asked of blocks that have events
 * @returns the same cursor where the chain has left nothing
 */
export async function rewind(
  cursor: Cursor,
  isOnChain: (block: Pick<BlockRef, "number" | "hash">) => boolean | Promise<boolean>,
): Promise<Cursor> {
  const { told, at } = cursor;
  const isHere = at.hash === undefined || (await isOnChain({ number: at.block, hash: at.hash }));
  let kept = told.length;
  while (kept > 0 && !(await isOnChain(told[kept - 1] as ToldBlock))) kept--;
  if (isHere && kept === told.length) return cursor;
  const block = told[kept - 1]?.number ?? cursor.start;
  // All of that block was gone through, or nothing after it would have been.
  const rewound = { ...cursor, at: { block, logIndex: END_OF_BLOCK }, told: told.slice(0, kept) };
  if (kept === told.length) return rewound;
  return { ...rewound, voidAbove: Math.min(block, cursor.voidAbove ?? block), reorgs: cursor.reorgs + 1 };
}

/** The cursor after its notice was taken. */
export function noticed({ deployment, start, at, told, reorgs }: Cursor): Cursor {
  return { deployment, start, at, told, reorgs };
}
