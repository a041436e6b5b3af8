import { keccak256, toHex, zeroAddress, zeroHash, type Hex } from "viem";
import type { Deal } from "#protocol";
import type { Result } from "../harness/report.ts";
import { createMarket, PRICE } from "./deals.ts";
import { ERC_8004, ERC_8183 } from "./peers.ts";
import { gasResult, signerAt, type Rig } from "./rig.ts";

/** What ERC-8004's anchor was measured with: two tags, an endpoint, an ipfs:// URI of 66 bytes, a hash. */
const NOTE = [
  ...[87n, 0, "starred", "translation", "https://agent.example/mcp"],
  ...["ipfs://bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi", keccak256(toHex("the file"))],
] as unknown as readonly [bigint, number, string, string, string, string, Hex];
const BARE = [87n, 0, "", "", "", "", zeroHash] as const;
/** 66 bytes of description. */
const DESCRIPTION = "ipfs://bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";
const DELIVERY_SECONDS = 86_400;

/** Other standards' surfaces: feedback with and without a deal behind it, and a job. */
export async function measureCompat(rig: Rig): Promise<Result[]> {
  return [...(await measureFeedback(rig)), ...(await measureJob(rig))];
}

async function measureFeedback(rig: Rig): Promise<Result[]> {
  const { viem, measure, tick } = rig;
  const market = await createMarket(rig, 14);
  const { client, provider, escrow } = market;
  await tick();
  const registry = await viem.deployContract("FeedbackRegistry", [escrow]);
  const deals = await viem.getContractAt("DealEscrow", escrow);
  await measure(() => deals.write.setFeedbackRegistry([registry.address]));
  const give = (account: Hex, note: typeof NOTE) =>
    measure(() => registry.write.giveFeedback([provider.agentId, ...note], { account }));
  const giveForDeal = (deal: Deal, note: typeof NOTE) =>
    measure(() => registry.write.giveFeedbackForDeal([deal, ...note], { account: client.signer.address }));
  const settled = async (): Promise<Deal> => {
    const deal = market.draft(client, provider, 0n);
    await market.open(deal, client, provider);
    await market.submit(deal, provider);
    await market.complete(deal, client);
    return deal;
  };
  // Others have spoken of the agent before, with these tags.
  await give(signerAt(18).address, NOTE);
  const first = await giveForDeal(await settled(), NOTE);
  const second = await giveForDeal(await settled(), NOTE);
  const bare = await giveForDeal(await settled(), BARE);
  const unbacked = await give(signerAt(19).address, NOTE);
  const again = await give(signerAt(19).address, NOTE);
  const response = await measure(() =>
    registry.write.appendResponse([provider.agentId, client.signer.address, 1n, NOTE[5], NOTE[6]], {
      account: provider.signer.address,
    }),
  );
  const revoked = await measure(() =>
    registry.write.revokeFeedback([provider.agentId, 1n], { account: client.signer.address }),
  );
  const unbackedPeers = {
    first: { [`${ERC_8004}, unbacked`]: 213_852 },
    again: { [`${ERC_8004}, unbacked`]: 132_008 },
  };
  const goal = 110_000;
  return [
    gasResult("feedback.backed.new-client", first, {
      goal,
      peers: unbackedPeers.first,
      note: "its deal's ticket used",
    }),
    gasResult("feedback.backed.known-client", second, { goal, peers: unbackedPeers.again, note: "as above" }),
    gasResult("feedback.backed.no-strings", bare, { goal, peers: { [`${ERC_8004}, unbacked`]: 88_061 } }),
    gasResult("feedback.unbacked.new-client", unbacked, { peers: unbackedPeers.first }),
    gasResult("feedback.unbacked.known-client", again, { peers: unbackedPeers.again }),
    gasResult("feedback.response", response, { peers: { [ERC_8004]: 125_023 } }),
    gasResult("feedback.revoke", revoked, { peers: { [ERC_8004]: 36_244 } }),
  ];
}

async function measureJob(rig: Rig): Promise<Result[]> {
  const { viem, token, measure, tick, now } = rig;
  await tick();
  const jobs = await viem.deployContract("JobEscrow", [token.address]);
  const [client, provider, evaluator] = [18, 19, 13].map((index) => signerAt(index).address) as [Hex, Hex, Hex];
  const [byClient, byProvider] = [{ account: client }, { account: provider }];
  const run = async () => {
    await measure(() => token.write.mint([client, PRICE]));
    const expiredAt = BigInt(now() + DELIVERY_SECONDS);
    const id = await jobs.read.nextJobId([client, provider, evaluator, expiredAt, DESCRIPTION]);
    const terms = [provider, evaluator, expiredAt, DESCRIPTION, zeroAddress] as const;
    const create = await measure(() => jobs.write.createJob(terms, byClient));
    const budget = await measure(() => jobs.write.setBudget([id, PRICE, "0x"], byProvider));
    const approve = await measure(() => token.write.approve([jobs.address, PRICE], byClient));
    const fund = await measure(() => jobs.write.fund([id, PRICE, "0x"], byClient));
    const submit = await measure(() => jobs.write.submit([id, keccak256(toHex("work")), "0x"], byProvider));
    const complete = await measure(() => jobs.write.complete([id, zeroHash, "0x"], { account: evaluator }));
    return { create, total: create + budget + approve + fund + submit + complete };
  };
  // Somebody else's money lies in the escrow, and everybody has had a job before.
  await run();
  const job = await run();
  return [
    gasResult("job.create", job.create, { peers: { [ERC_8183]: 272_494 }, note: "description of 66 bytes, stored" }),
    gasResult("job.total", job.total, {
      peers: { [ERC_8183]: 629_228 },
      note: "ERC-8183's six transactions; a deal does the same in three",
    }),
  ];
}
