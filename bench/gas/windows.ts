import { encodeFunctionData, keccak256, maxUint256, numberToHex, zeroHash, type Hex } from "viem";
import { encodeHeader, purposes, reportCommitmentOf, signBatch, type BatchHeader } from "#protocol";
import type { Result } from "../harness/report.ts";
import { deployStakes, EPOCH_LENGTH, FAR, gasResult, proofOf, PUBLISHER_BOND, signerAt, type Rig } from "./rig.ts";

const TOPIC = 77n;
const WINDOW_SECONDS = 5;
/** All places but one are taken: a draw reads what it reads at worst. */
const CANDIDATES = 63;
const VALIDATORS = 7;
const REPORTER = signerAt(14).address;
const SALT = keccak256("0x5a17");
/** Nobody else draws a committee for the order of log headers by stake on chain. */
const NOTE = "no peer";

type Windows = Awaited<ReturnType<typeof createWindows>>;

/** A registry, a vault and the window validators, with the last candidate still to come. Agents' keys: accounts 20 and on. */
async function createWindows(rig: Rig) {
  const { viem, token, measure, tick, chainId } = rig;
  const owner = signerAt(0).address;
  const { registry, ledger, vault } = await deployStakes(rig);
  await tick();
  const windows = await viem.deployContract("WindowValidators", [
    vault.address,
    PUBLISHER_BOND,
    BigInt(WINDOW_SECONDS),
  ]);
  await measure(() => vault.write.setModules([[windows.address]]));
  await measure(() => token.write.mint([owner, 1n << 100n]));
  await measure(() => token.write.mint([REPORTER, 1n]));
  await measure(() => token.write.approve([vault.address, maxUint256]));
  for (let agent = 1; agent <= CANDIDATES + 1; agent++) {
    await measure(() => registry.write.register());
    await measure(() => vault.write.stake([agent, 2n * PUBLISHER_BOND]));
    const signer = signerAt(20 + agent);
    const proof = proofOf({ registry, chainId }, BigInt(agent), owner, signer);
    await measure(() => registry.write.bindSigner([BigInt(agent), signer.address, purposes.log, 0, 0, FAR, proof]));
    if (agent <= CANDIDATES) await measure(() => windows.write.enlist([TOPIC, agent, PUBLISHER_BOND]));
  }
  const genesis = Number(await ledger.read.genesis());
  const startOf = (epoch: number) => genesis + (epoch - 1) * EPOCH_LENGTH;
  const epochNow = async () => Number(await ledger.read.epoch());
  const contracts = { chainId, identityRegistry: registry.address, dealEscrow: registry.address };
  return { ...rig, vault, windows, contracts, startOf, epochNow };
}

async function measureDraw({ viem, chain, windows, measure, tick }: Windows) {
  const client = await viem.getPublicClient();
  const scheduled = await measure(() => windows.write.scheduleDraw([TOPIC]));
  const [, epoch, seedBlock] = await windows.read.drawOf([TOPIC]);
  while ((await client.getBlockNumber()) < seedBlock) {
    await tick();
    await chain.networkHelpers.mine();
  }
  const block = await client.request({ method: "eth_getBlockByNumber", params: [numberToHex(seedBlock), false] });
  const header = encodeHeader(block as unknown as Record<string, unknown>);
  const drawn = await measure(() => windows.write.draw([TOPIC, header]));
  return { scheduled, drawn, epoch: Number(epoch) };
}

/** Enlisting, a draw among all places, the anchor of a window that five of seven signed, and a reserved report of double-signing. */
export async function measureWindows(rig: Rig): Promise<Result[]> {
  const world = await createWindows(rig);
  const { vault, windows, contracts, startOf, epochNow, skipTo, measure } = world;
  const enlisted = await measure(() => windows.write.enlist([TOPIC, CANDIDATES + 1, PUBLISHER_BOND]));
  skipTo(startOf((await epochNow()) + 1));
  await measure(() => windows.write.enlist([TOPIC + 1n, 1, PUBLISHER_BOND]));
  const { scheduled, drawn, epoch } = await measureDraw(world);
  const seats = await windows.read.validatorsOf([TOPIC, BigInt(epoch)]);
  const header = (root: Hex): BatchHeader => {
    return { topic: TOPIC, window: startOf(epoch) + 100 * WINDOW_SECONDS, previous: zeroHash, root, count: 1_000 };
  };
  const sign = (batch: BatchHeader, agent: number) => signBatch(batch, signerAt(20 + agent), contracts);
  const [batch, other] = [header(keccak256("0x01")), header(keccak256("0x02"))];
  const signatures = seats.map((agent, seat) => (seat < 2 ? ("0x" as const) : sign(batch, agent).signature));
  skipTo(startOf(epoch + 1));
  const anchored = await measure(() => windows.write.anchor([batch, signatures]));
  const [offender = 0] = seats;
  const args = [sign(batch, offender), sign(other, offender)] as const;
  const call = encodeFunctionData({ abi: windows.abi, functionName: "reportDoubleSigning", args });
  const commitment = reportCommitmentOf({ reporter: REPORTER, module: windows.address, call, salt: SALT });
  await measure(() => vault.write.reserve([commitment], { account: REPORTER }));
  const slashed = await measure(() => vault.write.report([windows.address, call, SALT], { account: REPORTER }));
  const places = `${CANDIDATES + 1} candidates`;
  return [
    gasResult("windows.enlist", enlisted, { note: `${NOTE}; the last of ${places}` }),
    gasResult("windows.schedule-draw", scheduled, { note: NOTE }),
    gasResult("windows.draw", drawn, { note: `${NOTE}; ${VALIDATORS} of ${places}` }),
    gasResult("windows.anchor", anchored, { note: `${NOTE}; five signatures of ${VALIDATORS}, once an epoch` }),
    gasResult("windows.slash-double-signing", slashed, { note: `${NOTE}; reserved, reporter paid, the rest burned` }),
  ];
}
