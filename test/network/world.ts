// Real registry, vault and ledger, and agents that enlist as validators. Keys are those of Hardhat's public mnemonic.
import { network } from "hardhat";
import { keccak256, maxUint256, numberToHex, toHex, zeroHash, type Address, type Hex } from "viem";
import { encodeHeader, purposes, signBatch, typedDataDigest, type BatchHeader, type Signer } from "#protocol";
import { testSigner as signerAt } from "../fixtures/keys.ts";

export { signerAt };

export const EPOCH_LENGTH = 1_000;
export const WINDOW_SECONDS = 7;
export const UNBONDING_DELAY = 2 * EPOCH_LENGTH;
export const BOND = 1_000n;
export const STAKE = 100n * BOND;
export const TOPIC = 77n;
export const BURN: Address = "0x000000000000000000000000000000000000dEaD";

/** An agent of the first account, which speaks for all, with a LOG key of its own and stake. */
export interface Validator {
  readonly agentId: number;
  readonly signer: Signer;
}

export const rootOf = (text: string): Hex => keccak256(toHex(text));

/** @param count agents 1 to count; the key of agent k is account 20 + k */
export async function createWindowWorld(count: number) {
  const connection = await network.create();
  const { viem, networkHelpers } = connection;
  const client = await viem.getPublicClient();
  const registry = await viem.deployContract("IdentityRegistry");
  const token = await viem.deployContract("TestToken");
  const ledger = await viem.deployContract("TrustLedger", [BigInt(EPOCH_LENGTH), registry.address]);
  const vault = await viem.deployContract("StakeVault", [
    token.address,
    registry.address,
    ledger.address,
    UNBONDING_DELAY,
  ]);
  const windows = await viem.deployContract("WindowValidators", [vault.address, BOND, BigInt(WINDOW_SECONDS)]);
  await vault.write.setModules([[windows.address]]);
  const owner = signerAt(0).address;
  const contracts = {
    chainId: await client.getChainId(),
    identityRegistry: registry.address,
    dealEscrow: registry.address,
  };
  await token.write.mint([owner, 1_000n * STAKE]);
  await token.write.approve([vault.address, maxUint256]);

  /** Binds a LOG key of one of Hardhat's accounts. */
  async function bindKey(agentId: number, index: number): Promise<Signer> {
    const signer = signerAt(index);
    const deadline = (await networkHelpers.time.latest()) + 3_600;
    const binding = {
      ...{ agentId: BigInt(agentId), owner, signerHash: signer.signerHash, purpose: purposes.log },
      ...{ validFrom: 0, validUntil: 0, deadline },
    };
    const proof = signer.sign(typedDataDigest("SignerBinding", binding, contracts));
    await registry.write.bindSigner([BigInt(agentId), signer.address, purposes.log, 0, 0, deadline, proof]);
    return signer;
  }

  const agents: Validator[] = [];
  for (let agentId = 1; agentId <= count; agentId++) {
    await registry.write.register();
    await vault.write.stake([agentId, STAKE]);
    agents.push({ agentId, signer: await bindKey(agentId, 20 + agentId) });
  }
  const genesis = Number(await ledger.read.genesis());

  const startOf = (epoch: number) => genesis + (epoch - 1) * EPOCH_LENGTH;
  const epochNow = async () => Number(await ledger.read.epoch());

  /** Goes to the first second of a later epoch. */
  const goTo = (epoch: number) => networkHelpers.time.increaseTo(startOf(epoch));

  async function headerOf(blockNumber: bigint): Promise<Hex> {
    const block = await client.request({
      method: "eth_getBlockByNumber",
      params: [numberToHex(blockNumber), false],
    });
    return encodeHeader(block as unknown as Record<string, unknown>);
  }

  /** Schedules a draw and waits for its block. @returns the seed block */
  async function schedule(topic = TOPIC): Promise<bigint> {
    await windows.write.scheduleDraw([topic]);
    const [, , seedBlock] = await windows.read.drawOf([topic]);
    await networkHelpers.mine(Number(seedBlock - (await client.getBlockNumber())));
    return seedBlock;
  }

  /** A whole draw. @returns the epoch, and its validators by seat */
  async function draw(topic = TOPIC): Promise<{ readonly epoch: number; readonly seats: readonly Validator[] }> {
    const [, target] = await windows.read.drawOf([topic]);
    const seedBlock = await schedule(topic);
    await windows.write.draw([topic, await headerOf(seedBlock)]);
    const drawn = await windows.read.validatorsOf([topic, target]);
    return { epoch: Number(target), seats: drawn.map((agentId) => agents[agentId - 1] as Validator) };
  }

  const batch = (epoch: number, index: number, fields: Partial<BatchHeader> = {}): BatchHeader => ({
    ...{ topic: TOPIC, window: startOf(epoch) + index * WINDOW_SECONDS, previous: zeroHash },
    ...{ root: rootOf("batch"), count: 3 },
    ...fields,
  });
  const sign = (header: BatchHeader, signer: Signer) => signBatch(header, signer, contracts);
  /** Signatures of some seats, by seat; "0x" = none. */
  const seal = (header: BatchHeader, seats: readonly Validator[], isSigning = (_seat: number) => true): Hex[] =>
    seats.map(({ signer }, seat) => (isSigning(seat) ? sign(header, signer).signature : "0x"));

  return {
    ...{ connection, viem, networkHelpers, client, registry, token, ledger, vault, windows, owner, contracts, agents },
    ...{ bindKey, startOf, epochNow, goTo, headerOf, schedule, draw, batch, sign, seal },
  };
}

export type WindowWorld = Awaited<ReturnType<typeof createWindowWorld>>;
