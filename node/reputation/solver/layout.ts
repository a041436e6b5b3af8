import { SuretyError } from "#protocol";
import type { TopicGraph } from "../graph.ts";
import { ARGUMENT_COUNT, BLOCK_ROWS, MAX_PAGES, OFFSET_BYTES, type WeightBytes } from "./kernel.ts";

/** Parts of a sweep that threads take one by one. Sums are kept by part and added in order: the threads' number shows nowhere. */
export const CHUNK_COUNT = 64;
/** Iterates that an extrapolation looks at. */
export const HISTORY = 7;

/** 32-bit words at the start of the memory, by which threads agree. */
export const control = {
  generation: 0,
  nextChunk: 1,
  idleCount: 2,
  operation: 3,
  isOver: 4,
  argumentList: 8,
  chunks: 32,
} as const;
const PARTIALS_BYTE = 1024;
const CONTROL_BYTES = 2048;
const PAGE_BYTES = 65_536;
/** Per row beside its edges, in work for a sweep: the epilogue of a block costs about as much as four groups of edges. */
const BLOCK_COST = 4;

/** Byte addresses of the arrays, one element a row unless said otherwise. */
export interface Addresses {
  /** Groups of four edges before each block, blockCount + 1 words. */
  readonly starts: number;
  readonly offsets: number;
  readonly weights: number;
  readonly rowSums: number;
  readonly scale32: number;
  readonly restart32: number;
  readonly gifts32: readonly [number, number];
  /** The exact phase keeps scores, quotients and restart where the float phase had its iterates. */
  readonly iterates: readonly number[];
  readonly exactScores: number;
  readonly exactQuotients: number;
  readonly exactRestart: number;
  readonly scale64: number;
  readonly restart64: number;
  readonly scores64: number;
  readonly gifts64: number;
  readonly residual64: number;
}

/**
 * A graph as the kernel walks it. Rows are sorted by in-degree, most first (counting sort, stable), so that four
 * neighbours are about equally long and the most wanted gifts share cache lines.
 */
export interface Layout {
  readonly memory: WebAssembly.Memory;
  readonly width: WeightBytes;
  readonly rowCount: number;
  /** rowCount rounded up to whole blocks. */
  readonly paddedCount: number;
  readonly blockCount: number;
  /** Seat by row. */
  readonly seatOf: Uint32Array;
  readonly addresses: Addresses;
  readonly byteCount: number;
}

/** @throws SuretyError ENGINE_TOO_LARGE when the graph needs more than 4 GiB */
export function createLayout(graph: TopicGraph): Layout {
  const leastBytes = (graph.inStart[graph.seatCount] as number) * (OFFSET_BYTES + 1);
  if (leastBytes > MAX_PAGES * PAGE_BYTES) throw tooLarge(graph, leastBytes);
  const { seatOf, rowOf } = rankRows(graph);
  const blockCount = Math.ceil(graph.seatCount / BLOCK_ROWS);
  const degree = (row: number) => {
    const seat = seatOf[row] as number;
    return (graph.inStart[seat + 1] as number) - (graph.inStart[seat] as number);
  };
  let groupCount = 0;
  for (let block = 0; block < blockCount; block++) groupCount += degree(block * BLOCK_ROWS);
  const width = widthOf(graph.inWeights);
  const { addresses, byteCount } = placeArrays(blockCount, groupCount, width);
  if (byteCount > MAX_PAGES * PAGE_BYTES) throw tooLarge(graph, byteCount);
  const memory = borrowMemory(byteCount);
  const paddedCount = blockCount * BLOCK_ROWS;
  const layout = { memory, width, rowCount: graph.seatCount, paddedCount, blockCount, seatOf, addresses, byteCount };
  writeEdges(graph, layout, rowOf);
  writeChunks(layout);
  return layout;
}

function rankRows({ seatCount, inStart }: TopicGraph): { seatOf: Uint32Array; rowOf: Uint32Array } {
  const degreeOf = (seat: number) => (inStart[seat + 1] as number) - (inStart[seat] as number);
  let largest = 0;
  for (let seat = 0; seat < seatCount; seat++) largest = Math.max(largest, degreeOf(seat));
  const next = new Uint32Array(largest + 2);
  for (let seat = 0; seat < seatCount; seat++) {
    const place = largest - degreeOf(seat) + 1;
    next[place] = (next[place] as number) + 1;
  }
  for (let k = 1; k < next.length; k++) next[k] = (next[k] as number) + (next[k - 1] as number);
  const seatOf = new Uint32Array(seatCount);
  const rowOf = new Uint32Array(seatCount);
  for (let seat = 0; seat < seatCount; seat++) {
    const place = largest - degreeOf(seat);
    const row = next[place] as number;
    next[place] = row + 1;
    seatOf[row] = seat;
    rowOf[seat] = row;
  }
  return { seatOf, rowOf };
}

function widthOf(weights: Uint32Array): WeightBytes {
  let largest = 0;
  for (const weight of weights) if (weight > largest) largest = weight;
  return largest < 2 ** 8 ? 1 : largest < 2 ** 16 ? 2 : 4;
}

function placeArrays(blockCount: number, groupCount: number, width: WeightBytes) {
  let byteCount = CONTROL_BYTES;
  const take = (bytes: number) => {
    const address = byteCount;
    byteCount += Math.ceil(bytes / 64) * 64;
    return address;
  };
  const rows = blockCount * BLOCK_ROWS;
  const [words, doubles] = [4 * rows, 8 * rows];
  const starts = take(4 * (blockCount + 1));
  const offsets = take(groupCount * BLOCK_ROWS * OFFSET_BYTES);
  const weights = take(groupCount * BLOCK_ROWS * width);
  const iterates = Array.from({ length: HISTORY }, () => take(words));
  const exactScores = Math.ceil((iterates[0] as number) / 64) * 64;
  const addresses: Addresses = {
    starts,
    offsets,
    weights,
    iterates,
    exactScores,
    exactQuotients: exactScores + doubles,
    exactRestart: exactScores + 2 * doubles,
    rowSums: take(words),
    scale32: take(words),
    restart32: take(words),
    gifts32: [take(words), take(words)],
    scale64: take(doubles),
    restart64: take(doubles),
    scores64: take(doubles),
    gifts64: take(doubles),
    residual64: take(doubles),
  };
  return { addresses, byteCount };
}

/** A padded edge has offset 0 and weight 0: it adds nothing times something finite. */
function writeEdges(graph: TopicGraph, layout: Layout, rowOf: Uint32Array): void {
  const { seatOf, blockCount, addresses, memory, width, rowCount } = layout;
  const { inStart, inSeats, inWeights } = graph;
  const { buffer } = memory;
  const starts = new Uint32Array(buffer, addresses.starts, blockCount + 1);
  const offsets = new Uint32Array(buffer, addresses.offsets);
  const arrayOf = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array }[width];
  const weights = new arrayOf(buffer, addresses.weights);
  const rowSums = new Uint32Array(buffer, addresses.rowSums, layout.paddedCount);
  let group = 0;
  for (let block = 0; block < blockCount; block++) {
    starts[block] = group;
    let longest = 0;
    for (let lane = 0; lane < BLOCK_ROWS; lane++) {
      const row = block * BLOCK_ROWS + lane;
      if (row >= rowCount) break;
      const seat = seatOf[row] as number;
      const first = inStart[seat] as number;
      const length = (inStart[seat + 1] as number) - first;
      for (let k = 0; k < length; k++) {
        const slot = (group + k) * BLOCK_ROWS + lane;
        offsets[slot] = (rowOf[inSeats[first + k] as number] as number) * OFFSET_BYTES;
        weights[slot] = inWeights[first + k] as number;
      }
      longest = Math.max(longest, length);
      rowSums[row] = graph.rowSums[seat] as number;
    }
    group += longest;
  }
  starts[blockCount] = group;
}

/** Cuts the blocks into CHUNK_COUNT parts of about equal work. */
function writeChunks({ memory, addresses, blockCount }: Layout): void {
  const starts = new Uint32Array(memory.buffer, addresses.starts, blockCount + 1);
  const chunks = new Int32Array(memory.buffer, 4 * control.chunks, CHUNK_COUNT + 1);
  const total = (starts[blockCount] as number) + BLOCK_COST * blockCount;
  let chunk = 1;
  for (let block = 0; block < blockCount; block++) {
    const workBefore = (starts[block] as number) + BLOCK_COST * block;
    while (chunk < CHUNK_COUNT && workBefore >= (total * chunk) / CHUNK_COUNT) chunks[chunk++] = block;
  }
  chunks.fill(blockCount, chunk);
}

/** The words and sums by which one operation is shared out. */
export function controlOf(memory: WebAssembly.Memory) {
  return {
    words: new Int32Array(memory.buffer, 0, control.chunks + CHUNK_COUNT + 1),
    argumentList: new Int32Array(memory.buffer, 4 * control.argumentList, ARGUMENT_COUNT),
    partials: new Float64Array(memory.buffer, PARTIALS_BYTE, CHUNK_COUNT),
  };
}

/** Memories up to this size are used again: creating one reserves address space, and small graphs come by the thousand. */
const REUSED_BYTES = 2 ** 24;
const idle: WebAssembly.Memory[] = [];
/** More than one solve at a time in a process is rare. */
const MAX_IDLE = 2;

function borrowMemory(byteCount: number): WebAssembly.Memory {
  const pages = Math.ceil(byteCount / PAGE_BYTES);
  const memory = byteCount > REUSED_BYTES ? undefined : idle.pop();
  if (memory === undefined) return new WebAssembly.Memory({ initial: pages, maximum: MAX_PAGES, shared: true });
  const missing = pages - memory.buffer.byteLength / PAGE_BYTES;
  if (missing > 0) memory.grow(missing);
  new Uint8Array(memory.buffer, 0, byteCount).fill(0);
  return memory;
}

/** Gives a layout's memory back. Only when no thread uses it any more. */
export function releaseLayout({ memory }: Layout): void {
  if (memory.buffer.byteLength <= REUSED_BYTES && idle.length < MAX_IDLE) idle.push(memory);
}

function tooLarge(graph: TopicGraph, byteCount: number): SuretyError {
  return new SuretyError("ENGINE_TOO_LARGE", "The graph does not fit the engine's 4 GiB.", {
    values: { seatCount: graph.seatCount, edgeCount: graph.inSeats.length, byteCount },
    next: "Split the topic, or leave out agents without deals.",
  });
}
