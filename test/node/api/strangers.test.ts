// Whatever a stranger sends to MCP and A2A is judged, never thrown at; what is handed on hides nothing.
import { encode } from "@ipld/dag-cbor";
import { Message } from "@a2a-js/sdk";
import { expect } from "chai";
import fc from "fast-check";
import { accountOfCard } from "../../../node/api/a2a/keys.ts";
import { readDecision, readOrder } from "../../../node/api/a2a/order.ts";
import { registrationOf } from "../../../node/api/documents.ts";
import type { AgentSelf } from "../../../node/api/self.ts";
import { asJson, readDelivery, strangersText } from "../../../node/desk/untrusted.ts";

const numRuns = Number(process.env["SURETY_FUZZ_RUNS"] ?? 500);
const self: AgentSelf = {
  ...{ agentId: 7n, name: "agent", chainId: 31_337, capabilities: [], peerId: "p", addresses: [] },
  ...{ identityRegistry: `0x${"11".repeat(20)}`, address: `0x${"22".repeat(20)}`, token: `0x${"33".repeat(20)}` },
  ...{ origin: () => "https://agent.example", shopUrl: undefined },
};
/** Like messages, and unlike them in every place. */
const messages = fc.record(
  {
    messageId: fc.string(),
    role: fc.anything(),
    parts: fc.oneof(
      fc.anything(),
      fc.array(
        fc.oneof(
          fc.record({ text: fc.oneof(fc.string(), fc.anything()) }),
          fc.record({
            data: fc.oneof(
              fc.jsonValue(),
              fc.dictionary(
                fc.constantFrom(
                  "topic",
                  "input",
                  "title",
                  "query",
                  "maxPriceWei",
                  "accept",
                  "rating",
                  "dispute",
                  "minScore",
                  "submitWithinSeconds",
                ),
                fc.jsonValue(),
              ),
            ),
          }),
          fc.jsonValue(),
        ),
        { maxLength: 20 },
      ),
    ),
  },
  { requiredKeys: [] },
);

describe("what strangers send to MCP and A2A", () => {
  it("is an order or a decision, or is refused with a code, and never throws", () => {
    const kinds = new Set<string>();
    fc.assert(
      fc.property(messages, (json) => {
        let message: Message;
        try {
          message = Message.fromJSON(JSON.parse(JSON.stringify(json)));
        } catch {
          // The package refuses it before it reaches us.
          return;
        }
        for (const read of [readOrder(message), readDecision(message)]) {
          kinds.add(read.kind);
          if (read.kind !== "accept") expect(read.code).to.match(/^[A-Z_]+$/);
        }
      }),
      {
        numRuns,
        examples: [
          [{ parts: [{ data: { topic: "t", input: 1, maxPriceWei: "5" } }] }],
          [{ parts: [{ text: "accept 80" }] }],
          [{ parts: [{ data: { input: { __proto__: { polluted: 1 } }, title: "" } }] }],
        ],
      },
    );
    expect([...kinds].sort()).to.deep.equal(["accept", "reject"]);
  });

  it("is a delivery that anybody can read, within a bound, whatever its bytes are", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2_000 }), (bytes) => {
        const { content, encoding } = readDelivery(bytes);
        expect(["dag-cbor", "text", "hex"]).to.include(encoding);
        expect(content.length).to.be.at.most(32_768);
      }),
      { numRuns },
    );
    expect(readDelivery(encode({ n: 2n ** 60n, b: new Uint8Array([255]) })).content).to.equal(
      `{"b":"0xff","n":"${2n ** 60n}"}`,
    );
    expect(readDelivery(Buffer.from("x".repeat(100_000)))).to.include({ isCut: true, encoding: "text" });
    let deep: unknown = 1;
    for (let k = 0; k < 1_000; k++) deep = [deep];
    expect(JSON.stringify(asJson(deep)).length).to.be.below(200);
  });

  it("shows no hidden characters: no overrides, no zero widths, no sentence in tags", () => {
    const hidden = "a\u202eb\u200bc\u0007d\ufe0fe\u{e0049}\u{e0047}f\u2028g";
    expect(strangersText(hidden)).to.equal("a\ufffdb\ufffdc\ufffdd\ufffde\ufffd\ufffdf\ufffdg");
    // U+E0000 is assigned to nothing, shown as nothing, and read by a model as a tag all the same.
    expect(strangersText("\u{e0000}\u{e0002}\u3164\u034f")).to.equal("\ufffd".repeat(4));
    expect(strangersText("täglich 数据 🙂\n\t1")).to.equal("täglich 数据 🙂\n\t1");
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 3_000 }), (text) => {
        const shown = strangersText(text, 100);
        expect(shown.length).to.be.at.most(100);
        expect(shown.isWellFormed()).to.equal(true);
        expect(shown).to.not.match(/[\u202a-\u202e\u2066-\u2069\u{e0000}-\u{e007f}]/u);
      }),
      { numRuns },
    );
  });

  it("is an agentURI of which the registration file takes texts only, and fetches nothing", () => {
    const uris = fc.oneof(
      fc.string(),
      fc.webUrl(),
      fc.json().map((json) => `data:application/json,${json}`),
    );
    fc.assert(
      fc.property(uris, (uri) => {
        const file = registrationOf(self, uri) as { name: unknown; registrations: unknown[] };
        expect(file.name).to.be.a("string");
        expect(file.registrations).to.deep.equal([
          { agentId: 7, agentRegistry: `eip155:31337:${self.identityRegistry}` },
        ]);
      }),
      { numRuns },
    );
    const onChain = `data:application/json;base64,${Buffer.from('{"name":"Lexica","image":7}').toString("base64")}`;
    expect(registrationOf(self, onChain)).to.include({ name: "Lexica", agentURI: "data:" });
  });

  it("is a card's signature that names an account, or a reason why not", () => {
    const texts = fc.oneof(
      fc.string(),
      fc.json().map((json) => Buffer.from(json).toString("base64url")),
    );
    fc.assert(
      fc.property(fc.array(fc.record({ protected: texts, signature: texts }), { maxLength: 4 }), (signatures) => {
        expect(accountOfCard("{}", signatures).kind).to.equal("reject");
      }),
      { numRuns },
    );
  });
});
