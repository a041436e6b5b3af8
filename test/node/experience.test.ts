import { expect } from "chai";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { numberToHex, zeroAddress, zeroHash } from "viem";
import {
  draftMechanism,
  mechanismHashOf,
  postedPriceOf,
  solveMechanism,
  topicIdOf,
  type MechanismDocument,
  type Receipt,
} from "#protocol";
import { Experience } from "../../node/experience.ts";
import type { Agreement } from "../../node/negotiation/port.ts";
import { createDealRecord } from "../../node/settlement/deal-machine.ts";
import { DealStore } from "../../node/settlement/deal-store.ts";
import { openStore } from "../../node/store/sqlite.ts";
import type { Store } from "../../node/store/port.ts";

const TOPIC = "work";
const rules = ((): MechanismDocument => {
  const draft = draftMechanism({ name: "Work", topics: [TOPIC], rule: "posted-price", priceWei: 1n, bondWei: 50n });
  const solved = solveMechanism({
    ...draft,
    outcomes: draft.outcomes.map((outcome, o) => ({ ...outcome, rewardWei: o === 0 ? 0n : 2_000n })),
    evidence: { ...draft.evidence, fullPriceWei: 500n },
    agency: {
      actions: [
        { name: "idle", costWei: 0n, law: [90n, 10n] },
        { name: "work", costWei: 400n, law: [1n, 99n] },
      ],
      ...{ lawUnit: 100n, target: 1, outsideWei: 0n, maxGapWei: 1n },
    },
  });
  if (solved.kind !== "accept") throw new Error(solved.detail);
  return solved.value.document;
})();

const dealIdOf = (k: number) => numberToHex(k + 1, { size: 32 });

function agreementOf(k: number, role: "client" | "provider" = "client", topic = TOPIC): Agreement {
  const consent = { signer: zeroAddress, signature: zeroHash };
  const deal = {
    ...{ clientAgentId: 1n, providerAgentId: 2n + BigInt(k % 5), topic: topicIdOf(topic), token: zeroAddress },
    ...{ price: 500n, providerBond: 50n, clientBond: 0n, submitBy: 2, reviewPeriod: 1, arbiter: zeroAddress },
    ...{ arbiterDeadline: 0, mechanismHash: zeroHash, certificateHash: zeroHash, specHash: zeroHash },
    ...{ splitsRoot: zeroHash, epoch: 0, hook: zeroAddress, salt: BigInt(k) },
  };
  const parties = { client: consent, provider: consent, peer: "", spec: new Uint8Array(0), agreedAtMs: 0 };
  return { role, callId: zeroHash, dealId: dealIdOf(k), deal, ...parties };
}
const receiptOf = (k: number, outcome: Receipt["outcome"]): Receipt => ({
  ...{ dealId: dealIdOf(k), role: "client", outcome, rating: 0, transaction: zeroHash },
});

describe("what an agent has seen of the deals that it paid for", () => {
  const dir = mkdtempSync(join(tmpdir(), "surety-experience-"));
  const opened: Store[] = [];
  after(() => {
    for (const store of opened) store.close();
    rmSync(dir, { recursive: true, force: true });
  });

  function open(name: string) {
    const store = openStore(name === ":memory:" ? name : join(dir, name));
    opened.push(store);
    const deals = new DealStore(store);
    return { store, deals, experience: new Experience(store, deals) };
  }
  const adopt = (deals: DealStore, agreement: Agreement) =>
    void deals.add(createDealRecord(agreement, { sinceBlock: 0n, fundBy: 0 }));

  /** One late one in four. */
  function live({ deals, experience }: ReturnType<typeof open>, count: number): void {
    for (let k = 0; k < count; k++) {
      adopt(deals, agreementOf(k));
      experience.note(receiptOf(k, k % 4 === 0 ? "refunded" : "completed"));
    }
  }
  const hashOf = (experience: Experience) => {
    const adopted = experience.adopt(rules);
    return adopted.kind === "accept" ? mechanismHashOf(adopted.value) : adopted.code;
  };

  it("raises the price to what the deals bear out, and is the same after a restart", () => {
    const first = open("restart.sqlite");
    expect(hashOf(first.experience)).to.equal(mechanismHashOf(rules));
    live(first, 120);
    const learnt = first.experience.adopt(rules);
    if (learnt.kind !== "accept") throw new Error(learnt.code);
    expect(Number(postedPriceOf(learnt.value))).to.be.above(Number(postedPriceOf(rules)));
    // Told twice, it has seen it once.
    first.experience.note(receiptOf(3, "completed"));
    const before = hashOf(first.experience);
    expect(before).to.equal(mechanismHashOf(learnt.value));
    first.store.close();
    expect(hashOf(open("restart.sqlite").experience)).to.equal(before);
  });

  it("reads deals of before its table once, from their records", () => {
    const told = open(":memory:");
    live(told, 60);
    const store = openStore(":memory:");
    opened.push(store);
    const deals = new DealStore(store);
    for (let k = 0; k < 60; k++) {
      adopt(deals, agreementOf(k));
      const record = deals.get(dealIdOf(k));
      if (record !== undefined) deals.put({ ...record, receipt: receiptOf(k, k % 4 === 0 ? "refunded" : "completed") });
    }
    expect(hashOf(new Experience(store, deals))).to.equal(hashOf(told.experience));
  });

  it("forgets an ending that a reorg took back, and counts neither others' topics nor what it was paid for", () => {
    const world = open(":memory:");
    live(world, 40);
    const before = hashOf(world.experience);
    for (let k = 40; k < 80; k++) {
      adopt(world.deals, k % 2 === 0 ? agreementOf(k, "provider") : agreementOf(k, "client", "elsewhere"));
      world.experience.note(receiptOf(k, "refunded"));
    }
    world.experience.note(receiptOf(999, "refunded"));
    expect(hashOf(world.experience)).to.equal(before);
    for (let k = 0; k < 40; k++) world.experience.note(receiptOf(k, "refunded"));
    expect(hashOf(world.experience)).to.equal("EVIDENCE_AGAINST_RULES");
  });

  it("keeps the newest of a topic, and no more than it may", () => {
    const world = open(":memory:");
    live(world, 2_100);
    const count = world.store.prepare<{ n: number }>("SELECT count(*) AS n FROM experience_deals").get()?.n;
    expect(count).to.equal(2_048);
  }).timeout(60_000);
});
