import { expect } from "chai";
import fc from "fast-check";
import { toHex, type Hex } from "viem";
import {
  applyEntry,
  createDeclarations,
  decodeBody,
  MAX_DECLARATIONS,
  MAX_WAITING,
  statusOf,
  type Bodies,
  type Declarations,
  type KindName,
  type LogEntry,
} from "#protocol";
import { headerOf, signedEntry, testDeclare, testSigner } from "../../fixtures/log.ts";

const signer = testSigner(0);
const prev: Hex = `0x${"01".repeat(32)}`;

/** An entry as the fold sees it; the digest is the caller's where signing thousands would only cost time. */
function entry<K extends KindName>(seq: number, kind: K, body: Bodies[K], digest?: Hex): LogEntry {
  const { header, bytes } = signedEntry(signer, kind, body, { seq, ...(seq > 0 ? { prev } : {}) });
  const verdict = decodeBody(header.header.kind, bytes);
  if (verdict.kind !== "accept") throw new Error(verdict.detail);
  return { header: digest ? { ...header, digest } : header, body: verdict.value };
}

const declared = entry(0, "declare", testDeclare());
const target = declared.header.digest;
const updates = [1, 2, 3].map((seq) => entry(seq, "update", { target, ...testDeclare({ name: `v${seq}` }) }));
const withdrawn = entry(4, "withdraw", { target, outcome: "withdrawn", reason: "gone" });
const fold = (entries: readonly LogEntry[]): Declarations =>
  entries.reduce((state, next) => applyEntry(state, next).state, createDeclarations());

describe("declarations", () => {
  it("end in the newest content, whatever order the bodies arrive in", () => {
    fc.assert(
      fc.property(fc.shuffledSubarray([declared, ...updates], { minLength: 4 }), (order) => {
        const found = fold(order).byId.get(target);
        expect(found?.body).to.include({ name: "v3" });
        expect(found?.latest.header.seq).to.equal(3);
        expect(found?.id).to.equal(target);
      }),
    );
  });

  it("end as withdrawn even if the withdrawal travelled first", () => {
    fc.assert(
      fc.property(fc.shuffledSubarray([declared, ...updates, withdrawn], { minLength: 5 }), (order) => {
        const found = fold(order).byId.get(target);
        expect(found && statusOf(found, 0)).to.equal("WITHDRAWN");
      }),
    );
  });

  it("apply no update before what it updates", () => {
    const state = fold(updates);
    expect(state.byId.size).to.equal(0);
    expect(state.waiting.get(target)?.header.header.seq).to.equal(3);
  });

  it("expire by the ttl of their newest entry, and not once they are complete", () => {
    const found = fold([declared]).byId.get(target)!;
    const expiry = declared.header.header.timeMs + 3_600_000;
    expect([statusOf(found, expiry - 1), statusOf(found, expiry)]).to.deep.equal(["ACTIVE", "EXPIRED"]);
    const done = fold([declared, entry(1, "withdraw", { target, outcome: "complete", reason: "" })]).byId.get(target)!;
    expect(statusOf(done, expiry)).to.equal("COMPLETE");
  });

  it("never grow beyond their bounds", () => {
    const template = entry(1, "withdraw", { target, outcome: "withdrawn", reason: "" });
    let state = createDeclarations();
    for (let i = 0; i < MAX_DECLARATIONS + 10; i++) {
      const header = { ...declared.header, digest: toHex(i, { size: 32 }), header: headerOf(signer, { seq: i }) };
      state = applyEntry(state, { ...declared, header }).state;
      const body = {
        ...template.body,
        body: { target: toHex(10_000 + i, { size: 32 }), outcome: "complete", reason: "" },
      };
      state = applyEntry(state, { header: template.header, body: body as LogEntry["body"] }).state;
    }
    expect([state.byId.size, state.ended.size]).to.deep.equal([MAX_DECLARATIONS, MAX_WAITING]);
    expect(state.byId.has(toHex(0, { size: 32 })), "the oldest made room").to.equal(false);
  });
});
