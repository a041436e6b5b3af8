import { fromRlp, hexToBigInt, hexToNumber, keccak256, numberToHex, toRlp, type Hex } from "viem";
import { accept, reject, SuretyError, type Verdict } from "../errors.ts";

/** What an auditor needs of a block header. */
export interface BlockHeader {
  readonly hash: Hex;
  readonly number: bigint;
  readonly stateRoot: Hex;
  /** Unix seconds. */
  readonly timestamp: number;
}

/**
 * Header fields in the order of their RLP list, by the names of eth_getBlockBy… (execution specs, `Header`).
 * Those from baseFeePerGas on came with London, Shanghai, Cancun and Prague; a later field needs a later one's presence.
 */
const headerFields = [
  ["parentHash", "bytes"],
  ["sha3Uncles", "bytes"],
  ["miner", "bytes"],
  ["stateRoot", "bytes"],
  ["transactionsRoot", "bytes"],
  ["receiptsRoot", "bytes"],
  ["logsBloom", "bytes"],
  ["difficulty", "quantity"],
  ["number", "quantity"],
  ["gasLimit", "quantity"],
  ["gasUsed", "quantity"],
  ["timestamp", "quantity"],
  ["extraData", "bytes"],
  ["mixHash", "bytes"],
  ["nonce", "bytes"],
  ["baseFeePerGas", "quantity"],
  ["withdrawalsRoot", "bytes"],
  ["blobGasUsed", "quantity"],
  ["excessBlobGas", "quantity"],
  ["parentBeaconBlockRoot", "bytes"],
  ["requestsHash", "bytes"],
] as const;

/** Fields before London; every chain that runs our contracts has more. */
const MIN_FIELDS = 15;
const STATE_ROOT = 3;
const NUMBER = 8;
const TIMESTAMP = 11;

/**
 * RLP of a block header from the JSON of eth_getBlockByNumber or eth_getBlockByHash.
 * @throws SuretyError HEADER_UNKNOWN_FORK when the fields do not hash to the block's own hash
 */
export function encodeHeader(block: Readonly<Record<string, unknown>>): Hex {
  const fields: Hex[] = [];
  for (const [name, kind] of headerFields) {
    const value = block[name];
    if (typeof value !== "string") break;
    fields.push(kind === "quantity" ? encodeQuantity(value as Hex) : (value as Hex));
  }
  const encoded = toRlp(fields);
  if (keccak256(encoded) !== block["hash"]) {
    throw new SuretyError("HEADER_UNKNOWN_FORK", "The block's fields do not hash to its block hash.", {
      values: { number: block["number"], hash: block["hash"], computed: keccak256(encoded), fields: fields.length },
      next: "Check the RPC endpoint; if it is honest, its chain has header fields that this version does not know.",
    });
  }
  return encoded;
}

/** Reads a header from its RLP. The caller compares `hash` with the block hash that it trusts. */
export function decodeHeader(encoded: Hex): Verdict<BlockHeader> {
  let fields: unknown;
  try {
    fields = fromRlp(encoded);
  } catch {
    return reject("HEADER_NOT_RLP", "the header is not RLP");
  }
  if (!isFlatList(fields) || fields.length < MIN_FIELDS || fields.length > headerFields.length) {
    return reject("HEADER_SHAPE", `not a list of ${MIN_FIELDS} to ${headerFields.length} fields`);
  }
  const [stateRoot, number, timestamp] = [fields[STATE_ROOT], fields[NUMBER], fields[TIMESTAMP]] as [Hex, Hex, Hex];
  if (stateRoot.length !== 66 || number.length > 18 || timestamp.length > 14) {
    return reject("HEADER_FIELD", "stateRoot, number or timestamp is out of range");
  }
  return accept({
    hash: keccak256(encoded),
    number: number === "0x" ? 0n : hexToBigInt(number),
    stateRoot,
    timestamp: timestamp === "0x" ? 0 : hexToNumber(timestamp),
  });
}

function isFlatList(value: unknown): value is Hex[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

/** RLP integers have no leading zero bytes; zero is the empty string. */
function encodeQuantity(quantity: Hex): Hex {
  const value = hexToBigInt(quantity);
  if (value === 0n) return "0x";
  const hex = numberToHex(value);
  return hex.length % 2 === 0 ? hex : `0x0${hex.slice(2)}`;
}
