import { encode } from "@ipld/dag-cbor";
import { expect } from "chai";
import fc from "fast-check";
import {
  bodyHashOf,
  clauseNames,
  contentHashOf,
  decodeMechanismDocument,
  draftMechanism,
  encodeBody,
  encodeMechanismDocument,
  MAX_MECHANISM_BYTES,
  mechanismHashOf,
  readMechanismDocument,
  storedMechanismOf,
  SuretyError,
  type MechanismDocument,
} from "#protocol";
import { anyDocument, textbookDocument } from "../../fixtures/mechanism.ts";

const codeOf = (bytes: Uint8Array) => {
  const verdict = decodeMechanismDocument(bytes);
  return verdict.kind === "accept" ? "accept" : verdict.code;
};
const stored = (overrides: object) => encode({ ...(storedMechanismOf(textbookDocument) as object), ...overrides });

describe("mechanism document", () => {
  it("returns from its bytes, whatever it says", () => {
    fc.assert(
      fc.property(anyDocument, (document) => {
        const bytes = encodeMechanismDocument(document);
        expect(decodeMechanismDocument(bytes)).to.deep.equal({ kind: "accept", value: document });
      }),
      {
        numRuns: 200,
        examples: [[textbookDocument], [draftMechanism({ name: "", topics: [], rule: "posted-price" })]],
      },
    );
  });

  it("reads the same from plain JSON as from its bytes", () => {
    const json = JSON.parse(JSON.stringify(storedMechanismOf(textbookDocument))) as unknown;
    expect(readMechanismDocument(json)).to.deep.equal({ kind: "accept", value: textbookDocument });
  });

  it("is a log body whose hash is the deal's mechanismHash", () => {
    const body = encodeBody("mechanism", textbookDocument);
    expect(bodyHashOf(body)).to.equal(mechanismHashOf(textbookDocument));
    expect(contentHashOf(encodeMechanismDocument(textbookDocument))).to.equal(mechanismHashOf(textbookDocument));
  });

  it("has another hash when any clause differs", () => {
    fc.assert(
      fc.property(anyDocument, anyDocument, (a, b) => {
        const isSame = clauseNames.every(
          (clause) => JSON.stringify(text(a[clause])) === JSON.stringify(text(b[clause])),
        );
        fc.pre(!isSame);
        expect(mechanismHashOf(a)).not.to.equal(mechanismHashOf(b));
      }),
      { numRuns: 100 },
    );
  });

  it("answers any bytes, and any bent document, with a verdict, and accepts nothing that reads differently", () => {
    const good = encodeMechanismDocument(textbookDocument);
    const bent = fc
      .tuple(fc.nat(good.length - 1), fc.nat(255))
      .map(([at, byte]) => good.map((old, i) => (i === at ? byte : old)));
    const structured = fc.object({ maxDepth: 3 }).map((value) => encode(JSON.parse(JSON.stringify(value))));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), bent, structured), (bytes) => {
        const verdict = decodeMechanismDocument(bytes);
        if (verdict.kind === "accept") expect(encodeMechanismDocument(verdict.value)).to.deep.equal(bytes);
        else expect(verdict.code).to.match(/^(CBOR|MECHANISM)_/);
      }),
      { numRuns: 2_000, examples: [[good]] },
    );
  });

  const faults: readonly (readonly [string, string, Uint8Array])[] = [
    ["a missing clause", "MECHANISM_SCHEMA", encode(without("review"))],
    ["a field of somebody's own", "MECHANISM_SCHEMA", stored({ extra: 1 })],
    ["an amount that is a number", "MECHANISM_SCHEMA", stored({ bond: { leastWei: 5 } })],
    ["an address in mixed case", "MECHANISM_SCHEMA", stored({ appeal: { arbiter: `0x${"Ab".repeat(20)}` } })],
    ["a later version", "MECHANISM_UNKNOWN", stored({ version: 2 })],
    ["another kind", "MECHANISM_UNKNOWN", stored({ kind: "posted" })],
    ["no outcome", "MECHANISM_OUTCOMES", stored({ outcomes: [], agency: null })],
    ["a law that is none", "MECHANISM_AGENCY", stored({ agency: agencyWith({ lawUnit: "99" }) })],
    ["a target that is no action", "MECHANISM_AGENCY", stored({ agency: agencyWith({ target: 3 }) })],
    ["too many bytes", "CBOR_TOO_LONG", new Uint8Array(MAX_MECHANISM_BYTES + 1)],
  ];
  for (const [name, code, bytes] of faults) it(`refuses ${name}: ${code}`, () => expect(codeOf(bytes)).to.equal(code));

  it("throws for the author what a follower would refuse", () => {
    const { award } = textbookDocument;
    const document: MechanismDocument = { ...textbookDocument, award: { ...award, minQuality: 5n, maxQuality: 4n } };
    expect(() => encodeMechanismDocument(document))
      .to.throw(SuretyError)
      .with.property("code", "MECHANISM_INVALID");
  });
});

function without(clause: string): object {
  const fields = Object.entries(storedMechanismOf(textbookDocument) as Record<string, unknown>);
  return Object.fromEntries(fields.filter(([name]) => name !== clause));
}

function agencyWith(overrides: object): object {
  return { ...(storedMechanismOf(textbookDocument) as { agency: object }).agency, ...overrides };
}

function text(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (_, item: unknown) => (typeof item === "bigint" ? item.toString() : item)));
}
