import { expect } from "chai";
import {
  bytesToHex,
  encodeFunctionData,
  getAddress,
  keccak256,
  numberToHex,
  toHex,
  zeroHash,
  type Address,
  type Hex,
} from "viem";
import {
  compactSignature,
  evidenceOf,
  reportCommitmentOf,
  signLogHeader,
  type LogHeader,
  type Signer,
} from "#protocol";
import { createSettlement, signerAt, UNBONDING_DELAY, type Agent } from "../settlement/fixture.ts";

const s = await createSettlement();
const { vault, token, registry, provider, stranger, networkHelpers, viem } = s;
const PENALTY = 1_000n;
const SEVEN_DAYS = 7 * 86_400;
const BURN: Address = "0x000000000000000000000000000000000000dEaD";
const SALT = numberToHex(9, { size: 32 });
const contracts = {
  chainId: s.contracts.chainId,
  identityRegistry: registry.address,
  dealEscrow: s.contracts.dealEscrow,
};
const evidence = await viem.deployContract("LogEvidence", [registry.address]);
const slasher = await viem.deployContract("EvidenceSlasher", [vault.address, evidence.address, PENALTY]);
const otherModule = signerAt(11).address;
await vault.write.setModules([[slasher.address, otherModule]]);
await s.endow(provider.account);
const byOwner = { account: provider.account };

let keyIndex = 20;
/** A fresh agent of one account, with a LOG key of its own, and stake. */
async function stakedAgent(stake = 5_000n): Promise<Agent> {
  const account = signerAt(6).address;
  const agentId = (await registry.simulate.register([""], { account })).result;
  await registry.write.register([""], { account });
  const agent = { agentId, account, signer: signerAt(6) };
  const signer = await s.bindLogSigner(agent, keyIndex++);
  await vault.write.stake([Number(agentId), stake], byOwner);
  return { ...agent, signer };
}

async function headerAt(signer: Signer, seq: number, body: string): Promise<LogHeader> {
  return {
    ...{
      version: 1,
      kind: 1,
      log: signer.address,
      seq,
      prev: keccak256("0x02"),
      bodyHash: keccak256(toHex(body)),
      bodyLength: 4,
    },
    ...{ timeMs: (await networkHelpers.time.latest()) * 1_000, ttl: 60, tags: 0n, sketch: zeroHash },
  };
}

function signHeader(header: LogHeader, signer: Signer) {
  return evidenceOf(signLogHeader(header, signer, contracts));
}

/** Two headers of one seq, by the agent's key. */
async function forkOf({ signer }: Agent, seq = 7) {
  const [a, b] = [await headerAt(signer, seq, "this"), await headerAt(signer, seq, "that")];
  return [signHeader(a, signer), signHeader(b, signer)] as const;
}

type SlasherError = Parameters<typeof viem.assertions.revertWithCustomError<typeof slasher>>[2];
const refuses = (call: Promise<Hex>, name: SlasherError) => viem.assertions.revertWithCustomError(call, slasher, name);
const stakeOf = async ({ agentId }: Agent) => (await vault.read.stakeOf([Number(agentId)]))[0];

describe("EvidenceSlasher.reportEquivocation", () => {
  it("takes the penalty by two headers in one transaction, and pays half to who reserved it", async () => {
    const agent = await stakedAgent();
    const reporter = signerAt(15).address;
    const call = encodeFunctionData({
      abi: slasher.abi,
      functionName: "reportEquivocation",
      args: await forkOf(agent),
    });
    const commitment = reportCommitmentOf({ reporter, module: slasher.address, call, salt: SALT });
    await vault.write.reserve([commitment], { account: reporter });
    const burned = await token.read.balanceOf([BURN]);
    const hash = await vault.write.report([slasher.address, call, SALT], { account: reporter });
    const [punished] = await slasher.getEvents.Punished();
    expect(punished?.args).to.deep.include({
      agentId: agent.agentId,
      reporter: getAddress(reporter),
      taken: PENALTY,
      takenInAll: PENALTY,
    });
    expect(await stakeOf(agent)).to.equal(4_000n);
    expect(await token.read.balanceOf([reporter])).to.equal(PENALTY / 2n);
    expect((await token.read.balanceOf([BURN])) - burned).to.equal(PENALTY / 2n);
    const { gasUsed } = await s.publicClient.getTransactionReceipt({ hash });
    console.log(`      gas of a reserved report of a fork, default profile: ${gasUsed}`);
  });

  it("burns all of it where it was sent without a reservation", async () => {
    const agent = await stakedAgent();
    const burned = await token.read.balanceOf([BURN]);
    const hash = await slasher.write.reportEquivocation(await forkOf(agent), { account: stranger.address });
    expect((await token.read.balanceOf([BURN])) - burned).to.equal(PENALTY);
    const { gasUsed } = await s.publicClient.getTransactionReceipt({ hash });
    console.log(`      gas of a direct report of a fork, default profile: ${gasUsed}`);
  });

  it("punishes a fork once, by whatever pair of headers, in either order", async () => {
    const agent = await stakedAgent();
    const [a, b] = await forkOf(agent);
    await slasher.write.reportEquivocation([a, b]);
    await refuses(slasher.write.reportEquivocation([b, a]), "EvidenceSlasherPaid");
    const c = signHeader(await headerAt(agent.signer, 7, "a third"), agent.signer);
    await refuses(slasher.write.reportEquivocation([a, c]), "EvidenceSlasherPaid");
    // Another fork of the same log is another offence.
    await slasher.write.reportEquivocation([...(await forkOf(agent, 8))]);
    expect(await stakeOf(agent)).to.equal(3_000n);
  });

  it("takes what is out of reach later: who reports itself while it is poor gains nothing", async () => {
    const agent = await stakedAgent(1_200n);
    const id = Number(agent.agentId);
    await vault.write.lock([id, 900n], { account: otherModule });
    const fork = await forkOf(agent);
    await slasher.write.reportEquivocation([...fork], { account: agent.account });
    expect(await stakeOf(agent)).to.equal(900n);
    await viem.assertions.revertWithCustomErrorWithArgs(
      slasher.write.reportEquivocation([...fork]),
      vault,
      "StakeVaultNothingToTake",
      [id],
    );
    await vault.write.unlock([id, 900n], { account: otherModule });
    await slasher.write.reportEquivocation([...fork]);
    expect(await stakeOf(agent)).to.equal(200n);
    await refuses(slasher.write.reportEquivocation([...fork]), "EvidenceSlasherPaid");
  });

  it("reaches stake that flees: it unbonds, and is taken until it has left", async () => {
    const agent = await stakedAgent();
    const id = Number(agent.agentId);
    const fork = await forkOf(agent);
    await vault.write.startUnbonding([id, 5_000n], { account: agent.account });
    await networkHelpers.time.increase(UNBONDING_DELAY - 60);
    await slasher.write.reportEquivocation([...fork]);
    expect((await vault.read.stakeOf([id]))[2]).to.equal(4_000n);
  });

  it("is not undone by a revocation that is dated back, and reaches back no further than the evidence period", async () => {
    const agent = await stakedAgent();
    const compromisedAt = await networkHelpers.time.latest();
    await networkHelpers.time.increase(60);
    const fork = await forkOf(agent);
    await networkHelpers.time.increase(60);
    await registry.write.revokeSigner([agent.agentId, agent.signer.signerHash, compromisedAt], {
      account: agent.account,
    });
    const period = await evidence.read.evidencePeriod();
    expect(period).to.be.at.least(SEVEN_DAYS);
    await networkHelpers.time.increase(period - 60);
    await slasher.write.reportEquivocation([...fork]);
    expect(await stakeOf(agent)).to.equal(4_000n);
    const another = await stakedAgent();
    const old = await forkOf(another);
    await networkHelpers.time.increase(60);
    await registry.write.revokeSigner([another.agentId, another.signer.signerHash, 0], { account: another.account });
    await networkHelpers.time.increase(period + 60);
    await viem.assertions.revertWithCustomError(
      slasher.write.reportEquivocation([...old]),
      evidence,
      "LogEvidenceTooLate",
    );
  });

  it("reverts on a false report: it costs its gas, and the accused nothing", async () => {
    const agent = await stakedAgent();
    const [a, b] = await forkOf(agent);
    const other = signHeader(await headerAt(agent.signer, 8, "that"), agent.signer);
    const signature = bytesToHex(compactSignature(signerAt(19).sign(keccak256("0x01"))));
    const forged = evidenceOf({ header: b.header, signature });
    for (const [pair, name] of [
      [[a, a], "LogEvidenceSameHeader"],
      [[a, other], "LogEvidenceOtherEntry"],
      [[a, forged], "LogEvidenceBadSignature"],
    ] as const) {
      await viem.assertions.revertWithCustomError(slasher.write.reportEquivocation([...pair]), evidence, name);
    }
    expect(await stakeOf(agent)).to.equal(5_000n);
  });

  it("is not deployed without a penalty", async () => {
    await refuses(
      viem.deployContract("EvidenceSlasher", [vault.address, evidence.address, 0n]) as unknown as Promise<Hex>,
      "EvidenceSlasherZeroPenalty",
    );
  });
});
