import { expect } from "chai";
import {
  getAddress,
  keccak256,
  toHex,
  zeroAddress,
  zeroHash,
  type Address,
  type ContractErrorName,
  type Hex,
} from "viem";
import { type jobEscrowAbi } from "#protocol";
import { createSettlement, signerAt } from "./fixture.ts";

const s = await createSettlement();
const { networkHelpers, token } = s;
const escrow = await s.viem.deployContract("JobEscrow", [token.address]);
const [client, provider, evaluator, stranger] = [3, 4, 5, 6].map((i) => signerAt(i).address) as [
  Address,
  Address,
  Address,
  Address,
];
const BUDGET = 5_000_000n;
const WORK = keccak256(toHex("work"));
const REASON = keccak256(toHex("reason"));
const DAY = 86_400;
await token.write.mint([client, 10n ** 12n]);
await token.write.approve([escrow.address, 10n ** 12n], { account: client });

const statuses = ["Open", "Funded", "Submitted", "Completed", "Rejected", "Expired"] as const;
const statusOf = async (id: bigint) => statuses[(await escrow.read.getJob([id])).status];
const balanceOf = (account: Address) => token.read.balanceOf([account]);
const refuses = async (call: Promise<Hex>, name: ContractErrorName<typeof jobEscrowAbi>, args: unknown[]) => {
  await s.viem.assertions.revertWithCustomErrorWithArgs(call, escrow, name, args as never);
  await networkHelpers.mine();
};

async function createJob(by: Address = provider, judge: Address = evaluator, seconds = DAY) {
  const expiredAt = BigInt((await networkHelpers.time.latest()) + seconds);
  const terms = [by, judge, expiredAt, "Translate the page", zeroAddress] as const;
  const id = await escrow.read.nextJobId([client, by, judge, expiredAt, "Translate the page"]);
  await escrow.write.createJob(terms, { account: client });
  return { id, expiredAt };
}
async function fundedJob() {
  const job = await createJob();
  await escrow.write.setBudget([job.id, BUDGET, "0x"], { account: provider });
  await escrow.write.fund([job.id, BUDGET, "0x"], { account: client });
  return job;
}
async function submittedJob() {
  const job = await fundedJob();
  await escrow.write.submit([job.id, WORK, "0x"], { account: provider });
  return job;
}

describe("JobEscrow: ERC-8183", () => {
  it("goes from an open job to a paid one by the calls in use, and emits their events", async () => {
    const { id, expiredAt } = await createJob(zeroAddress);
    await s.viem.assertions.emitWithArgs(
      escrow.write.setProvider([id, provider], { account: client }),
      escrow,
      "ProviderSet",
      [id, provider],
    );
    await s.viem.assertions.emitWithArgs(
      escrow.write.setBudget([id, BUDGET, "0x"], { account: provider }),
      escrow,
      "BudgetSet",
      [id, BUDGET],
    );
    await s.viem.assertions.emitWithArgs(
      escrow.write.fund([id, BUDGET, "0x"], { account: client }),
      escrow,
      "JobFunded",
      [id, client, BUDGET],
    );
    expect(await balanceOf(escrow.address)).to.equal(BUDGET);
    await s.viem.assertions.emitWithArgs(
      escrow.write.submit([id, WORK, "0x"], { account: provider }),
      escrow,
      "JobSubmitted",
      [id, provider, WORK],
    );
    const before = await balanceOf(provider);
    const paid = escrow.write.complete([id, REASON, "0x"], { account: evaluator });
    await s.viem.assertions.emitWithArgs(paid, escrow, "JobCompleted", [id, evaluator, REASON]);
    expect((await balanceOf(provider)) - before).to.equal(BUDGET);
    const job = await escrow.read.getJob([id]);
    expect(job).to.deep.include({ id, description: "Translate the page", budget: BUDGET, expiredAt, status: 3 });
    expect((await escrow.read.paymentToken()).toLowerCase()).to.equal(token.address);
  });

  it("refuses bad terms by name", async () => {
    const now = await networkHelpers.time.latest();
    const far = BigInt(now + DAY);
    const create = (by: Address, judge: Address, expiredAt: bigint, hook: Address = zeroAddress) =>
      escrow.write.createJob([by, judge, expiredAt, "", hook], { account: client });
    await refuses(create(provider, zeroAddress, far), "JobEscrowZeroEvaluator", []);
    await refuses(create(provider, provider, far), "JobEscrowProviderIsEvaluator", [provider]);
    await refuses(create(provider, evaluator, far, token.address), "JobEscrowHookUnsupported", [
      getAddress(token.address),
    ]);
    await s.viem.assertions.revertWithCustomError(
      create(provider, evaluator, BigInt(now + 300)),
      escrow,
      "JobEscrowBadExpiry",
    );
    await s.viem.assertions.revertWithCustomError(
      create(provider, evaluator, BigInt(now + 367 * DAY)),
      escrow,
      "JobEscrowBadExpiry",
    );
    const { id } = await createJob();
    await refuses(escrow.write.setProvider([id, stranger], { account: client }), "JobEscrowProviderTaken", [
      id,
      provider,
    ]);
    await refuses(escrow.write.setBudget([id, 1n << 96n, "0x"], { account: client }), "JobEscrowBudgetTooLarge", [
      1n << 96n,
      (1n << 96n) - 1n,
    ]);
    await refuses(escrow.write.fund([id, 0n, "0x"], { account: client }), "JobEscrowZeroBudget", [id]);
    await refuses(escrow.write.fund([7n, 0n, "0x"], { account: client }), "JobEscrowUnknown", [7n]);
  });

  it("lets nobody but the named role act", async () => {
    const { id } = await createJob();
    const denied = (call: Promise<Hex>, caller: Address) => refuses(call, "JobEscrowUnauthorized", [id, caller]);
    await denied(escrow.write.setBudget([id, 1n, "0x"], { account: stranger }), stranger);
    await denied(escrow.write.setBudget([id, 1n, "0x"], { account: evaluator }), evaluator);
    await denied(escrow.write.reject([id, REASON, "0x"], { account: evaluator }), evaluator);
    await escrow.write.setBudget([id, BUDGET, "0x"], { account: client });
    await denied(escrow.write.fund([id, BUDGET, "0x"], { account: provider }), provider);
    await escrow.write.fund([id, BUDGET, "0x"], { account: client });
    await denied(escrow.write.submit([id, WORK, "0x"], { account: client }), client);
    await denied(escrow.write.reject([id, REASON, "0x"], { account: client }), client);
    await escrow.write.submit([id, WORK, "0x"], { account: provider });
    for (const account of [client, provider, stranger]) {
      await denied(escrow.write.complete([id, REASON, "0x"], { account }), account);
      await denied(escrow.write.reject([id, REASON, "0x"], { account }), account);
    }
    await escrow.write.reject([id, REASON, "0x"], { account: evaluator });
    expect(await statusOf(id)).to.equal("Rejected");
    await refuses(escrow.write.complete([id, REASON, "0x"], { account: evaluator }), "JobEscrowWrongStatus", [
      id,
      4,
      2,
    ]);
  });

  it("refunds a funded job at expiredAt, by anyone and not a second before; delivery ends there", async () => {
    const { id, expiredAt } = await fundedJob();
    await s.atSecond(Number(expiredAt) - 1);
    await refuses(escrow.write.claimRefund([id], { account: stranger }), "JobEscrowTooEarly", [
      id,
      expiredAt,
      expiredAt - 1n,
    ]);
    await s.atSecond(Number(expiredAt));
    await refuses(escrow.write.submit([id, WORK, "0x"], { account: provider }), "JobEscrowTooLate", [
      id,
      expiredAt,
      expiredAt,
    ]);
    const before = await balanceOf(client);
    await escrow.write.claimRefund([id], { account: stranger });
    expect((await balanceOf(client)) - before).to.equal(BUDGET);
    expect(await statusOf(id)).to.equal("Expired");
  });

  it("binds an id to chain, escrow, client, its count and every term", async () => {
    const expiredAt = BigInt((await networkHelpers.time.latest()) + DAY);
    const next = (by: Address, of: Address = provider, text = "a") =>
      escrow.read.nextJobId([by, of, evaluator, expiredAt, text]);
    const first = await next(client);
    const other = await s.viem.deployContract("JobEscrow", [token.address]);
    const elsewhere = await other.read.nextJobId([client, provider, evaluator, expiredAt, "a"]);
    const all = [
      first,
      await next(stranger),
      await next(client, stranger),
      await next(client, provider, "b"),
      elsewhere,
    ];
    expect(new Set(all).size).to.equal(5);
    await escrow.write.createJob([provider, evaluator, expiredAt, "a", zeroAddress], { account: client });
    expect(await next(client)).to.not.equal(first);
  });

  it("credits who cannot be paid, and lets it pull", async () => {
    const hostile = await s.viem.deployContract("HostileToken");
    const its = await s.viem.deployContract("JobEscrow", [hostile.address]);
    await hostile.write.mint([client, BUDGET]);
    await hostile.write.approve([its.address, BUDGET], { account: client });
    const expiredAt = BigInt((await networkHelpers.time.latest()) + DAY);
    const id = await its.read.nextJobId([client, provider, evaluator, expiredAt, ""]);
    await its.write.createJob([provider, evaluator, expiredAt, "", zeroAddress], { account: client });
    await its.write.setBudget([id, BUDGET, "0x"], { account: provider });
    await its.write.fund([id, BUDGET, "0x"], { account: client });
    await its.write.submit([id, WORK, "0x"], { account: provider });
    await hostile.write.setBlocked([provider, true]);
    await its.write.complete([id, zeroHash, "0x"], { account: evaluator });
    expect(await its.read.creditOf([hostile.address, provider])).to.equal(BUDGET);
    expect(await its.read.creditOf([token.address, provider])).to.equal(0n);
    await hostile.write.setBlocked([provider, false]);
    await its.write.withdrawCredit([hostile.address, stranger], { account: provider });
    expect(await hostile.read.balanceOf([stranger])).to.equal(BUDGET);
    await s.viem.assertions.revertWithCustomErrorWithArgs(
      its.write.withdrawCredit([hostile.address, stranger], { account: provider }),
      its,
      "CreditsNone",
      [hostile.address, provider] as never,
    );
  });

  it("pays the provider of a silent evaluator, at reviewUntil and not a second before", async () => {
    const { id } = await submittedJob();
    const reviewUntil = await escrow.read.reviewUntilOf([id]);
    await s.atSecond(Number(reviewUntil) - 1);
    await refuses(escrow.write.release([id], { account: stranger }), "JobEscrowTooEarly", [
      id,
      reviewUntil,
      reviewUntil - 1n,
    ]);
    const before = await balanceOf(provider);
    await s.atSecond(Number(reviewUntil));
    await escrow.write.release([id], { account: stranger });
    expect((await balanceOf(provider)) - before).to.equal(BUDGET);
    expect(await statusOf(id)).to.equal("Completed");
  });
});

describe("JobEscrow, step by step", () => {
  const byStep = { client: { account: client }, provider: { account: provider } } as const;

  it("is built on a contract, and names who may say who works", async () => {
    await s.viem.assertions.revertWithCustomError(
      s.viem.deployContract("JobEscrow", [stranger]),
      escrow,
      "JobEscrowBadToken",
    );
    const { id } = await createJob(zeroAddress);
    const set = (by: Address, account: Address) => escrow.write.setProvider([id, by], { account });
    await refuses(set(provider, stranger), "JobEscrowUnauthorized", [id, stranger]);
    await refuses(set(zeroAddress, client), "JobEscrowZeroProvider", [id]);
    await refuses(set(evaluator, client), "JobEscrowProviderIsEvaluator", [evaluator]);
    await escrow.write.setBudget([id, BUDGET, "0x"], byStep.client);
    await refuses(escrow.write.fund([id, BUDGET, "0x"], byStep.client), "JobEscrowZeroProvider", [id]);
  });

  it("takes no money for a job that has expired, and no empty delivery", async () => {
    const { id, expiredAt } = await createJob();
    await escrow.write.setBudget([id, BUDGET, "0x"], byStep.provider);
    const funded = await fundedJob();
    await refuses(escrow.write.submit([funded.id, zeroHash, "0x"], byStep.provider), "JobEscrowZeroDeliverable", [
      funded.id,
    ]);
    await s.atSecond(Number(expiredAt));
    await refuses(escrow.write.fund([id, BUDGET, "0x"], byStep.client), "JobEscrowTooLate", [id, expiredAt, expiredAt]);
  });
});
