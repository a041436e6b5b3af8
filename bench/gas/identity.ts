import { encodeFunctionData, hexToBytes, pad, toHex, type Hex } from "viem";
import { commitmentOf, purposes, typedDataDigest, type Signer } from "#protocol";
import type { Result } from "../harness/report.ts";
import { ERC_1056, ERC_8004 } from "./peers.ts";
import { FAR, gasResult, proofOf, signerAt, type Rig } from "./rig.ts";

/** An IPFS URI of 66 bytes, as the peers' figures were measured with. */
const URI = `ipfs://${"b".repeat(59)}`;
/** ERC-8004 allows a wallet's consent for five minutes. */
const WALLET_CONSENT_SECONDS = 300;

const word = (text: string) => toHex(text, { size: 32 });

/** Registrations: an owner that has an agent already saves the slot of its balance. */
async function measureRegistrations({ registry, measure }: Rig): Promise<Result[]> {
  const [plain, uri, metadata] = [signerAt(1).address, signerAt(2).address, signerAt(3).address];
  const entry = (bytes: number) => [{ metadataKey: "key", metadataValue: pad("0x01", { size: bytes, dir: "right" }) }];
  const register = (args: [] | [string], account: Hex) =>
    measure(() => registry.write.register(args as [string], { account }));
  const withMetadata = (bytes: number) =>
    measure(() => registry.write.register([URI, entry(bytes)], { account: metadata }));
  await register([], signerAt(0).address);
  await register([URI], metadata);
  return [
    gasResult("identity.register.first", await register([], plain), { peers: { [ERC_8004]: 123_983 } }),
    gasResult("identity.register.repeat", await register([], plain), { peers: { [ERC_8004]: 89_783 } }),
    gasResult("identity.register-uri.new-owner", await register([URI], uri), {
      goal: 150_000,
      peers: { [ERC_8004]: 200_652 },
    }),
    gasResult("identity.register-uri.existing-owner", await register([URI], uri), {
      goal: 130_000,
      peers: { [ERC_8004]: 183_552 },
    }),
    gasResult("identity.register-uri-metadata-32", await withMetadata(32), { peers: { [ERC_8004]: 253_269 } }),
    gasResult("identity.register-uri-metadata-65", await withMetadata(65), { peers: { [ERC_8004]: 298_935 } }),
  ];
}

async function measureBindings(rig: Rig): Promise<Result[]> {
  const { registry, measure } = rig;
  const [signer, second, third] = [signerAt(4), signerAt(5), signerAt(6)];
  const account = signer.address;
  const commitment = commitmentOf({
    codeCommitment: word("code"),
    configDigest: word("config"),
    userId: word("user"),
    salt: word("salt"),
  });
  const initial = { commitment, signer: account, validFrom: 0, validUntil: 0, deadline: FAR };
  const bound = { ...initial, proof: proofOf(rig, 0n, account, signer) };
  const registered = await measure(() => registry.write.registerBound([URI, bound], { account }));
  const agentId = await registry.read.agentOfSigner([signer.signerHash]);
  const bind = [agentId, second.address, purposes.log, 0, 0, FAR, proofOf(rig, agentId, account, second)] as const;
  const binding = await measure(() => registry.write.bindSigner(bind, { account }));
  const rotate = [agentId, second.signerHash, third.address, 0, FAR, proofOf(rig, agentId, account, third)] as const;
  const rotation = await measure(() => registry.write.rotateSigner(rotate, { account }));
  const update = await updateOf(rig, agentId, signer);
  const updating = await measure(() => registry.write.updateCommitment(update, { account }));
  const check = await measureSignerCheck(rig, agentId, signer);
  const revocation = await measure(() => registry.write.revokeSigner([agentId, third.signerHash, 0], { account }));
  return [
    gasResult("identity.register-bound", registered, {
      goal: 230_000,
      note: "URI of 66 B, commitment and LOG signer in one transaction, new owner; issue A asks for 260,000",
    }),
    gasResult("identity.bind-signer", binding, {
      goal: 75_000,
      peers: { [`${ERC_8004} setMetadata 65 B`]: 125_644, [`${ERC_1056} setAttribute 33 B`]: 52_034 },
    }),
    gasResult("identity.rotate-signer", rotation, {
      goal: 60_000,
      peers: { [`${ERC_8004} setAgentWallet replace`]: 50_416, [`${ERC_1056} changeOwner`]: 68_816 },
    }),
    gasResult("identity.update-commitment", updating),
    gasResult("identity.revoke-signer", revocation),
    gasResult("identity.signer-check", check, {
      goal: 10_000,
      note: "isSignerValidAt, without a transaction's intrinsic gas",
    }),
  ];
}

async function updateOf({ registry, chainId }: Rig, agentId: bigint, owner: Signer) {
  const [, version, previous] = await registry.read.commitmentOf([agentId]);
  const update = { agentId, version: version + 1n, previous, delta: word("next"), deadline: FAR };
  const contracts = { chainId, identityRegistry: registry.address, dealEscrow: registry.address };
  const signature = owner.sign(typedDataDigest("BindingUpdate", update, contracts));
  return [agentId, update.version, update.delta, update.deadline, signature] as const;
}

/** Execution gas of the view that contracts ask before they trust a signature. */
async function measureSignerCheck({ viem, registry, now }: Rig, agentId: bigint, signer: Signer): Promise<number> {
  const client = await viem.getPublicClient();
  const args = [agentId, signer.signerHash, purposes.log, BigInt(now())] as const;
  if (!(await registry.read.isSignerValidAt(args))) throw new Error("the measured signer is not valid");
  const calldata = encodeFunctionData({ abi: registry.abi, functionName: "isSignerValidAt", args });
  const total = await client.estimateGas({ account: signer.address, to: registry.address, data: calldata });
  return Number(total) - intrinsicGas(calldata);
}

function intrinsicGas(calldata: Hex): number {
  return hexToBytes(calldata).reduce((gas, byte) => gas + (byte === 0 ? 4 : 16), 21_000);
}

async function measureProfile(rig: Rig): Promise<Result[]> {
  const { registry, measure } = rig;
  const account = signerAt(1).address;
  // The first agent of account 1, after the two that warm the registry; see measureRegistrations.
  const agentId = 3n;
  const setMetadata = (key: string, bytes: number) =>
    measure(() => registry.write.setMetadata([agentId, key, pad("0x01", { size: bytes, dir: "right" })], { account }));
  const metadata32 = await setMetadata("a", 32);
  const metadata65 = await setMetadata("b", 65);
  await measure(() => registry.write.setAgentURI([agentId, URI], { account }));
  const uri = await measure(() => registry.write.setAgentURI([agentId, URI.replaceAll("b", "c")], { account }));
  const replaced = await measureWallet(rig, agentId, account, signerAt(7));
  await measure(() => registry.write.unsetAgentWallet([agentId], { account }));
  const emptied = await measureWallet(rig, agentId, account, signerAt(8));
  const receiver = signerAt(2).address;
  const transfer = await measure(() => registry.write.transferFrom([account, receiver, agentId], { account }));
  return [
    gasResult("identity.set-metadata-32", metadata32, { peers: { [ERC_8004]: 79_976 } }),
    gasResult("identity.set-metadata-65", metadata65, { peers: { [ERC_8004]: 125_644 } }),
    gasResult("identity.set-agent-uri", uri, { peers: { [ERC_8004]: 47_162 }, note: "another URI of the same length" }),
    gasResult("identity.set-agent-wallet.replace", replaced, { peers: { [ERC_8004]: 50_416 } }),
    gasResult("identity.set-agent-wallet.empty", emptied, { peers: { [ERC_8004]: 67_516 } }),
    gasResult("identity.transfer", transfer, { peers: { [ERC_8004]: 68_292 }, note: "clears the wallet" }),
  ];
}

async function measureWallet({ registry, chainId, measure, now }: Rig, agentId: bigint, owner: Hex, wallet: Signer) {
  const deadline = BigInt(now() + WALLET_CONSENT_SECONDS);
  const contracts = { chainId, identityRegistry: registry.address, dealEscrow: registry.address };
  const consent = { agentId, newWallet: wallet.address, owner, deadline };
  const signature = wallet.sign(typedDataDigest("AgentWalletSet", consent, contracts));
  const args = [agentId, wallet.address, deadline, signature] as const;
  return measure(() => registry.write.setAgentWallet(args, { account: owner }));
}

export async function measureIdentity(rig: Rig): Promise<Result[]> {
  return [...(await measureRegistrations(rig)), ...(await measureBindings(rig)), ...(await measureProfile(rig))];
}
