import { expect } from "chai";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import hre, { network } from "hardhat";
import { getAddress, zeroAddress } from "viem";
import { groupIdOf, issuerIdOf, parseDeployment, SuretyError, type Deployment } from "#protocol";
import { couplingsOf } from "../../scripts/couplings.ts";
import { deploySurety, deploymentFileOf, type DeployOptions, type DeployParameters } from "../../scripts/deploy.ts";
import Surety from "../../scripts/ignition/Surety.ts";
import { builtinScenario } from "../../scripts/scenarios/builtin.ts";
import { isNightly } from "../fixtures/profile.ts";

/** The built-in scenario's: topic ids have 64 bits. */
const couplings = couplingsOf(builtinScenario.couplings ?? { minClients: 0, maxShare: 0, links: [] });
const parameters: DeployParameters = {
  epochLengthSeconds: 60n,
  unbondingDelaySeconds: 121n,
  publisherBondWei: 1_000_000n,
  couplings,
};

/** Transactions of one deployment: each contract, and each call that wires them; reading what a contract made sends none. */
const TRANSACTIONS = [...Surety.futures].filter(({ type }) => !/READ|STATIC_CALL|_AT$/.test(type)).length;
/** Two deployments a step: every transaction in the nightly profile, else every eighth. */
const STRIDE = isNightly ? 1 : 8;

describe("deploySurety", () => {
  let deploymentDir: string;
  let connection: Awaited<ReturnType<typeof network.create>>;

  beforeEach(async () => {
    deploymentDir = mkdtempSync(join(tmpdir(), "surety-deploy-"));
    connection = await network.create();
  });
  afterEach(async () => {
    await connection.close();
    rmSync(deploymentDir, { recursive: true, force: true });
  });

  const run = (overrides: Partial<DeployOptions> = {}) =>
    deploySurety({ connection, parameters, deploymentDir, ...overrides });
  const sentCount = async () => {
    const client = await connection.viem.getPublicClient();
    const [deployer] = await connection.viem.getWalletClients();
    if (deployer === undefined) throw new Error("no account");
    return client.getTransactionCount({ address: deployer.account.address });
  };
  const codeOf = async (promise: Promise<unknown>) => {
    try {
      await promise;
    } catch (error) {
      return error instanceof SuretyError ? error.code : error;
    }
    return "nothing thrown";
  };

  it("wires what it deploys, writes the file, and sends nothing the second time", async () => {
    const deployment = await run();
    expect(await sentCount()).to.equal(TRANSACTIONS);
    await expectWired(deployment);
    expect(parseDeployment(readFileSync(deploymentFileOf(deploymentDir), "utf8"))).to.deep.equal(deployment);

    expect(await run()).to.deep.equal(deployment);
    expect(await sentCount()).to.equal(TRANSACTIONS);
    const { rulingSlasher, ...older } = deployment.contracts;
    expect(() => parseDeployment(JSON.stringify({ ...deployment, contracts: older })), rulingSlasher)
      .to.throw("contracts.rulingSlasher is not an address")
      .with.property("code", "DEPLOYMENT_INVALID");
  });

  async function expectWired({ contracts }: Deployment) {
    const { viem } = connection;
    const ledger = await viem.getContractAt("TrustLedger", contracts.trustLedger);
    const vault = await viem.getContractAt("StakeVault", contracts.stakeVault);
    const escrow = await viem.getContractAt("DealEscrow", contracts.dealEscrow);
    const epochs = await viem.getContractAt("ReputationEpochs", contracts.reputationEpochs);
    const [deployer] = await viem.getWalletClients();
    expect(await ledger.read.epochLength()).to.equal(parameters.epochLengthSeconds);
    expect(await ledger.read.isRecorder([contracts.dealEscrow])).to.equal(true);
    expect(await ledger.read.isRecorder([deployer?.account.address ?? zeroAddress])).to.equal(false);
    for (const module of [
      "reputationEpochs",
      "evidenceSlasher",
      "jurorPanel",
      "rulingSlasher",
      "windowValidators",
    ] as const)
      expect(await vault.read.isModule([contracts[module]]), module).to.equal(true);
    const slasher = await viem.getContractAt("RulingSlasher", contracts.rulingSlasher);
    expect(getAddress(await slasher.read.arbitrator())).to.equal(contracts.jurorPanel);
    expect(getAddress(await slasher.read.disputes())).to.equal(contracts.dealDisputes);
    expect([await slasher.read.penalty(), await slasher.read.accuserBond()]).to.deep.equal([
      parameters.publisherBondWei,
      parameters.publisherBondWei,
    ]);
    expect(getAddress(await vault.read.token())).to.equal(contracts.token);
    expect(getAddress(await vault.read.clock())).to.equal(contracts.trustLedger);
    expect(await vault.read.unbondingDelay()).to.equal(Number(parameters.unbondingDelaySeconds));
    expect(getAddress(await escrow.read.registry())).to.equal(contracts.identityRegistry);
    expect(getAddress(await escrow.read.ledger())).to.equal(contracts.trustLedger);
    expect(await epochs.read.publisherBond()).to.equal(parameters.publisherBondWei);
    const { links, ...shares } = couplings;
    for (const link of links) {
      expect(await epochs.read.couplingsOf([link.to])).to.deep.equal({ ...shares, links: [link] });
    }
    const credentials = await viem.getContractAt("Credentials", contracts.credentials);
    const issuer = deployer?.account.address ?? zeroAddress;
    expect(getAddress(await credentials.read.registry())).to.equal(contracts.identityRegistry);
    expect(await Promise.all([0n, 1n].map((index) => credentials.read.sourceAt([index])))).to.deep.equal([
      { verifier: contracts.issuerCredentials, minLevel: 1, issuerId: issuerIdOf(issuer) },
      { verifier: contracts.semaphoreCredentials, minLevel: 1, issuerId: groupIdOf(issuer) },
    ]);
    const feedback = await viem.getContractAt("FeedbackRegistry", contracts.feedbackRegistry);
    expect(getAddress(await feedback.read.escrow())).to.equal(contracts.dealEscrow);
    expect(getAddress(await feedback.read.getIdentityRegistry())).to.equal(contracts.identityRegistry);
    expect(getAddress(await escrow.read.feedbackRegistry())).to.equal(contracts.feedbackRegistry);
    const validation = await viem.getContractAt("ValidationRegistry", contracts.validationRegistry);
    expect(getAddress(await validation.read.getIdentityRegistry())).to.equal(contracts.identityRegistry);
    const jobs = await viem.getContractAt("JobEscrow", contracts.jobEscrow);
    expect(getAddress(await jobs.read.paymentToken())).to.equal(contracts.token);
    await viem.assertions.revertWithCustomError(
      ledger.write.setRecorders([[contracts.token]]),
      ledger,
      "TrustLedgerRecordersSet",
    );
    await viem.assertions.revertWithCustomError(
      escrow.write.setFeedbackRegistry([contracts.token]),
      escrow,
      "DealEscrowNotNamed",
    );
    await viem.assertions.revertWithCustomError(
      vault.write.setModules([[contracts.token]]),
      vault,
      "StakeVaultModulesSet",
    );
  }

  it("goes on where it was aborted, at whichever transaction that was", async () => {
    for (let sendsUntilAbort = 0; sendsUntilAbort < TRANSACTIONS; sendsUntilAbort += STRIDE) {
      const dir = join(deploymentDir, String(sendsUntilAbort));
      const before = await sentCount();
      const abort = new AbortController();
      const interrupted = abortAfterSends(sendsUntilAbort, abort);
      const failure = await run({ connection: interrupted, deploymentDir: dir, signal: abort.signal }).catch(
        (error: unknown) => error,
      );
      expect(failure).to.equal(abort.signal.reason);
      expect(existsSync(deploymentFileOf(dir))).to.equal(false);
      expect(await sentCount()).to.equal(before + sendsUntilAbort);

      await expectWired(await run({ deploymentDir: dir }));
      expect(await sentCount()).to.equal(before + TRANSACTIONS);
    }
  });

  /** The same connection, which fires the abort instead of letting one transaction more pass. */
  function abortAfterSends(count: number, abort: AbortController): DeployOptions["connection"] {
    let sends = 0;
    const provider = Object.create(connection.provider) as typeof connection.provider;
    provider.request = async (request) => {
      if (request.method === "eth_sendTransaction" && sends++ === count) {
        abort.abort();
        abort.signal.throwIfAborted();
      }
      return connection.provider.request(request);
    };
    return { provider };
  }

  it("goes on where it died with a transaction sent and its hash not noted", async () => {
    const abort = new AbortController();
    const provider = Object.create(connection.provider) as typeof connection.provider;
    let sends = 0;
    provider.request = async (request) => {
      const answer = await connection.provider.request(request);
      if (request.method !== "eth_sendTransaction" || ++sends < 4) return answer;
      abort.abort();
      throw abort.signal.reason;
    };
    const failure = await run({ connection: { provider }, signal: abort.signal }).catch((error: unknown) => error);
    expect(failure).to.equal(abort.signal.reason);
    expect(await sentCount()).to.equal(4);
    await expectWired(await run());
    expect(await sentCount()).to.equal(TRANSACTIONS);
  });

  it("stands on a token that exists", async () => {
    const token = await connection.viem.deployContract("TestToken");
    const deployment = await run({ parameters: { ...parameters, token: token.address } });
    expect(deployment.contracts.token).to.equal(getAddress(token.address));
    expect(await sentCount()).to.equal(TRANSACTIONS);
    await expectWired(deployment);
  });

  it("names a chain that does not answer, and leaves nothing behind", async () => {
    const server = createServer();
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as AddressInfo;
    await once(server.close(), "close");
    const nobody = await network.create({ network: "localhost", override: { url: `http://127.0.0.1:${port}` } });
    expect(await codeOf(run({ connection: nobody, deploymentDir: join(deploymentDir, "none") }))).to.equal(
      "CHAIN_UNREACHABLE",
    );
    expect(existsSync(join(deploymentDir, "none"))).to.equal(false);
    await nobody.close();
  });

  for (const [name, wrong] of [
    ["an epoch of no length", { epochLengthSeconds: 0n }],
    ["an unbonding delay that lets stake leave before its slash", { unbondingDelaySeconds: 120n }],
    ["an unbonding delay that the vault cannot hold", { unbondingDelaySeconds: 2n ** 48n }],
    ["no bond", { publisherBondWei: 0n }],
    ["a token without code", { token: "0x00000000000000000000000000000000000000aa" }],
  ] as const) {
    it(`refuses ${name} and sends nothing`, async () => {
      expect(await codeOf(run({ parameters: { ...parameters, ...wrong } }))).to.equal("DEPLOY_PARAMETERS_INVALID");
      expect(await sentCount()).to.equal(0);
    });
  }

  it("refuses other parameters than those it began with, and other chains, until it is reset", async () => {
    const first = await run();
    const changed = { ...parameters, publisherBondWei: 5n };
    expect(await codeOf(run({ parameters: changed }))).to.equal("DEPLOY_PARAMETERS_CHANGED");
    await connection.close();
    connection = await hre.network.create();
    await (await connection.viem.getTestClient()).mine({ blocks: 3 });
    expect(await codeOf(run())).to.equal("DEPLOY_CHAIN_CHANGED");
    const again = await run({ isReset: true, parameters: changed });
    expect(again.deployedAtBlock).to.equal(3);
    expect(again.contracts).to.deep.equal(first.contracts);
  });
});
