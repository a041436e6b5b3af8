import { accept, ignore, reject, type Verdict } from "#protocol";
import type { BodyState, MessageId, ShardSet } from "./port.ts";
import { SHARDS } from "./shards.ts";

/** A frame of headers or a chunk of a body; the links' frames are bounded by it before a byte is buffered. */
export const MAX_FRAME_BYTES = 16_384;
export const ID_BYTES = 20;
/** id 20, shard 1, kind of the entry 1, body 1, zero 1. */
export const ANNOUNCEMENT_BYTES = 24;
export const MAX_ANNOUNCEMENTS = Math.floor((MAX_FRAME_BYTES - 2) / ANNOUNCEMENT_BYTES);
export const MAX_IDS = Math.floor((MAX_FRAME_BYTES - 2) / ID_BYTES);
/** Of a body, in one frame: what 2 bytes of frame, an id, total and offset leave. */
export const MAX_CHUNK_BYTES = MAX_FRAME_BYTES - 2 - ID_BYTES - 6;
/** Hops beyond this count as this: six bits. */
export const MAX_HOPS = 63;
const MAX_EXTENSIONS = 16;
const MAX_EXTENSION_BYTES = 32;
const VERSION = 1;

const KIND = { hello: 1, graft: 2, prune: 3, headers: 4, announce: 5, askHeaders: 6, askBody: 7, body: 8, noBody: 9 };
const bodyStates: readonly BodyState[] = ["none", "will", "has"];

export interface PushedHeader {
  /** Whether the sender has the body. */
  readonly body: BodyState;
  /** Links between its author and the sender. */
  readonly hops: number;
  /** 1…255 bytes; the longest canonical header has 215. */
  readonly bytes: Uint8Array;
}

/** What 24 bytes say of a header: its kind, because withdrawals are pulled first, and who has its body. */
export interface Announcement {
  readonly id: MessageId;
  readonly shard: number;
  readonly entryKind: number;
  readonly body: BodyState;
}

export type Frame =
  /** First, and again when subscriptions change: what a node hears, and by what names it does more than version 1. */
  | { readonly kind: "hello"; readonly shards: ShardSet; readonly extensions: readonly string[] }
  /** `isLonely`: the sender has no other link in these shards, and nobody else who would take it. */
  | { readonly kind: "graft"; readonly shards: ShardSet; readonly isLonely: boolean }
  | { readonly kind: "prune"; readonly shards: ShardSet; readonly backoffSeconds: number }
  | { readonly kind: "headers"; readonly headers: readonly PushedHeader[] }
  | { readonly kind: "announce"; readonly announcements: readonly Announcement[] }
  | { readonly kind: "askHeaders"; readonly ids: readonly MessageId[] }
  | { readonly kind: "askBody"; readonly id: MessageId }
  | {
      readonly kind: "body";
      readonly id: MessageId;
      readonly total: number;
      readonly offset: number;
      readonly bytes: Uint8Array;
    }
  /** Not here, and not to come; or, busy, not now. */
  | { readonly kind: "noBody"; readonly id: MessageId; readonly isBusy: boolean };

/** version 1, kind 1, then what the kind says; integers big-endian. The caller keeps within MAX_FRAME_BYTES. */
export function encodeFrame(frame: Frame): Uint8Array {
  switch (frame.kind) {
    case "hello": {
      const writer = begin(KIND.hello, 9 + frame.extensions.reduce((sum, name) => sum + 1 + name.length, 0));
      writer.shards(frame.shards);
      writer.integer(frame.extensions.length, 1);
      for (const name of frame.extensions) {
        writer.integer(name.length, 1);
        writer.text(name);
      }
      return writer.bytes;
    }
    case "graft": {
      const writer = begin(KIND.graft, 9);
      writer.shards(frame.shards);
      writer.integer(frame.isLonely ? 1 : 0, 1);
      return writer.bytes;
    }
    case "prune": {
      const writer = begin(KIND.prune, 10);
      writer.shards(frame.shards);
      writer.integer(frame.backoffSeconds, 2);
      return writer.bytes;
    }
    case "headers": {
      const writer = begin(
        KIND.headers,
        frame.headers.reduce((sum, { bytes }) => sum + 2 + bytes.length, 0),
      );
      for (const { body, hops, bytes } of frame.headers) {
        writer.integer((Math.min(hops, MAX_HOPS) << 2) | bodyStates.indexOf(body), 1);
        writer.integer(bytes.length, 1);
        writer.raw(bytes);
      }
      return writer.bytes;
    }
    case "announce": {
      const writer = begin(KIND.announce, ANNOUNCEMENT_BYTES * frame.announcements.length);
      for (const { id, shard, entryKind, body } of frame.announcements) {
        writer.text(id);
        for (const byte of [shard, entryKind, bodyStates.indexOf(body), 0]) writer.integer(byte, 1);
      }
      return writer.bytes;
    }
    case "askHeaders": {
      const writer = begin(KIND.askHeaders, ID_BYTES * frame.ids.length);
      for (const id of frame.ids) writer.text(id);
      return writer.bytes;
    }
    case "askBody": {
      const writer = begin(KIND.askBody, ID_BYTES);
      writer.text(frame.id);
      return writer.bytes;
    }
    case "body": {
      const writer = begin(KIND.body, ID_BYTES + 6 + frame.bytes.length);
      writer.text(frame.id);
      writer.integer(frame.total, 3);
      writer.integer(frame.offset, 3);
      writer.raw(frame.bytes);
      return writer.bytes;
    }
    case "noBody": {
      const writer = begin(KIND.noBody, ID_BYTES + 1);
      writer.text(frame.id);
      writer.integer(frame.isBusy ? 1 : 0, 1);
      return writer.bytes;
    }
  }
}

/**
 * Exact inverse of `encodeFrame`. Rejects FRAME_TOO_LARGE, FRAME_TRUNCATED, FRAME_TRAILING, FRAME_FIELD; ignores
 * FRAME_VERSION and FRAME_KIND, because what a later version says is no fault. Bytes in the result are views.
 */
export function decodeFrame(bytes: Uint8Array): Verdict<Frame> {
  if (bytes.length > MAX_FRAME_BYTES) return reject("FRAME_TOO_LARGE", `${bytes.length} bytes of ${MAX_FRAME_BYTES}`);
  const reader = createReader(bytes);
  const [version, kind] = [reader.integer(1), reader.integer(1)];
  if (reader.fault() !== undefined) return reject("FRAME_TRUNCATED", "a frame of less than two bytes");
  if (version !== VERSION) return ignore("FRAME_VERSION", `version ${version}`);
  const frame = readFrame(kind, reader);
  if (frame === undefined) return ignore("FRAME_KIND", `kind ${kind}`);
  const fault = reader.fault();
  if (fault !== undefined) return reject(fault.code, fault.detail);
  if (reader.left() > 0) return reject("FRAME_TRAILING", `${reader.left()} bytes after the end`);
  return accept(frame);
}

/** Without decoding it. */
export const isBodyFrame = (bytes: Uint8Array): boolean => bytes[0] === VERSION && bytes[1] === KIND.body;

function readFrame(kind: number, reader: Reader): Frame | undefined {
  switch (kind) {
    case KIND.hello:
      return { kind: "hello", shards: reader.shards(), extensions: readExtensions(reader) };
    case KIND.graft:
      return { kind: "graft", shards: readSomeShards(reader), isLonely: readFlag(reader) };
    case KIND.prune:
      return { kind: "prune", shards: readSomeShards(reader), backoffSeconds: reader.integer(2) };
    case KIND.headers:
      return { kind: "headers", headers: readAll(reader, readPushed) };
    case KIND.announce:
      return { kind: "announce", announcements: readAll(reader, readAnnouncement) };
    case KIND.askHeaders:
      return { kind: "askHeaders", ids: readAll(reader, () => reader.text(ID_BYTES)) };
    case KIND.askBody:
      return { kind: "askBody", id: reader.text(ID_BYTES) };
    case KIND.body:
      return readChunk(reader);
    case KIND.noBody:
      return { kind: "noBody", id: reader.text(ID_BYTES), isBusy: readFlag(reader) };
    default:
      return undefined;
  }
}

function readExtensions(reader: Reader): string[] {
  const count = reader.integer(1);
  if (count > MAX_EXTENSIONS) reader.fail(`${count} extensions of ${MAX_EXTENSIONS}`);
  const names: string[] = [];
  for (let i = 0; i < count && reader.fault() === undefined; i++) {
    const length = reader.integer(1);
    if (length === 0 || length > MAX_EXTENSION_BYTES) reader.fail(`an extension's name has ${length} bytes`);
    names.push(reader.text(length));
  }
  return names;
}

function readSomeShards(reader: Reader): ShardSet {
  const shards = reader.shards();
  if (shards === 0n) reader.fail("no shard is named");
  return shards;
}

/** At least one, to the end of the frame. */
function readAll<T>(reader: Reader, read: (reader: Reader) => T): T[] {
  const list: T[] = [];
  do list.push(read(reader));
  while (reader.left() > 0 && reader.fault() === undefined);
  return list;
}

function readPushed(reader: Reader): PushedHeader {
  const byte = reader.integer(1);
  const body = readState(byte & 3, reader);
  const length = reader.integer(1);
  if (length === 0) reader.fail("a header of no bytes");
  return { body, hops: byte >> 2, bytes: reader.raw(length) };
}

function readAnnouncement(reader: Reader): Announcement {
  const id = reader.text(ID_BYTES);
  const [shard, entryKind] = [reader.integer(1), reader.integer(1)];
  if (shard >= SHARDS) reader.fail(`shard ${shard}`);
  const body = readState(reader.integer(1), reader);
  if (reader.integer(1) !== 0) reader.fail("the last byte of an announcement is zero in version 1");
  return { id, shard, entryKind, body };
}

function readChunk(reader: Reader): Frame {
  const id = reader.text(ID_BYTES);
  const [total, offset] = [reader.integer(3), reader.integer(3)];
  const bytes = reader.raw(reader.left());
  if (bytes.length === 0 || offset + bytes.length > total) reader.fail("a chunk lies outside of its body");
  return { kind: "body", id, total, offset, bytes };
}

function readState(value: number, reader: Reader): BodyState {
  const state = bodyStates[value];
  if (state === undefined) reader.fail(`body state ${value}`);
  return state ?? "none";
}

function readFlag(reader: Reader): boolean {
  const value = reader.integer(1);
  if (value > 1) reader.fail(`flag ${value}`);
  return value === 1;
}

interface Reader {
  integer(length: number): number;
  shards(): ShardSet;
  /** Bytes as characters, one each. */
  text(length: number): string;
  raw(length: number): Uint8Array;
  left(): number;
  fail(detail: string): void;
  fault(): { readonly code: string; readonly detail: string } | undefined;
}

/** Reading goes on after a fault with zeros, so that the decoder is straight-line code; the first fault decides. */
function createReader(bytes: Uint8Array): Reader {
  let at = 0;
  let fault: { code: string; detail: string } | undefined;
  const raw = (length: number): Uint8Array => {
    if (at + length > bytes.length) {
      fault ??= { code: "FRAME_TRUNCATED", detail: `${bytes.length} bytes end before byte ${at + length}` };
      at = bytes.length;
      return new Uint8Array(length);
    }
    at += length;
    return bytes.subarray(at - length, at);
  };
  const integer = (length: number): number => raw(length).reduce((value, byte) => value * 256 + byte, 0);
  return {
    raw,
    integer,
    shards: () => (BigInt(integer(4)) << 32n) | BigInt(integer(4)),
    text: (length) => String.fromCharCode(...raw(length)),
    left: () => bytes.length - at,
    fail: (detail) => void (fault ??= { code: "FRAME_FIELD", detail }),
    fault: () => fault,
  };
}

interface Writer {
  readonly bytes: Uint8Array;
  integer(value: number, length: number): void;
  shards(set: ShardSet): void;
  text(characters: string): void;
  raw(part: Uint8Array): void;
}

function begin(kind: number, length: number): Writer {
  const bytes = new Uint8Array(2 + length);
  bytes[0] = VERSION;
  bytes[1] = kind;
  let at = 2;
  const integer = (value: number, size: number): void => {
    for (let i = size - 1; i >= 0; i--) bytes[at++] = (value / 2 ** (8 * i)) & 0xff;
  };
  return {
    bytes,
    integer,
    shards(set) {
      integer(Number(set >> 32n), 4);
      integer(Number(set & 0xffffffffn), 4);
    },
    text(characters) {
      for (let i = 0; i < characters.length; i++) bytes[at++] = characters.charCodeAt(i);
    },
    raw(part) {
      bytes.set(part, at);
      at += part.length;
    },
  };
}
