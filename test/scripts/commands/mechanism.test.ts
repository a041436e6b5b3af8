import { expect } from "chai";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  decodeMechanismDocument,
  draftMechanism,
  mechanismHashOf,
  readMechanismDocument,
  storedMechanismOf,
} from "#protocol";
import { cliHere as cli } from "../../fixtures/cli-here.ts";

interface Report {
  readonly mechanismHash: string;
  readonly isSound?: boolean;
  readonly isSolved?: boolean;
  readonly priceWei?: string;
  readonly target?: string;
  readonly findings?: readonly { readonly code: string; readonly path: string }[];
  readonly proof?: { readonly isOk: boolean; readonly detail: string };
  readonly text?: string;
  readonly code?: string;
}

describe("surety mechanism", function () {
  this.timeout(120_000);
  const dir = mkdtempSync(join(tmpdir(), "surety-mechanism-"));
  const at = (name: string) => join(dir, name);
  const mechanism = (...args: readonly string[]) => cli.json<Report>("mechanism", ...args);
  const edit = (file: string, to: string, change: (stored: Record<string, unknown>) => object) => {
    const stored = JSON.parse(readFileSync(at(file), "utf8")) as Record<string, unknown>;
    writeFileSync(at(to), JSON.stringify({ ...stored, ...change(stored) }));
    return at(to);
  };

  after(() => {
    rmSync(dir, { recursive: true });
  });

  it("writes a draft that can be published, and reads it back to the same hash", async () => {
    const draft = await mechanism("new", at("auction.json"), "--name", "Pages", "--topic", "translation");
    expect(draft.code).to.equal(0);
    const checked = await mechanism("check", at("auction.json"));
    expect([checked.code, checked.result.isSound]).to.deep.equal([0, true]);
    expect(checked.result.mechanismHash).to.equal(draft.result.mechanismHash);
    const stored: unknown = JSON.parse(readFileSync(at("auction.json"), "utf8"));
    const document = readMechanismDocument(stored);
    expect(document.kind === "accept" && mechanismHashOf(document.value)).to.equal(draft.result.mechanismHash);
  });

  it("leaves a file alone that is there, and asks for the price of a posted award", async () => {
    const named = ["--name", "Pages", "--topic", "translation"];
    expect(await cli.failure("mechanism", "new", at("auction.json"), ...named)).to.deep.equal([2, "USAGE_FILE_EXISTS"]);
    expect((await mechanism("new", at("auction.json"), ...named, "--force")).code).to.equal(0);
    const posted = [...named, "--rule", "posted-price"];
    expect(await cli.failure("mechanism", "new", at("p.json"), ...posted)).to.deep.equal([2, "USAGE_PRICE"]);
  });

  it("solves for the cheapest pay, proves it, and finds the proof wrong for other rules", async () => {
    const named = ["--name", "Work", "--topic", "translation", "--law", "--bond", "200000"];
    expect((await mechanism("new", at("law.json"), ...named)).code).to.equal(0);
    const solved = await mechanism("solve", at("law.json"), "--out", at("solved.cbor"), "--proof", at("proof.json"));
    expect([solved.code, solved.result.target]).to.deep.equal([0, "work"]);
    // Work is done for its cost: 0.95 price − 0.05 bond = 1,000,000, and the incentive asks for less.
    expect(solved.result.priceWei).to.equal("1063158");
    const bytes = decodeMechanismDocument(readFileSync(at("solved.cbor")));
    expect(bytes.kind === "accept" && mechanismHashOf(bytes.value)).to.equal(solved.result.mechanismHash);
    const checked = await mechanism("check", at("solved.cbor"), "--proof", at("proof.json"));
    expect([checked.code, checked.result.proof?.isOk]).to.deep.equal([0, true]);
    const other = await mechanism("check", at("law.json"), "--proof", at("proof.json"));
    expect(other.code).to.equal(1);
    expect(other.result.proof?.detail).to.match(/PROOF_OTHER_RULES/);
  });

  it("names what no payment implements, and an action that is none", async () => {
    const agency = (target: object[]) => ({
      actions: target,
      lawUnit: "2",
      target: 1,
      outsideWei: "0",
      maxGapWei: "1",
    });
    const even = ["1", "1"];
    const hopeless = edit("law.json", "hopeless.json", () => ({
      agency: agency([
        { name: "idle", costWei: "0", law: even },
        { name: "work", costWei: "5", law: even },
      ]),
    }));
    const verdict = await mechanism("solve", hopeless, "--action", "work");
    expect([verdict.code, verdict.result.code]).to.deep.equal([1, "SOLVE_INFEASIBLE"]);
    expect(await cli.failure("mechanism", "solve", hopeless, "--action", "play")).to.deep.equal([2, "USAGE_ACTION"]);
  });

  it("names the clause at fault with exit code 1, and refuses a file that is none with 2", async () => {
    const silent = edit("auction.json", "silent.json", () => ({
      review: { periodS: 60, onSilence: "refunds-client" },
    }));
    const { code, result } = await mechanism("check", silent);
    expect(code).to.equal(1);
    expect(result.findings?.map((finding) => `${finding.code} ${finding.path}`)).to.include(
      "REVIEW_SILENCE review.onSilence",
    );
    writeFileSync(at("list.json"), "[]");
    writeFileSync(at("broken.json"), "{");
    const cut = edit("auction.json", "cut.json", () => ({ review: undefined }));
    expect(await cli.failure("mechanism", "check", at("list.json"))).to.deep.equal([2, "USAGE_MECHANISM"]);
    expect(await cli.failure("mechanism", "check", at("broken.json"))).to.deep.equal([2, "USAGE_JSON"]);
    expect(await cli.failure("mechanism", "check", cut)).to.deep.equal([2, "USAGE_MECHANISM"]);
    expect(await cli.failure("mechanism", "check", at("nowhere.json"))).to.deep.equal([2, "USAGE_FILE"]);
    expect(await cli.failure("mechanism", "check", at("auction.json"), "--proof", at("cut.json"))).to.deep.equal([
      2,
      "USAGE_PROOF",
    ]);
  });

  it("refuses to attack or improve what it cannot try, by name and before any search", async () => {
    const write = (name: string, stored: unknown) => (writeFileSync(at(name), JSON.stringify(stored)), at(name));
    const draft = (rule: "scored-second-price" | "posted-price") =>
      storedMechanismOf(draftMechanism({ name: "Pages", topics: ["translation"], rule, priceWei: 9n }));
    const [bids, posted] = [
      write("bids.json", draft("scored-second-price")),
      write("posted.json", draft("posted-price")),
    ];
    const policy = write("policy.json", { "review.shares": "1" });
    mkdirSync(at("begun"));
    write("begun/run.json", {});
    const out = ["--out", at("run")];
    const market = ["--scenario", "crowdsourcing"];
    const cases: readonly (readonly [string, readonly string[]])[] = [
      ["USAGE_MECHANISM_PRICE", ["attack", bids]],
      ["USAGE_MECHANISM_RANGE", ["improve", posted, ...out]],
      ["USAGE_POLICY", ["attack", posted, "--policy", policy]],
      ["USAGE_NO_RULES", ["improve", ...out]],
      ["USAGE_RUN_EXISTS", ["improve", ...market, "--out", at("begun")]],
      ["USAGE_RUN", ["improve", "--resume", "--out", at("begun")]],
      ["DEPLOYMENT_MISSING", ["improve", ...market, "--network", "nowhere", ...out]],
    ];
    const failures = await Promise.all(cases.map(([, args]) => cli.failure("mechanism", ...args)));
    expect(failures).to.deep.equal(cases.map(([code]) => [code.startsWith("USAGE") ? 2 : 3, code]));
    expect((await cli.run("mechanism", "improve", ...market, ...out, "--arbiter", "0x12")).code).to.equal(2);
    expect(existsSync(at("run"))).to.equal(false);
  });

  it("explains the rules as text, as Markdown and as JSON", async () => {
    const text = await cli.run("mechanism", "explain", at("auction.json"));
    expect(text.code).to.equal(0);
    expect(text.stdout)
      .to.match(/second price/)
      .and.to.match(/sealed/);
    const markdown = await mechanism("explain", at("auction.json"), "--format", "markdown");
    expect(markdown.result.text)
      .to.match(/^# Pages/)
      .and.to.include("| late | chain |");
  });
});
