// An agent as a process of its own: it bids its price, calls for bids where it is told to, and dies by SIGKILL where it is told to.
import { createHash } from "node:crypto";
import type { Address } from "viem";
import { accept, ignore, type NegotiationMessage } from "#protocol";
import type { Agreement, Invitee } from "../../node/negotiation/port.ts";
import { startParty } from "./party.ts";
import { createRequest, createRules } from "./request.ts";

/** Where it dies, telling nobody: as soon as it considers a call, has sent a message, or is about to judge one. */
export type Death = "consider" | `${"sent" | "received"} ${NegotiationMessage["type"]}`;

export interface FollowerOptions {
  readonly index: number;
  readonly price: string;
  readonly registry: readonly Address[];
  readonly dir: string;
  /** Where others are reached: known before it takes up what it left, as a node knows its bootstrap peers. */
  readonly others: readonly Place[];
  /** Where it dies from its first moment on. */
  readonly deadly?: Death;
}

export interface Place {
  readonly peerId: string;
  readonly addresses: readonly string[];
}

/** What the parent says. */
export type Order =
  | { readonly kind: "start"; readonly options: FollowerOptions }
  | ({ readonly kind: "meet" } & Place)
  | { readonly kind: "call"; readonly invitees: readonly Invitee[]; readonly revealWithinMs: number }
  | { readonly kind: "die"; readonly at: Death | undefined }
  | { readonly kind: "usage" };

/** What the follower says. */
export type Report =
  | ({ readonly kind: "ready" } & Place)
  /** On either side; again after each restart. */
  | { readonly kind: "agreed"; readonly agreement: Agreement }
  | { readonly kind: "failed"; readonly code: string }
  | { readonly kind: "met" }
  | { readonly kind: "armed" }
  | { readonly kind: "usage"; readonly cpuMs: number; readonly messages: number; readonly bytes: number };

/** Work over a signed deal: the request is its dealId, the answer the deliverable. */
export const PERFORM_PROTOCOL = "/surety/bench-perform/1";
/** Rounds of sha256 that a task takes: some milliseconds. */
const WORK_ROUNDS = 5_000;

/** What a task asks for: a chain of hashes from its own specification. */
export function perform(spec: Uint8Array, rounds = WORK_ROUNDS): Uint8Array {
  let digest = spec;
  for (let k = 0; k < rounds; k++) digest = createHash("sha256").update(digest).digest();
  return new Uint8Array(digest);
}

/** A specification says by its first byte that whoever does the work is killed halfway through it. */
export const DOOMED = 1;
/** Its second byte names the skill that it takes: 0 = any. An agent has one of so many. */
export const SKILLS = 4;
export const skillOf = (index: number): number => 1 + (index % SKILLS);

const die = () => process.kill(process.pid, "SIGKILL");
/** A parent that has gone hears nothing; its end ends us, too. */
const tell = (report: Report) => process.send?.(report, undefined, undefined, () => undefined);

async function follow({ index, price, registry, dir, others, deadly: first }: FollowerOptions): Promise<void> {
  let deadly = first;
  const specs = new Map<string, Uint8Array>();
  const party = await startParty({
    ...{ index, registry, dir, others },
    bidder: {
      consider({ spec }) {
        if (deadly === "consider") die();
        const isAble = spec[1] === 0 || spec[1] === skillOf(index);
        return Promise.resolve(isAble ? { price: BigInt(price), quality: 50n } : undefined);
      },
    },
    onAgreed(agreement) {
      specs.set(agreement.dealId, agreement.spec);
      tell({ kind: "agreed", agreement });
    },
    onFailed: (code) => tell({ kind: "failed", code }),
    onMessage(type, direction) {
      if (`${direction} ${type}` === deadly) die();
    },
  });
  await party.transport.serve(PERFORM_PROTOCOL, (body) => {
    const spec = specs.get(`0x${Buffer.from(body).toString("hex")}`);
    if (spec === undefined) return Promise.resolve(ignore("DEAL_UNKNOWN", "no such deal"));
    if (spec[0] === DOOMED) {
      perform(spec, WORK_ROUNDS / 2);
      die();
    }
    return Promise.resolve(accept(perform(spec)));
  });
  process.on("message", (order: Order) => void obey(order));

  async function obey(order: Order): Promise<void> {
    if (order.kind === "meet") {
      await party.transport.learnAddresses(order.peerId, order.addresses);
      tell({ kind: "met" });
    } else if (order.kind === "call") {
      const request = createRequest(createRules(true, order.revealWithinMs), order.invitees);
      await party.negotiator.callForBids(request, new AbortController().signal);
    } else if (order.kind === "die") {
      deadly = order.at;
      tell({ kind: "armed" });
    } else if (order.kind === "usage") {
      const { user, system } = process.cpuUsage();
      tell({ kind: "usage", cpuMs: (user + system) / 1_000, ...party.traffic });
    }
  }
  tell({ kind: "ready", peerId: party.transport.peerId, addresses: party.transport.addresses() });
}

if (process.send !== undefined && process.argv[2] === "follow") {
  // A parent that is gone, for whatever reason, leaves nobody behind.
  process.once("disconnect", () => process.exit(0));
  process.once("message", (order: Order) => {
    if (order.kind === "start") void follow(order.options);
  });
}
