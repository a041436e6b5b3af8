import { InvalidArgumentError, Option, type Command } from "commander";
import { getAddress, isAddress, isHex, type Address, type Hex } from "viem";
import type { NetworkOptions } from "./network.ts";

/** Options that every command on a chain has. */
export function addNetworkOptions(command: Command, network = "localhost"): Command {
  return command
    .option("-n, --network <name>", "network, a folder of the data directory", network)
    .option("--rpc-url <url>", "RPC endpoint; default: the network's own, $SURETY_RPC_URL, or a local Hardhat node")
    .addOption(dataDirOption());
}

export function dataDirOption(): Option {
  return new Option("--data-dir <dir>", "where deployments and state are kept")
    .default(".surety")
    .env("SURETY_DATA_DIR");
}

export function jsonOption(): Option {
  return new Option("--json", "print one JSON object instead of text").default(false);
}

/** An unsigned integer that is 0 unless it is named; help cannot print a bigint by itself. */
export function amountOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser(parseUint).default(0n, "0");
}

export type CommonOptions = NetworkOptions & { readonly json: boolean };

/** commander argument parser: an ERC-721 token id. */
export function parseAgentId(text: string): bigint {
  if (!/^\d{1,78}$/.test(text) || BigInt(text) < 1n || BigInt(text) >= 2n ** 256n) {
    throw new InvalidArgumentError("An agent id is a positive integer.");
  }
  return BigInt(text);
}

/** commander argument parser: a number from 0 to 1. */
export function parseShare(text: string): number {
  const share = Number(text);
  if (text.trim() === "" || !(share >= 0 && share <= 1))
    throw new InvalidArgumentError("Expected a number from 0 to 1.");
  return share;
}

/** commander argument parser: a JSON value. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new InvalidArgumentError("Expected JSON.");
  }
}

/** commander argument parser: an unsigned integer of at most 256 bits. */
export function parseUint(text: string): bigint {
  if (!/^\d{1,78}$/.test(text) || BigInt(text) >= 2n ** 256n)
    throw new InvalidArgumentError("Expected a decimal integer.");
  return BigInt(text);
}

/** commander argument parser: an amount of a token in its smallest unit, at least 1. */
export function parseAmount(text: string): bigint {
  const amount = parseUint(text);
  if (amount === 0n) throw new InvalidArgumentError("Expected at least 1.");
  return amount;
}

/** commander argument parser: an address; where it has upper case, its checksum holds. */
export function parseAddress(text: string): Address {
  if (!isAddress(text)) throw new InvalidArgumentError("Expected an address.");
  return getAddress(text);
}

/** commander argument parser: 32 bytes in hex. */
export function parseBytes32(text: string): Hex {
  if (!isHex(text) || text.length !== 66) throw new InvalidArgumentError("Expected 0x and 64 hex digits.");
  return text.toLowerCase() as Hex;
}

/** commander argument parser: an integer from `min` on. */
export function parseInteger(min: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isSafeInteger(value) || value < min) throw new InvalidArgumentError(`Expected an integer ≥ ${min}.`);
    return value;
  };
}

/** commander argument parser: an integer from -100 to 100. */
export function parseRating(text: string): number {
  const rating = Number(text);
  if (text.trim() === "" || !Number.isInteger(rating) || Math.abs(rating) > 100) {
    throw new InvalidArgumentError("Expected an integer from -100 to 100.");
  }
  return rating;
}
