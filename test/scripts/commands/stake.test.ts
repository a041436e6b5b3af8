import { expect } from "chai";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import hre from "hardhat";
import { createTestClient, http } from "viem";
import type { LocalAgent } from "../../../scripts/devnet/provision.ts";
import { failureHere, jsonHere } from "../../fixtures/cli-here.ts";
import { startLocalNetwork, type LocalNetwork } from "../../fixtures/local-network.ts";

interface StakeResult {
  readonly stakedWei: string;
  readonly freeWei: string;
  readonly unbondingWei: string;
  readonly withdrawableAt: number;
  readonly countedWei: string;
  readonly enlistedWei: string;
  readonly seatWei: string;
}

describe("surety stake and surety token", function () {
  this.timeout(120_000);
  let world: LocalNetwork;
  let on: string[];
  let owner: LocalAgent;
  let keyFile: string;
  let strangersFile: string;

  before(async () => {
    world = await startLocalNetwork(3);
    on = ["--data-dir", world.dir, "--network", "network", "--rpc-url", world.rpcUrl];
    owner = world.agents[1] as LocalAgent;
    keyFile = writeKey("owner", owner);
    strangersFile = writeKey("stranger", world.agents[2] as LocalAgent);
  });
  after(async () => {
    await world.stop();
  });

  function writeKey(name: string, { key }: LocalAgent): string {
    const path = join(world.dir, `${name}.key`);
    writeFileSync(path, `${key}\n`, { mode: 0o600 });
    return path;
  }
  const as = (path: string) => ["--key-file", path, ...on];
  const show = async () => (await jsonHere<StakeResult>("stake", "show", "2", ...on)).result;

  it("mints, stakes, unbonds, and pays the owner when the delay is over", async () => {
    const minted = await jsonHere<{ balanceWei: string; to: string }>("token", "mint", "900", ...as(keyFile));
    expect([minted.code, minted.result.balanceWei, minted.result.to]).to.deep.equal([0, "900", owner.address]);
    const added = await jsonHere<StakeResult>("stake", "add", "2", "700", ...as(keyFile));
    expect([added.code, added.result.stakedWei, added.result.countedWei]).to.deep.equal([0, "700", "0"]);

    const unbonded = await jsonHere<StakeResult>("stake", "unbond", "2", "300", ...as(keyFile));
    expect([unbonded.code, unbonded.result.stakedWei, unbonded.result.unbondingWei]).to.deep.equal([0, "400", "300"]);
    const early = await failureHere("stake", "withdraw", "2", ...as(strangersFile));
    expect(early).to.deep.equal([3, "CALL_REVERTED_STAKE_VAULT_TOO_EARLY"]);

    const simulator = createTestClient({ mode: "hardhat", transport: http(world.rpcUrl) });
    await simulator.setNextBlockTimestamp({ timestamp: BigInt(unbonded.result.withdrawableAt) });
    await simulator.mine({ blocks: 1 });
    const withdrawn = await jsonHere<StakeResult>("stake", "withdraw", "2", ...as(strangersFile));
    expect([withdrawn.code, withdrawn.result.unbondingWei, withdrawn.result.withdrawableAt]).to.deep.equal([0, "0", 0]);
    const { stakedWei, freeWei, countedWei } = await show();
    expect([stakedWei, freeWei, countedWei]).to.deep.equal(["400", "400", "400"]);
    // 900 minted, 700 staked, 300 came back.
    const again = await jsonHere<{ balanceWei: string }>(
      "token",
      "mint",
      "1",
      "--to",
      owner.address,
      ...as(strangersFile),
    );
    expect(again.result.balanceWei).to.equal("501");
  });

  it("refuses, by name, what the payer does not have, what is not free, and who is not the owner", async () => {
    const before = await show();
    const refused = (...args: string[]) => failureHere("stake", ...args);
    expect(await refused("add", "2", "502", ...as(keyFile))).to.deep.equal([3, "TOKEN_INSUFFICIENT"]);
    expect(await refused("unbond", "2", "401", ...as(keyFile))).to.deep.equal([
      3,
      "CALL_REVERTED_STAKE_VAULT_INSUFFICIENT",
    ]);
    expect(await refused("unbond", "2", "1", ...as(strangersFile))).to.deep.equal([
      3,
      "CALL_REVERTED_STAKE_VAULT_NOT_AUTHORIZED",
    ]);
    expect(await refused("withdraw", "2", ...as(keyFile))).to.deep.equal([
      3,
      "CALL_REVERTED_STAKE_VAULT_NOTHING_UNBONDING",
    ]);
    expect(await refused("add", "2", "0", ...as(keyFile))).to.deep.equal([2, "USAGE_INVALID_ARGUMENT"]);
    expect(await refused("add", "2", "half", ...as(keyFile))).to.deep.equal([2, "USAGE_INVALID_ARGUMENT"]);
    for (const command of [
      ["show", "99"],
      ["withdraw", "99", "--key-file", keyFile],
    ])
      expect(await refused(...command, ...on)).to.deep.equal([1, "AGENT_UNKNOWN"]);
    expect(await show()).to.deep.equal(before);
  });

  it("puts stake behind a juror's seats, which locks it, and takes it back", async () => {
    const { seatWei } = await show();
    await jsonHere("token", "mint", seatWei, ...as(keyFile));
    await jsonHere("stake", "add", "2", seatWei, ...as(keyFile));
    expect(await failureHere("stake", "enlist", "2", seatWei, ...as(strangersFile))).to.deep.equal([
      3,
      "CALL_REVERTED_JUROR_PANEL_NOT_AUTHORIZED",
    ]);
    const enlisted = await jsonHere<StakeResult>("stake", "enlist", "2", seatWei, ...as(keyFile));
    expect([enlisted.code, enlisted.result.enlistedWei, enlisted.result.freeWei]).to.deep.equal([0, seatWei, "400"]);
    const back = await jsonHere<StakeResult>("stake", "discharge", "2", seatWei, ...as(keyFile));
    expect([back.code, back.result.enlistedWei, back.result.stakedWei]).to.deep.equal([
      ...[0, "0", `${BigInt(seatWei) + 400n}`],
    ]);
    expect(await failureHere("stake", "enlist", "99", seatWei, ...as(keyFile))).to.deep.equal([1, "AGENT_UNKNOWN"]);
  });

  it("puts stake behind a place among a topic's validators, which binds it for a while after it is left", async () => {
    interface OrderResult {
      readonly bondWei: string;
      readonly validators: readonly number[];
      readonly enlistment?: { readonly enlistedWei: string; readonly releasableAt: number };
    }
    const window = (...args: string[]) => jsonHere<OrderResult>("window", ...args);
    const { bondWei } = (await window("show", "code_generation", ...on)).result;
    await jsonHere("token", "mint", bondWei, ...as(keyFile));
    await jsonHere("stake", "add", "2", bondWei, ...as(keyFile));
    const before = await show();
    const place = ["code_generation", "2"];
    expect(await failureHere("window", "enlist", ...place, bondWei, ...as(strangersFile))).to.deep.equal([
      3,
      "CALL_REVERTED_WINDOW_VALIDATORS_NOT_AUTHORIZED",
    ]);
    const enlisted = await window("enlist", ...place, bondWei, ...as(keyFile));
    expect([enlisted.code, enlisted.result.enlistment]).to.deep.equal([
      0,
      { agentId: "2", enlistedWei: bondWei, releasableAt: 0 },
    ]);
    expect(BigInt((await show()).freeWei)).to.equal(BigInt(before.freeWei) - BigInt(bondWei));
    const left = await window("resign", ...place, ...as(keyFile));
    expect(left.result.enlistment?.releasableAt).to.be.greaterThan(0);
    expect(await failureHere("window", "release", ...place, ...as(strangersFile))).to.deep.equal([
      3,
      "CALL_REVERTED_WINDOW_VALIDATORS_STILL_BOUND",
    ]);
    expect(await failureHere("window", "enlist", "code_generation", "99", bondWei, ...as(keyFile))).to.deep.equal([
      1,
      "AGENT_UNKNOWN",
    ]);
  });

  it("mints no token but the test token, and no token beyond a local chain", async () => {
    const elsewhere = (name: string, deployment: unknown) => {
      mkdirSync(join(world.dir, name));
      writeFileSync(join(world.dir, name, "deployment.json"), JSON.stringify(deployment));
      return ["--data-dir", world.dir, "--network", name, "--key-file", keyFile];
    };
    const { deployment, rpcUrl } = world;
    const { identityRegistry } = deployment.contracts;
    const own = elsewhere("own", { ...deployment, contracts: { ...deployment.contracts, token: identityRegistry } });
    expect(await failureHere("token", "mint", "1", ...own, "--rpc-url", rpcUrl)).to.deep.equal([3, "TOKEN_NOT_TEST"]);

    const server = await hre.network.createServer({ network: "node", override: { chainId: 4_242 } }, "127.0.0.1", 0);
    const { address, port } = await server.listen();
    const url = `http://${address}:${port}`;
    const simulator = createTestClient({ mode: "hardhat", transport: http(url) });
    // Any code will do: the command only looks whether the deployment is there.
    await simulator.setCode({ address: deployment.contracts.dealEscrow, bytecode: "0x00" });
    const other = elsewhere("elsewhere", { ...deployment, chainId: 4_242 });
    const refused = await failureHere("token", "mint", "1", ...other, "--rpc-url", url);
    await server.close();
    expect(refused).to.deep.equal([3, "TOKEN_NOT_LOCAL"]);
  });
});
