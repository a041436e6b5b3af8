import {
  CHUNK_DEPTH,
  decodeLeaves,
  fileLayoutOf,
  LEAF_BYTES,
  MAX_FILE_LEAVES,
  pieceRangeOf,
  type LeafTree,
  type LeavesId,
} from "#protocol";
import type { Store } from "../../store/port.ts";
import { RING_EPOCHS } from "../book.ts";

const MIGRATIONS = [
  `CREATE TABLE reputation_leaves (
     root TEXT NOT NULL, leaf_count INTEGER NOT NULL, epoch INTEGER NOT NULL, is_own INTEGER NOT NULL, outline BLOB NOT NULL,
     PRIMARY KEY (root, leaf_count)
   ) STRICT;
   CREATE TABLE reputation_leaf_pieces (
     root TEXT NOT NULL, leaf_count INTEGER NOT NULL, piece INTEGER NOT NULL, bytes BLOB NOT NULL,
     PRIMARY KEY (root, leaf_count, piece)
   ) STRICT;`,
];

/** Leaves that are kept in all, 512 MiB: four epochs of four topics of a million agents each. Others' go first. */
export const MAX_SHELF_LEAVES = 2 ** 24;

/** Leaves by root, whole or in part: what was computed here, and what others gave and proved. */
export interface LeafShelf {
  /** Leaves that were computed here, of at most MAX_FILE_LEAVES agents; others are answered on chain only. */
  keepTree(epoch: number, tree: LeafTree): void;
  /** Chunk roots of which a root was shown to consist. */
  keepOutline(id: LeavesId, epoch: number, outline: Uint8Array): void;
  /** A piece that was judged by the outline. */
  keepPiece(id: LeavesId, piece: number, bytes: Uint8Array): void;
  outlineOf(id: LeavesId): Uint8Array | undefined;
  pieceOf(id: LeavesId, piece: number): Uint8Array | undefined;
  /** All of them where not even the outline is here. */
  missingPieces(id: LeavesId): number[];
  /** By seat; undefined = not here. */
  wordsOf(id: LeavesId, piece: number): bigint[] | undefined;
  /** Of a root whose leaves are all here; undefined otherwise. */
  leafCountOf(root: string): number | undefined;
}

interface ShelvedRow {
  readonly root: string;
  readonly leaf_count: number;
}

/** Candidates of older epochs can neither be struck nor finalized: nobody has to have their leaves from us. */
export function createLeafShelf(store: Store): LeafShelf {
  store.migrate("reputation_leaves", MIGRATIONS);
  const insert = store.prepare(
    `INSERT INTO reputation_leaves VALUES (?, ?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET epoch = max(epoch, excluded.epoch), is_own = max(is_own, excluded.is_own)`,
  );
  const insertPiece = store.prepare("INSERT OR IGNORE INTO reputation_leaf_pieces VALUES (?, ?, ?, ?)");
  const outline = store.prepare<{ outline: Uint8Array }>(
    "SELECT outline FROM reputation_leaves WHERE root = ? AND leaf_count = ?",
  );
  const piece = store.prepare<{ bytes: Uint8Array }>(
    "SELECT bytes FROM reputation_leaf_pieces WHERE root = ? AND leaf_count = ? AND piece = ?",
  );
  const pieces = store.prepare<{ piece: number }>(
    "SELECT piece FROM reputation_leaf_pieces WHERE root = ? AND leaf_count = ?",
  );
  const ofRoot = store.prepare<ShelvedRow>(
    "SELECT root, leaf_count FROM reputation_leaves WHERE root = ? ORDER BY is_own DESC, leaf_count",
  );
  const prune = createPruner(store);

  const keep = (id: LeavesId, epoch: number, bytes: Uint8Array, isOwn: boolean) => {
    insert.run(id.root, id.leafCount, epoch, Number(isOwn), bytes);
    prune(epoch);
  };
  const shelf: LeafShelf = {
    keepTree(epoch, tree) {
      const { leafCount, depth } = tree;
      if (leafCount > MAX_FILE_LEAVES || shelf.missingPieces(tree).length === 0) return;
      const leaves = tree.levelAt(0);
      store.transaction(() => {
        for (let k = 0; k < fileLayoutOf(leafCount).pieceCount; k++) {
          const { offset, byteLength } = pieceRangeOf(leafCount, k);
          insertPiece.run(tree.root, leafCount, k, leaves.subarray(offset, offset + byteLength));
        }
        keep(tree, epoch, tree.levelAt(Math.min(CHUNK_DEPTH, depth)), true);
      }, "relaxed");
    },
    keepOutline: (id, epoch, bytes) => store.transaction(() => keep(id, epoch, bytes, false), "relaxed"),
    keepPiece: (id, index, bytes) =>
      store.transaction(() => insertPiece.run(id.root, id.leafCount, index, bytes), "relaxed"),
    outlineOf: ({ root, leafCount }) => outline.get(root, leafCount)?.outline,
    pieceOf: ({ root, leafCount }, index) => piece.get(root, leafCount, index)?.bytes,
    missingPieces({ root, leafCount }) {
      const here = new Set(pieces.all(root, leafCount).map((row) => row.piece));
      const all = Array.from({ length: fileLayoutOf(leafCount).pieceCount }, (_, k) => k);
      return all.filter((k) => !here.has(k));
    },
    wordsOf(id, index) {
      const bytes = shelf.pieceOf(id, index);
      const words = bytes && decodeLeaves(bytes, [bytes.length / LEAF_BYTES]);
      return words?.kind === "accept" ? words.value[0] : undefined;
    },
    leafCountOf: (root) =>
      ofRoot
        .all(root)
        .map((row) => row.leaf_count)
        .find((leafCount) => shelf.missingPieces({ root: root as LeavesId["root"], leafCount }).length === 0),
  };
  return shelf;
}

/** Drops what no candidate of the ring has, and of the rest what does not fit: others' before ours, older before newer. */
function createPruner(store: Store): (epoch: number) => void {
  const all = store.prepare<ShelvedRow & { readonly epoch: number }>(
    "SELECT root, leaf_count, epoch FROM reputation_leaves ORDER BY is_own DESC, epoch DESC, rowid DESC",
  );
  const drop = store.prepare("DELETE FROM reputation_leaves WHERE root = ? AND leaf_count = ?");
  const dropPieces = store.prepare("DELETE FROM reputation_leaf_pieces WHERE root = ? AND leaf_count = ?");
  return (epoch) => {
    let leafCount = 0;
    for (const row of all.all()) {
      leafCount += row.leaf_count;
      if (row.epoch > epoch - RING_EPOCHS && leafCount <= MAX_SHELF_LEAVES) continue;
      drop.run(row.root, row.leaf_count);
      dropPieces.run(row.root, row.leaf_count);
    }
  };
}
