import { expect } from "chai";
import fc from "fast-check";
import { encodeLogHeader, type Fork, type VerifiedHeader } from "#protocol";
import {
  CLOCK_TOLERANCE_MS,
  createRouter,
  type HeardHeader,
  type HeldLogs,
  type Router,
} from "../../../node/gossip/router.ts";
import { chainOf, signedHeader, testContracts, testSigner } from "../../fixtures/log.ts";

const author = testSigner(0);
const chain = chainOf(author, 40);
const nowMs = chain[0]!.header.timeMs;

/** Headers as a store would hold them, filled by the router's own effects. */
function createHeld(): HeldLogs & { keep(headers: readonly VerifiedHeader[]): void; fork: Fork | undefined } {
  const stored: VerifiedHeader[] = [];
  return {
    fork: undefined,
    keep: (headers) => void stored.push(...headers),
    headOf: () => stored.at(-1),
    entryAt: (_log, seq) => (stored[seq] ? { header: stored[seq], body: undefined, heardMs: 0 } : undefined),
    forkOf() {
      return this.fork;
    },
  };
}

const heard = (header: VerifiedHeader, fields: Partial<HeardHeader> = {}): HeardHeader => ({
  bytes: encodeLogHeader(header),
  from: "peer",
  isSolicited: false,
  nowMs,
  ...fields,
});

/** Admission and conclusion, as the driver does them. */
function hear(router: Router, held: ReturnType<typeof createHeld>, message: HeardHeader, isSignerValid = true) {
  const admitted = router.admit(message);
  if (admitted.kind !== "accept") return { verdict: admitted, effects: [] };
  const step = router.conclude(admitted.value, isSignerValid, message);
  for (const effect of step.effects) {
    if (effect.kind === "store") held.keep(effect.headers);
    if (effect.kind === "evidence") held.fork = effect.fork;
  }
  return step;
}

describe("gossip router", () => {
  const setUp = () => {
    const held = createHeld();
    return { held, router: createRouter(held, testContracts) };
  };

  it("accepts in order, and stores what it accepts", () => {
    const { held, router } = setUp();
    for (const header of chain.slice(0, 3)) expect(hear(router, held, heard(header)).verdict.kind).to.equal("accept");
    expect(held.headOf(author.address)).to.deep.equal(chain[2]);
  });

  it("asks for what a gap lacks, and stores all once it is closed", () => {
    const { held, router } = setUp();
    const early = hear(router, held, heard(chain[2]!));
    expect(early.effects).to.deep.equal([{ kind: "fetch", log: author.address, fromSeq: 0, count: 2, from: "peer" }]);
    hear(router, held, heard(chain[1]!));
    const closed = hear(router, held, heard(chain[0]!));
    expect(closed.effects).to.deep.equal([{ kind: "store", headers: chain.slice(0, 3), from: "peer" }]);
  });

  it("lets an author say twenty things at once and one more a second", () => {
    const { held, router } = setUp();
    const verdicts = chain.slice(0, 21).map((header) => hear(router, held, heard(header)).verdict);
    expect(verdicts.slice(0, 20).every(({ kind }) => kind === "accept")).to.equal(true);
    expect(verdicts[20]).to.include({ kind: "ignore", code: "AUTHOR_BUDGET" });
    expect(hear(router, held, heard(chain[20]!, { nowMs: nowMs + 1000 })).verdict.kind).to.equal("accept");
    expect(hear(router, held, heard(chain[21]!, { nowMs: nowMs + 1000 })).verdict).to.include({
      code: "AUTHOR_BUDGET",
    });
    const asked = hear(router, held, heard(chain[21]!, { nowMs: nowMs + 1000, isSolicited: true }));
    expect(asked.verdict.kind, "what we asked for is not charged").to.equal("accept");
  });

  it("does not let forgeries in an author's name spend the author's budget", () => {
    const { held, router } = setUp();
    for (let i = 0; i < 30; i++) {
      const forged = { ...chain[0]!, header: { ...chain[0]!.header, ttl: 1000 + i } };
      expect(hear(router, held, heard(forged)).verdict).to.include({ kind: "reject" });
    }
    expect(hear(router, held, heard(chain[0]!)).verdict.kind).to.equal("accept");
  });

  it("bounds the signature checks that one peer can cause", () => {
    const { held, router } = setUp();
    const codes: string[] = [];
    for (let i = 0; i < 401; i++) {
      const { verdict } = hear(router, held, heard(chain[0]!), false);
      codes.push(verdict.kind === "accept" ? "accept" : verdict.code);
    }
    expect(codes.slice(0, 400).every((code) => code === "SIGNER_UNKNOWN")).to.equal(true);
    expect(codes[400]).to.equal("PEER_BUDGET");
    expect(hear(router, held, heard(chain[0]!, { from: "another" })).verdict.kind).to.equal("accept");
  });

  it("ignores headers from further in the future than clocks differ", () => {
    const { held, router } = setUp();
    const at = (timeMs: number) => hear(router, held, heard(signedHeader(author, { timeMs }))).verdict;
    expect(at(nowMs + CLOCK_TOLERANCE_MS + 1)).to.include({ kind: "ignore", code: "HEADER_FUTURE" });
    expect(at(nowMs + CLOCK_TOLERANCE_MS).kind).to.equal("accept");
  });

  it("drops a twin of a known entry before its signature is checked", () => {
    const { held, router } = setUp();
    hear(router, held, heard(chain[0]!));
    const twin = { ...chain[0]!, signature: `0x${"11".repeat(64)}` as const };
    expect(hear(router, held, heard(twin)).verdict).to.include({ kind: "ignore", code: "ENTRY_KNOWN" });
  });

  it("answers any bytes with a verdict, and keeps what it stores linked, whatever a stranger sends", () => {
    const rival = chainOf(author, 6, 1);
    const honest = fc.constantFrom(...chain.slice(0, 6), ...rival).map((header) => encodeLogHeader(header));
    const mutated = fc
      .tuple(honest, fc.nat(206), fc.nat(255))
      .map(([bytes, at, value]) => bytes.map((byte, i) => (i === at ? value : byte)));
    const frames = fc.array(fc.oneof(honest, mutated, fc.uint8Array({ maxLength: 300 })), { maxLength: 25 });
    fc.assert(
      fc.property(frames, (list) => {
        const { held, router } = setUp();
        for (const bytes of list) {
          const { verdict } = hear(router, held, { bytes, from: "peer", isSolicited: true, nowMs: 2 ** 48 });
          if (verdict.kind !== "accept") expect(verdict.code).to.match(/^[A-Z_]+$/);
        }
        for (let seq = 1; ; seq++) {
          const [before, after] = [held.entryAt(author.address, seq - 1), held.entryAt(author.address, seq)];
          if (before === undefined || after === undefined) break;
          expect(after.header.header.prev).to.equal(before.header.digest);
        }
      }),
      { numRuns: 40 },
    );
  });
});
