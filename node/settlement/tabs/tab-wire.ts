import { bytesToBigInt, bytesToHex, hexToBytes, numberToBytes, type Hex } from "viem";
import {
  accept,
  checkKeys,
  decodeStrictCborMap,
  decodeStruct,
  encodeStrictCbor,
  encodeStruct,
  ignore,
  MAX_SPEC_BYTES,
  reject,
  type Tab,
  type Verdict,
} from "#protocol";
import { MAX_DELIVERABLE_BYTES } from "../deliverables.ts";
import type { SignedVoucher, TabRules } from "./tab-machine.ts";

/** libp2p protocol of a tab, client to provider: greeting, tasks and vouchers; answers come back. */
export const TAB_PROTOCOL = "/surety/tab/1";
export const MAX_TAB_REQUEST_BYTES = MAX_SPEC_BYTES + 1_024;
export const MAX_TAB_ANSWER_BYTES = MAX_DELIVERABLE_BYTES;

export type TabMessage =
  /** The terms, once the tab is open on chain. Answered with nothing, or refused. */
  | { readonly type: "hello"; readonly tab: Tab; readonly rules: TabRules }
  /** Task `seq`, with the voucher for all before it. Answered with the deliverable. */
  | {
      readonly type: "task";
      readonly tabId: Hex;
      readonly seq: number;
      readonly spec: Uint8Array;
      readonly paid?: SignedVoucher;
    }
  /** The newest voucher alone, when no task follows. Answered with nothing. */
  | { readonly type: "voucher"; readonly paid: SignedVoucher };

const VOUCHER_KEYS = ["voucher", "signature"];

/** Rules as they are hashed into `Tab.mechanismHash`: canonical dag-cbor. */
export function encodeRules({ priceWei }: TabRules): Uint8Array {
  return encodeStrictCbor({ kind: "tab-fixed-price", version: 1, priceWei: numberToBytes(priceWei, { size: 32 }) });
}

function decodeRules(bytes: unknown): Verdict<TabRules> {
  if (!(bytes instanceof Uint8Array)) return reject("RULES_TYPE", "rules are not bytes");
  const map = decodeStrictCborMap(bytes, 256);
  if (map.kind !== "accept") return map;
  const { kind, version, priceWei } = map.value;
  if (kind !== "tab-fixed-price" || version !== 1) return ignore("RULES_UNKNOWN", "rules of another kind");
  if (!(priceWei instanceof Uint8Array) || priceWei.length !== 32) return reject("RULES_PRICE", "no price");
  return accept({ priceWei: bytesToBigInt(priceWei) });
}

export function encodeTabMessage(message: TabMessage): Uint8Array {
  switch (message.type) {
    case "hello":
      return encodeStrictCbor({
        type: "hello",
        tab: encodeStruct("Tab", message.tab),
        rules: encodeRules(message.rules),
      });
    case "task": {
      const { tabId, seq, spec, paid } = message;
      return encodeStrictCbor({
        type: "task",
        tabId: hexToBytes(tabId),
        seq,
        spec,
        ...(paid ? voucherFields(paid) : {}),
      });
    }
    case "voucher":
      return encodeStrictCbor({ type: "voucher", ...voucherFields(message.paid) });
  }
}

const voucherFields = ({ voucher, signature }: SignedVoucher) => ({
  voucher: encodeStruct("Voucher", voucher),
  signature: hexToBytes(signature),
});

export function decodeTabMessage(bytes: Uint8Array): Verdict<TabMessage> {
  const map = decodeStrictCborMap(bytes, MAX_TAB_REQUEST_BYTES);
  if (map.kind !== "accept") return map;
  const { type, tabId, seq, spec } = map.value;
  const keys = { hello: ["tab", "rules"], task: ["tabId", "seq", "spec"], voucher: VOUCHER_KEYS }[String(type)];
  if (keys === undefined) return ignore("MESSAGE_TYPE_UNKNOWN", String(type).slice(0, 32));
  const isPaidTask = type === "task" && Object.hasOwn(map.value, "voucher");
  const fault = checkKeys(map.value, ["type", ...keys, ...(isPaidTask ? VOUCHER_KEYS : [])]);
  if (fault !== undefined) return fault;
  if (type === "hello") return decodeHello(map.value);
  const paid = isPaidTask || type === "voucher" ? decodeVoucher(map.value) : undefined;
  if (paid !== undefined && paid.kind !== "accept") return paid;
  if (type === "voucher" && paid !== undefined) return accept({ type, paid: paid.value });
  if (!(tabId instanceof Uint8Array && tabId.length === 32 && spec instanceof Uint8Array)) {
    return reject("FIELD_TYPE", "tabId or spec");
  }
  if (!Number.isSafeInteger(seq) || (seq as number) < 1) return reject("FIELD_RANGE", "seq");
  const task = { type: "task", tabId: bytesToHex(tabId), seq: seq as number, spec } as const;
  return accept(paid === undefined ? task : { ...task, paid: paid.value });
}

function decodeHello(map: Readonly<Record<string, unknown>>): Verdict<TabMessage> {
  const { tab: bytes } = map;
  const tab = bytes instanceof Uint8Array ? decodeStruct("Tab", bytes) : reject("FIELD_TYPE", "tab is not bytes");
  if (tab.kind !== "accept") return tab;
  const rules = decodeRules(map["rules"]);
  return rules.kind === "accept" ? accept({ type: "hello", tab: tab.value, rules: rules.value }) : rules;
}

function decodeVoucher({ voucher, signature }: Readonly<Record<string, unknown>>): Verdict<SignedVoucher> {
  if (!(voucher instanceof Uint8Array && signature instanceof Uint8Array && signature.length === 65)) {
    return reject("FIELD_TYPE", "voucher or signature");
  }
  const decoded = decodeStruct("Voucher", voucher);
  return decoded.kind === "accept" ? accept({ voucher: decoded.value, signature: bytesToHex(signature) }) : decoded;
}
