// Each known failure of escrows for agents, played as an attack that has to fail on ours. Where it is a flaw of a job board, the
// same attack first succeeds on contracts/mocks/FlawedJobs.sol: an attack that works nowhere would prove nothing.
import { expect } from "chai";
import { encodeFunctionData, keccak256, toHex, zeroAddress, zeroHash, type Address, type Hex } from "viem";
import { dealDigestOf, dealIdOf, structHash, typedDataDigest, type Tab, type Voucher } from "#protocol";
import { createSettlement, DELIVERABLE, PRICE, signerAt, TOPIC } from "./fixture.ts";

const s = await createSettlement();
const { client, provider, stranger, escrow, tabs, token, networkHelpers, contracts } = s;
const [byClient, byProvider, byStranger] = [client.account, provider.account, stranger.address].map((account) => ({
  account,
})) as [{ account: Address }, { account: Address }, { account: Address }];
const evaluator = signerAt(5).address;
const DAY = 86_400;
const WORK = keccak256(toHex("work"));
const jobs = await s.viem.deployContract("JobEscrow", [token.address]);
const flawed = await s.viem.deployContract("FlawedJobs");
await token.write.mint([evaluator, PRICE]);
for (const account of [client.account, stranger.address]) {
  for (const spender of [jobs.address, flawed.address]) await token.write.approve([spender, 10n ** 15n], { account });
}
const balanceOf = (account: Address) => token.read.balanceOf([account]);
const later = async (seconds: number) => (await networkHelpers.time.latest()) + seconds;
const refuses = (call: Promise<unknown>, by: { address: Address; abi: unknown }, name: string) =>
  s.viem.assertions.revertWithCustomError(call as Promise<Hex>, by as never, name as never);

async function createJob(account: Address, by: Address = provider.account, seconds = DAY) {
  const expiredAt = BigInt(await later(seconds));
  const id = await jobs.read.nextJobId([account, by, evaluator, expiredAt, ""]);
  await jobs.write.createJob([by, evaluator, expiredAt, "", zeroAddress], { account });
  return { id, expiredAt };
}
async function fundedJob(account: Address = client.account, seconds = DAY) {
  const job = await createJob(account, provider.account, seconds);
  await jobs.write.setBudget([job.id, PRICE, "0x"], { account });
  await jobs.write.fund([job.id, PRICE, "0x"], { account });
  return job;
}
async function flawedJob(account: Address) {
  const expiredAt = BigInt(await later(DAY));
  await flawed.write.createJob([provider.account, evaluator, expiredAt], { account });
  const id = await flawed.read.jobCount();
  await flawed.write.setBudget([id, token.address, PRICE], { account });
  return { id, expiredAt };
}

let salt = 0n;
async function draftTab(terms: Partial<Tab> = {}): Promise<Tab> {
  return {
    ...{ clientAgentId: client.agentId, providerAgentId: provider.agentId, topic: TOPIC, token: token.address },
    ...{ mechanismHash: zeroHash, signerHash: client.signer.signerHash, expiry: await later(10 * DAY) },
    ...{ challengePeriod: 3_600, salt: ++salt, ...terms },
  };
}
const voucherOf = (tab: Tab, seq: bigint, paid: bigint): Voucher => ({
  ...{ tabId: structHash("Tab", tab), seq, paid, satisfied: 0, unsatisfied: 0 },
});
const claim = (tab: Tab, voucher: Voucher, on = tabs, signedFor = contracts) =>
  on.write.claim(
    [tab, voucher, client.signer.address, client.signer.sign(typedDataDigest("Voucher", voucher, signedFor)), false],
    byProvider,
  );

describe("known failure: an unfunded job that expires", () => {
  it("drains the other clients of a board that takes a budget for money", async () => {
    const victim = await flawedJob(client.account);
    await flawed.write.fund([victim.id, PRICE], byClient);
    const attack = await flawedJob(stranger.address);
    await networkHelpers.time.increaseTo(attack.expiredAt);
    const before = await balanceOf(stranger.address);
    await flawed.write.claimRefund([attack.id], byStranger);
    expect((await balanceOf(stranger.address)) - before).to.equal(PRICE);
    expect(await balanceOf(flawed.address)).to.equal(0n);
  });

  it("gets nothing of ours: a job ends, a deal and a tab do not exist", async () => {
    await fundedJob();
    const { id, expiredAt } = await createJob(stranger.address);
    await jobs.write.setBudget([id, PRICE, "0x"], byStranger);
    await s.openDeal();
    const deal = await s.draftDeal(client, provider);
    const held = [await balanceOf(jobs.address), await balanceOf(escrow.address), await balanceOf(stranger.address)];
    await networkHelpers.time.increaseTo(Math.max(Number(expiredAt), deal.submitBy + 1));
    await jobs.write.claimRefund([id], byStranger);
    await refuses(jobs.write.claimRefund([id], byStranger), jobs, "JobEscrowWrongStatus");
    await refuses(escrow.write.refund([deal], byClient), escrow, "DealEscrowWrongState");
    await refuses(tabs.write.close([await draftTab()], byClient), tabs, "TabEscrowWrongState");
    const after = [await balanceOf(jobs.address), await balanceOf(escrow.address), await balanceOf(stranger.address)];
    expect(after).to.deep.equal(held);
  });
});

describe("known failure: the token switched between the client's reading and its funding", () => {
  it("makes the client of a board pay in what it did not read", async () => {
    const dear = await s.viem.deployContract("TestToken");
    await dear.write.mint([client.account, PRICE]);
    await dear.write.approve([flawed.address, PRICE], byClient);
    const { id } = await flawedJob(client.account);
    await flawed.write.setBudget([id, dear.address, PRICE], byProvider);
    await flawed.write.fund([id, PRICE], byClient);
    expect(await dear.read.balanceOf([flawed.address])).to.equal(PRICE);
  });

  it("has no way in: a job's token is the contract's, a deal's is signed", async () => {
    const { id } = await createJob(client.account);
    await jobs.write.setBudget([id, PRICE, "0x"], byClient);
    const switching = encodeFunctionData({
      abi: flawed.abi,
      functionName: "setBudget",
      args: [id, flawed.address, PRICE],
    });
    const wallet = await s.viem.getWalletClient(provider.account);
    expect(await wallet.sendTransaction({ to: jobs.address, data: switching }).catch(() => "refused")).to.equal(
      "refused",
    );
    await jobs.write.setBudget([id, PRICE + 1n, "0x"], byProvider);
    await refuses(jobs.write.fund([id, PRICE, "0x"], byClient), jobs, "JobEscrowBudgetMismatch");
    const other = await s.viem.deployContract("TestToken");
    const deal = await s.draftDeal(client, provider);
    const consents = s.sign(deal, client, provider);
    await refuses(
      escrow.write.open([{ ...deal, token: other.address }, ...consents], byClient),
      escrow,
      "DealEscrowBadSignature",
    );
  });
});

describe("known failure: a recipient's token hook that reverts", () => {
  it("blocks no ruling: the recipient is credited, whoever it is", async () => {
    const hostile = await s.viem.deployContract("HostileToken");
    const its = await s.viem.deployContract("JobEscrow", [hostile.address]);
    await hostile.write.mint([client.account, 4n * PRICE]);
    for (const spender of [its.address, escrow.address]) await hostile.write.approve([spender, 4n * PRICE], byClient);
    const run = async (): Promise<bigint> => {
      const expiredAt = BigInt(await later(DAY));
      const id = await its.read.nextJobId([client.account, provider.account, evaluator, expiredAt, ""]);
      await its.write.createJob([provider.account, evaluator, expiredAt, "", zeroAddress], byClient);
      await its.write.setBudget([id, PRICE, "0x"], byClient);
      await its.write.fund([id, PRICE, "0x"], byClient);
      await its.write.submit([id, WORK, "0x"], byProvider);
      return id;
    };
    const [paid, refunded] = [await run(), await run()];
    const arbiter = signerAt(6).address;
    const submitBy = await later(DAY);
    const terms = { token: hostile.address, submitBy, arbiter, arbiterDeadline: submitBy + 3_600 + 2 * DAY };
    const deal = await s.draftDeal(client, provider, terms);
    await escrow.write.open([deal, ...s.sign(deal, client, provider)], byClient);
    await escrow.write.submit([deal, DELIVERABLE], byProvider);
    await s.disputes.write.dispute([deal, zeroHash], byClient);
    // The hook of an account without code cannot be called: every payment to it reverts.
    for (const account of [client.account, provider.account]) await hostile.write.setHooks([account, true]);
    await its.write.complete([paid, zeroHash, "0x"], { account: evaluator });
    await its.write.reject([refunded, zeroHash, "0x"], { account: evaluator });
    expect(await its.read.creditOf([hostile.address, provider.account])).to.equal(PRICE);
    expect(await its.read.creditOf([hostile.address, client.account])).to.equal(PRICE);
    await s.disputes.write.ruleAsArbiter([deal, 2n], { account: arbiter });
    expect(await s.stateOf(dealIdOf(deal))).to.equal("Resolved");
    expect(await escrow.read.creditOf([hostile.address, provider.account])).to.equal(PRICE);
  });
});

describe("known failure: re-entry", () => {
  it("from a token's hooks pays a job once, and no funding counts money twice", async () => {
    const hostile = await s.viem.deployContract("HostileToken");
    const its = await s.viem.deployContract("JobEscrow", [hostile.address]);
    const wallet = await s.viem.deployContract("ReentrantWallet", [signerAt(7).address]);
    await hostile.write.mint([wallet.address, 10n * PRICE]);
    await hostile.write.mint([its.address, 3n * PRICE]);
    const call = (functionName: string, args: readonly unknown[]): Hex =>
      encodeFunctionData({ abi: its.abi, functionName, args } as never);
    const asWallet = (input: Hex, target: Address = its.address) => wallet.write.execute([target, input]);
    await asWallet(
      encodeFunctionData({ abi: hostile.abi, functionName: "approve", args: [its.address, 10n * PRICE] }),
      hostile.address,
    );
    const make = async () => {
      const expiredAt = BigInt(await later(DAY));
      const id = await its.read.nextJobId([wallet.address, wallet.address, evaluator, expiredAt, ""]);
      await asWallet(call("createJob", [wallet.address, evaluator, expiredAt, "", zeroAddress]));
      await asWallet(call("setBudget", [id, PRICE, "0x"]));
      return id;
    };
    const [first, second] = [await make(), await make()];
    await hostile.write.setHooks([wallet.address, true]);
    const again = { target: its.address, input: call("fund", [second, PRICE, "0x"]) };
    await wallet.write.setPlan([[again], false, false]);
    await asWallet(call("fund", [first, PRICE, "0x"]));
    expect([await wallet.read.attemptCount(), await wallet.read.successCount()]).to.deep.equal([1n, 0n]);
    await asWallet(call("submit", [first, WORK, "0x"]));
    const plans = ["complete", "reject"].map((name) => ({
      target: its.address,
      input: call(name, [first, zeroHash, "0x"]),
    }));
    const more = [
      { target: its.address, input: call("release", [first]) },
      { target: its.address, input: call("claimRefund", [first]) },
      { target: its.address, input: call("withdrawCredit", [hostile.address, wallet.address]) },
    ];
    await wallet.write.setPlan([[...plans, ...more], false, false]);
    const before = await hostile.read.balanceOf([wallet.address]);
    await its.write.complete([first, zeroHash, "0x"], { account: evaluator });
    expect([await wallet.read.attemptCount(), await wallet.read.successCount()]).to.deep.equal([5n, 0n]);
    expect((await hostile.read.balanceOf([wallet.address])) - before).to.equal(PRICE);
    expect(await hostile.read.balanceOf([its.address])).to.equal(3n * PRICE);
  });
});

describe("known failure: a signature replayed", () => {
  it("counts on no other chain, fork or escrow, and never after a cancel", async () => {
    const deal = await s.draftDeal(client, provider);
    const other = await s.createOtherEscrow();
    await token.write.approve([other.address, PRICE], byClient);
    for (const elsewhere of [
      { ...contracts, chainId: 1 },
      { ...contracts, dealEscrow: other.address },
    ]) {
      const digest = dealDigestOf(deal, elsewhere);
      const consents = [s.consent(client.signer, digest), s.consent(provider.signer, digest)] as const;
      await refuses(escrow.write.open([deal, ...consents], byStranger), escrow, "DealEscrowBadSignature");
    }
    const consents = s.sign(deal, client, provider);
    await refuses(other.write.open([deal, ...consents], byStranger), other, "DealEscrowBadSignature");
    await escrow.write.cancel([deal, ...s.signCancel(deal, client, provider)], byStranger);
    await refuses(escrow.write.open([deal, ...consents], byClient), escrow, "DealEscrowWrongState");
  });

  it("nor does a voucher: not twice, not on another tab, not in another contract", async () => {
    const [one, two] = [await draftTab(), await draftTab()];
    for (const tab of [one, two]) await tabs.write.open([tab, PRICE], byClient);
    const voucher = voucherOf(one, 1n, 10n);
    await refuses(claim(one, voucher, tabs, { ...contracts, chainId: 1 }), tabs, "TabEscrowBadVoucherSignature");
    await claim(one, voucher);
    await refuses(claim(one, voucher), tabs, "TabEscrowStaleVoucher");
    await refuses(claim(two, voucher), tabs, "TabEscrowForeignVoucher");
  });
});

describe("known failure: a reorg after the delivery", () => {
  it("gives the deliverer the same deal again, or none: the id is the terms", async () => {
    const before = await networkHelpers.takeSnapshot();
    const deal = await s.draftDeal(client, provider);
    const consents = s.sign(deal, client, provider);
    await escrow.write.open([deal, ...consents], byClient);
    await escrow.write.submit([deal, DELIVERABLE], byProvider);
    await before.restore();
    // The client of the new branch would rather pay less for what it holds already: nothing that was signed allows it.
    await refuses(escrow.write.open([{ ...deal, price: 1n }, ...consents], byClient), escrow, "DealEscrowBadSignature");
    await refuses(escrow.write.submit([deal, DELIVERABLE], byProvider), escrow, "DealEscrowWrongState");
    // Anyone brings the old branch's opening again, and the delivery counts as before.
    await escrow.write.open([deal, ...consents], byStranger);
    await escrow.write.submit([deal, DELIVERABLE], byProvider);
    expect(await s.stateOf(dealIdOf(deal))).to.equal("Submitted");
  });

  it("never funds another job under the id that the client read", async () => {
    const before = await networkHelpers.takeSnapshot();
    const mine = await createJob(client.account);
    await before.restore();
    // On the new branch the client's jobs come in another order.
    await createJob(client.account, stranger.address);
    await refuses(jobs.write.fund([mine.id, PRICE, "0x"], byClient), jobs, "JobEscrowUnknown");
  });
});

describe("known failure: silence as the best answer", () => {
  it("repays the silent side of a board, and keeps the work", async () => {
    const { id, expiredAt } = await flawedJob(client.account);
    await flawed.write.fund([id, PRICE], byClient);
    await flawed.write.submit([id], byProvider);
    await networkHelpers.time.increaseTo(expiredAt);
    const before = await balanceOf(client.account);
    await flawed.write.claimRefund([id], byClient);
    expect((await balanceOf(client.account)) - before).to.equal(PRICE);
  });

  it("pays the provider of ours, for a job and for a deal", async () => {
    const { id } = await fundedJob();
    await jobs.write.submit([id, WORK, "0x"], byProvider);
    const { deal } = await s.submitDeal();
    const before = await balanceOf(provider.account);
    await networkHelpers.time.increase(2 * DAY);
    await refuses(jobs.write.claimRefund([id], byClient), jobs, "JobEscrowWrongStatus");
    await jobs.write.release([id], byStranger);
    await escrow.write.release([deal], byStranger);
    expect((await balanceOf(provider.account)) - before).to.equal(2n * PRICE);
  });
});

describe("known failure: a channel locked for ever", () => {
  it("opens again: the client closes alone after the challenge, anyone after expiry, whatever the provider does", async () => {
    const [closing, expiring] = [await draftTab(), await draftTab({ expiry: await later(2 * DAY) })];
    for (const tab of [closing, expiring]) await tabs.write.open([tab, PRICE], byClient);
    const before = await balanceOf(client.account);
    await refuses(tabs.write.close([closing], byClient), tabs, "TabEscrowTooEarly");
    await tabs.write.startClose([closing], byClient);
    await refuses(tabs.write.close([closing], byStranger), tabs, "TabEscrowTooEarly");
    await networkHelpers.time.increase(3_601);
    await tabs.write.close([closing], byStranger);
    await networkHelpers.time.increaseTo(expiring.expiry + 1);
    await tabs.write.close([expiring], byStranger);
    expect((await balanceOf(client.account)) - before).to.equal(2n * PRICE);
  });

  it("and the provider still claims in the challenge what it is owed", async () => {
    const tab = await draftTab();
    await tabs.write.open([tab, PRICE], byClient);
    await tabs.write.startClose([tab], byClient);
    const before = await balanceOf(provider.account);
    await claim(tab, voucherOf(tab, 3n, 400n));
    expect((await balanceOf(provider.account)) - before).to.equal(400n);
  });
});

describe("known failure: a nonce keyed by the wrong party", () => {
  it("is spent by its payer alone: a stranger who spends the same number stops nobody", async () => {
    const deal = await s.draftDeal(client, provider);
    await s.cancelAuthorization(deal, stranger);
    const consents = s.sign(deal, client, provider);
    await escrow.write.openWithAuthorization([deal, ...consents, s.authorize(deal, client.signer)], byStranger);
    expect(await s.stateOf(dealIdOf(deal))).to.equal("Funded");
  });

  it("counts a client's jobs by client, and a tab's vouchers by tab", async () => {
    const expiredAt = BigInt(await later(DAY));
    const next = () => jobs.read.nextJobId([client.account, provider.account, evaluator, expiredAt, ""]);
    const id = await next();
    await jobs.write.createJob([provider.account, evaluator, expiredAt, "", zeroAddress], byStranger);
    expect(await next()).to.equal(id);
    const [one, two] = [await draftTab(), await draftTab()];
    for (const tab of [one, two]) await tabs.write.open([tab, PRICE], byClient);
    await claim(one, voucherOf(one, 50n, 10n));
    await claim(two, voucherOf(two, 1n, 10n));
  });
});

describe("known failure: a fee on transfer that nobody counted", () => {
  it("funds nothing: what arrives is what was promised, for a job, a deal and a tab", async () => {
    const hostile = await s.viem.deployContract("HostileToken");
    const its = await s.viem.deployContract("JobEscrow", [hostile.address]);
    await hostile.write.mint([client.account, 10n * PRICE]);
    for (const spender of [its.address, escrow.address, tabs.address]) {
      await hostile.write.approve([spender, 10n * PRICE], byClient);
    }
    await hostile.write.setFee([1n]);
    const expiredAt = BigInt(await later(DAY));
    const id = await its.read.nextJobId([client.account, provider.account, evaluator, expiredAt, ""]);
    await its.write.createJob([provider.account, evaluator, expiredAt, "", zeroAddress], byClient);
    await its.write.setBudget([id, PRICE, "0x"], byClient);
    await refuses(its.write.fund([id, PRICE, "0x"], byClient), its, "JobEscrowShortfall");
    const deal = await s.draftDeal(client, provider, { token: hostile.address });
    await refuses(
      escrow.write.open([deal, ...s.sign(deal, client, provider)], byClient),
      escrow,
      "DealEscrowShortfall",
    );
    await refuses(
      tabs.write.open([await draftTab({ token: hostile.address }), PRICE], byClient),
      tabs,
      "TabEscrowShortfall",
    );
  });
});

describe("known failure: griefing in the last block", () => {
  it("leaves the other side its whole time, however late the delivery", async () => {
    const { deal, dealId } = await s.openDeal();
    await s.atSecond(deal.submitBy);
    await escrow.write.submit([deal, DELIVERABLE], byProvider);
    const [, , reviewUntil] = await escrow.read.dealOf([dealId]);
    expect(reviewUntil).to.equal(deal.submitBy + deal.reviewPeriod);
    const job = await fundedJob();
    await s.atSecond(Number(job.expiredAt) - 1);
    await jobs.write.submit([job.id, WORK, "0x"], byProvider);
    expect(await jobs.read.reviewUntilOf([job.id])).to.equal(job.expiredAt - 1n + BigInt(DAY));
    await networkHelpers.time.increaseTo(job.expiredAt);
    await refuses(jobs.write.claimRefund([job.id], byClient), jobs, "JobEscrowWrongStatus");
    await refuses(jobs.write.release([job.id], byProvider), jobs, "JobEscrowTooEarly");
    await jobs.write.reject([job.id, zeroHash, "0x"], { account: evaluator });
  });
});

describe("known failure: a squatted id", () => {
  it("belongs to nobody who is not named in it", async () => {
    const deal = await s.draftDeal(client, provider);
    await refuses(escrow.write.withdrawOffer([deal], byStranger), escrow, "DealEscrowNotParty");
    const tab = await draftTab();
    await refuses(tabs.write.open([tab, PRICE], byStranger), tabs, "TabEscrowNotParty");
    const expiredAt = BigInt(await later(DAY));
    const id = await jobs.read.nextJobId([client.account, provider.account, evaluator, expiredAt, "x"]);
    await jobs.write.createJob([provider.account, evaluator, expiredAt, "x", zeroAddress], byStranger);
    expect((await jobs.read.getJob([id])).client).to.equal(zeroAddress);
    await jobs.write.createJob([provider.account, evaluator, expiredAt, "x", zeroAddress], byClient);
    expect((await jobs.read.getJob([id])).client.toLowerCase()).to.equal(client.account.toLowerCase());
    await escrow.write.open([deal, ...s.sign(deal, client, provider)], byClient);
    await tabs.write.open([tab, PRICE], byClient);
  });
});
