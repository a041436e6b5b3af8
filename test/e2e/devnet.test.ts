import { expect } from "chai";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommandLine } from "../fixtures/cli.ts";
import { root } from "../../scripts/checks/run-tool.ts";
import { nightly } from "../fixtures/profile.ts";

interface Summary {
  readonly agents: number;
  readonly processes: number;
  readonly outcomes: readonly { readonly state: string; readonly rating?: number }[];
  readonly figures: { readonly badDeliveries?: number; readonly welfare?: number; readonly completed?: string };
  readonly finalized: readonly { readonly topic: string; readonly epoch: number; readonly leafCount: number }[];
  readonly indexed: { readonly deals: number; readonly agents: number };
  readonly audited: { readonly agents: number; readonly isOk: boolean };
  readonly isOk: boolean;
}

/** Topics of the built-in scenario. */
const TOPICS = ["code_review_security", "data_analysis", "devops_tool_execution"];
/** Welfare in dollars that the authors of mexican_3_9 publish as the optimum at list prices. */
const LIST_PRICE_OPTIMUM = 63.78;

const shared = join(root, "../shared/data");
const market = join(shared, "magentic/mexican_3_9");
const ratings = join(shared, "alpha/soc-sign-bitcoinalpha.csv");

/** A whole network once more, by another scenario, takes a minute. */

describe("the local network", function () {
  // A busy machine; alone it takes a third of this.
  this.timeout(240_000);
  const cli = new CommandLine();
  let dir: string;
  beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), "surety-devnet-"))));
  afterEach(() => {
    cli.killAll();
    rmSync(dir, { recursive: true, force: true });
  });

  /** Runs it once; shows its progress where it does not end well. */
  const runOnce = async (...options: readonly string[]) => {
    const { code, stdout, stderr } = await cli.run("devnet", "--once", "--json", "--data-dir", dir, ...options);
    expect(code, `${stdout}\n${stderr}`).to.equal(0);
    return JSON.parse(stdout) as Summary;
  };
  const isBad = ({ state, rating = 0 }: Summary["outcomes"][number]) => state === "refunded" || rating < 0;

  it("runs deals, finalizes an epoch, audits every agent, and ends with nothing left running", async () => {
    const summary = await runOnce();
    expect(summary.isOk).to.equal(true);
    expect(summary.processes).to.be.at.least(5);
    const settled = summary.outcomes.filter(({ state }) => state === "settled");
    expect(settled.length).to.be.at.least(summary.outcomes.length / 2);
    expect(summary.finalized.map(({ topic }) => topic).sort()).to.deep.equal(TOPICS);
    expect(summary.indexed.agents).to.equal(summary.agents);
    expect(summary.indexed.deals).to.be.at.least(settled.length);
    expect(summary.audited).to.deep.equal({ agents: summary.agents, isOk: true });
    // The careless and the silent one win tasks as long as nobody knows them, and none once scores are known.
    const half = summary.outcomes.length / 2;
    expect(summary.outcomes.slice(0, half).filter(isBad)).to.not.have.length(0);
    expect(summary.outcomes.slice(half).filter(isBad)).to.deep.equal([]);
    expect(cli.leftovers() ?? []).to.deep.equal([]);
  });

  it("leaves nothing behind when it is interrupted while its agents start", async () => {
    const starting = cli.surety(["devnet", "--json", "--data-dir", dir]);
    await starting.said(/starting \d+ agents/);
    const { code, stdout } = await starting.interrupt();
    expect([code, (JSON.parse(stdout) as { error: { code: string } }).error.code]).to.deep.equal([130, "INTERRUPTED"]);
    expect(cli.leftovers() ?? []).to.deep.equal([]);
  });

  nightly("serves every customer of mexican_3_9 at no less than the list-price optimum", async function () {
    if (!existsSync(market)) return void this.skip(); // ../shared/data is not here
    const { figures, isOk } = await runOnce("--scenario", market);
    expect([isOk, figures.completed]).to.deep.equal([true, "3 of 3"]);
    expect(figures.welfare).to.be.at.least(LIST_PRICE_OPTIMUM);
    expect(cli.leftovers() ?? []).to.deep.equal([]);
  });

  it("imports real ratings, admits the best agent to a marketplace, and proves it offline", async function () {
    if (!existsSync(ratings)) return void this.skip(); // ../shared/data is not here
    const imported = await cli.json<{
      ratings: number;
      settled: number;
      marketplace: { agentId: number };
      top: { agentId: number }[];
      bundle: { path: string; blockHash: string; isOk: boolean };
    }>("reputation", "import", ratings, "--first", "60", "--data-dir", dir);
    expect(imported.code, JSON.stringify(imported.result)).to.equal(0);
    const { ratings: planned, settled, marketplace, top, bundle } = imported.result;
    expect(settled).to.equal(planned);
    expect(planned).to.be.greaterThan(50);
    expect(marketplace.agentId).to.equal(top[0]?.agentId);
    const verdict = await cli.json("audit", "verify", bundle.path, "--block-hash", bundle.blockHash);
    expect([bundle.isOk, verdict.code]).to.deep.equal([true, 0]);
    expect(cli.leftovers() ?? []).to.deep.equal([]);
  });
});
