import { expect } from "chai";
import fc from "fast-check";
import { splitList } from "../../../indexer/entities.ts";
import { parseRegistrationFile } from "../../../indexer/handlers/registration-file.ts";
import { decodeValue, encodeDecimal, encodeValue } from "../../../indexer/store/codec.ts";

const uriOf = (json: unknown, head = "data:application/json;base64,") =>
  head + Buffer.from(JSON.stringify(json)).toString("base64");

describe("a registration file that stands in its URI", () => {
  it("is read from base64 and from plain JSON, with services under either name", () => {
    const services = [
      { name: "MCP", endpoint: "https://a.example/mcp", version: "1", mcpTools: ["sum", { name: "mul" }] },
      { name: "OASF", endpoint: "https://a.example", skills: ["nlp/translation"], domains: [] },
    ];
    const file = { name: "A", description: "B", active: true, x402Support: true, supportedTrust: ["reputation"] };
    const plain = `data:application/json,${encodeURIComponent(JSON.stringify({ ...file, endpoints: services }))}`;
    for (const uri of [uriOf({ ...file, services }), plain]) {
      const parsed = parseRegistrationFile(uri);
      expect(parsed).to.deep.include({
        name: "A",
        active: true,
        x402Support: true,
        mcpEndpoint: "https://a.example/mcp",
      });
      expect(parsed).to.deep.include({ hasOASF: true, a2aEndpoint: null, image: null });
      expect(splitList(parsed?.mcpTools ?? "")).to.deep.equal(["sum", "mul"]);
      expect(splitList(parsed?.a2aSkills ?? "x")).to.deep.equal([]);
    }
  });

  it("is none where the URI is elsewhere, and nothing that a stranger writes stops the index", () => {
    for (const uri of [
      "",
      "ipfs://x",
      "https://x.example/{}",
      "data:text/html,<b>",
      uriOf(7),
      uriOf(null),
      uriOf([1]),
    ]) {
      expect(parseRegistrationFile(uri), uri).to.equal(undefined);
    }
    expect(parseRegistrationFile("data:application/json;base64,!!")).to.equal(undefined);
    expect(parseRegistrationFile("data:application/json,%E0%A4%A")).to.equal(undefined);
    expect(parseRegistrationFile(uriOf({ name: "x".repeat(400_000) }))).to.equal(undefined);
    fc.assert(
      fc.property(fc.jsonValue(), (services) => {
        const parsed = parseRegistrationFile(uriOf({ name: services, services, supportedTrust: services }));
        expect(parsed?.name).to.be.a("string");
      }),
    );
  });
});

describe("decimal columns", () => {
  it("sort as numbers and come back as they went in", () => {
    const column = { kind: "decimal" } as const;
    const value = fc.bigInt({ min: -(10n ** 56n), max: 10n ** 56n });
    const text = (wad: bigint) => {
      const digits = (wad < 0n ? -wad : wad).toString().padStart(19, "0");
      const places = digits.slice(-18).replace(/0+$/, "");
      return `${wad < 0n ? "-" : ""}${digits.slice(0, -18)}${places === "" ? "" : `.${places}`}`;
    };
    fc.assert(
      fc.property(value, value, (a, b) => {
        expect(decodeValue(column, encodeValue(column, text(a)))).to.equal(text(a));
        expect(encodeDecimal(text(a)) < encodeDecimal(text(b))).to.equal(a < b);
      }),
    );
  });
});
