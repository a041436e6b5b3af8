import { p256 } from "@noble/curves/nist.js";
import {
  bytesToHex,
  concat,
  encodeAbiParameters,
  encodeFunctionData,
  hexToBytes,
  keccak256,
  sha256,
  slice,
  stringToHex,
  toHex,
  zeroHash,
  type Abi,
  type Address,
  type Hex,
} from "viem";
import {
  createBindingBatch,
  evidenceOf,
  LOG_VERSION,
  purposes,
  signLogHeader,
  typedDataDigest,
  type LogAnchor,
  type LogHeader,
  type Signer,
  type Structs,
} from "#protocol";
import type { Result } from "../harness/report.ts";
import { ERC_1056, ERC_8004 } from "./peers.ts";
import { FAR, gasResult, proofOf, signerAt, type Rig } from "./rig.ts";

/** Entries of one checkpoint, over which an anchor's gas is spread. */
const RANGE_ENTRIES = 64;
/** Agents that one relayer anchors in one transaction. */
const BATCHED_AGENTS = 16;
const BATCHED_BINDINGS = 1_000;
const DAY = 86_400;
/** Number of an account that no other measurement binds. */
const LONE_LOG = 19;
/** Seed of a P-256 key that guards nothing. */
const P256_SECRET = hexToBytes(toHex(0xb0b, { size: 32 }));

interface Owned {
  readonly agentId: bigint;
  readonly signer: Signer;
}

/** Owner of the agents here: an account of the chain, which other measurements may use too. */
const OWNER = signerAt(12);

/** Registers an agent with the key of this number as its LOG signer. Keys above 19 have no account on the chain. */
async function createAgent(rig: Rig, index: number): Promise<Owned> {
  const { registry, measure } = rig;
  const signer = signerAt(index);
  const proof = proofOf(rig, 0n, OWNER.address, signer);
  const initial = { commitment: zeroHash, signer: signer.address, validFrom: 0, validUntil: 0, deadline: FAR, proof };
  await measure(() => registry.write.registerBound(["", initial], { account: OWNER.address }));
  return { agentId: await registry.read.agentOfSigner([signer.signerHash]), signer };
}

const contractsOf = ({ chainId, registry }: Rig) => ({
  ...{ chainId, identityRegistry: registry.address, dealEscrow: registry.address },
});

const digestOf = <K extends keyof Structs>(rig: Rig, struct: K, value: Structs[K]): Hex =>
  typedDataDigest(struct, value, contractsOf(rig));

/** Gas of a view as a transaction would pay it: intrinsic gas and calldata included. */
async function measureView(
  rig: Rig,
  call: { address: Address; abi: Abi; functionName: string; args: readonly unknown[] },
): Promise<number> {
  const client = await rig.viem.getPublicClient();
  const input = encodeFunctionData(call as never);
  return Number(await client.estimateGas({ account: signerAt(0).address, to: call.address, data: input }));
}

async function measureAssertions(rig: Rig): Promise<Result[]> {
  await rig.tick();
  const verifier = await rig.viem.deployContract("P256Verifier");
  await rig.tick();
  const passkeys = await rig.viem.deployContract("WebAuthnVerifier");
  const key = bytesToHex(p256.getPublicKey(P256_SECRET, false).subarray(1));
  const digest = keccak256("0x01");
  const sign = (message: Hex) =>
    bytesToHex(p256.sign(hexToBytes(message), P256_SECRET, { prehash: false, lowS: true }));
  const ask = async ({ address, abi }: { address: Address; abi: unknown }, signature: Hex) =>
    measureView(rig, { address, abi: abi as Abi, functionName: "verify", args: [key, digest, signature] });
  const note = "a whole transaction that checks one assertion";
  return [
    gasResult("identity.p256-assertion", await ask(verifier, sign(digest)), {
      goal: 45_000,
      peers: { "OpenZeppelin P256 incl. base": 33_884 },
      note,
    }),
    gasResult("identity.passkey-assertion", await ask(passkeys, passkeyAssertion(digest, sign)), {
      goal: 45_000,
      note: `${note}, WebAuthn with user verification`,
    }),
  ];
}

/** What an authenticator answers to this challenge (WebAuthn 2, 7.2), in OpenZeppelin's encoding. */
function passkeyAssertion(digest: Hex, sign: (message: Hex) => Hex): Hex {
  const challenge = Buffer.from(digest.slice(2), "hex").toString("base64url");
  const json = `{"type":"webauthn.get","challenge":"${challenge}","origin":"https://agents.example","crossOrigin":false}`;
  const authenticator = concat([sha256(stringToHex("agents.example")), "0x0500000001"]);
  const signature = sign(sha256(concat([authenticator, sha256(stringToHex(json))])));
  const types = ["bytes32", "bytes32", "uint256", "uint256", "bytes", "string"].map((type) => ({ type }));
  const places = [json.indexOf('"challenge"'), json.indexOf('"type"')].map(BigInt);
  return encodeAbiParameters(types, [slice(signature, 0, 32), slice(signature, 32), ...places, authenticator, json]);
}

async function measureAnchors(rig: Rig): Promise<Result[]> {
  const { viem, registry, measure } = rig;
  await rig.tick();
  const anchors = await viem.deployContract("Anchors", [registry.address]);
  const agents: Owned[] = [];
  // The first anchors alone too, from its own account.
  for (let i = 0; i < BATCHED_AGENTS; i++) agents.push(await createAgent(rig, i === 0 ? LONE_LOG : 40 + i));
  const anchorOf = ({ agentId, signer }: Owned, range: number): LogAnchor => ({
    ...{ agentId, log: signer.address, fromSeq: range * RANGE_ENTRIES, toSeq: (range + 1) * RANGE_ENTRIES - 1 },
    ...{ root: keccak256(toHex(range + 1)), stateHead: keccak256(toHex(range + 2)) },
  });
  const anchorAll = (range: number) => {
    const list = agents.map((agent) => anchorOf(agent, range));
    const signatures = list.map((anchor, i) => (agents[i] as Owned).signer.sign(digestOf(rig, "LogAnchor", anchor)));
    return measure(() => anchors.write.anchorLogs([list, signatures], { account: signerAt(0).address }));
  };
  await anchorAll(0);
  const batched = await anchorAll(1);
  const own = agents[0] as Owned;
  const { fromSeq, toSeq, root, stateHead } = anchorOf(own, 2);
  const anchor = [own.agentId, fromSeq, toSeq, root, stateHead] as const;
  const single = await measure(() => anchors.write.anchorLog(anchor, { account: own.signer.address }));
  const bindings = Array.from({ length: BATCHED_BINDINGS }, (_, i) => ({
    ...{ agentId: BigInt(i), signerHash: keccak256(toHex(i)), purpose: purposes.log, validFrom: 0, validUntil: 0 },
  }));
  const batch = createBindingBatch(bindings);
  const issuer = { account: signerAt(0).address };
  const anchoring = await measure(() => anchors.write.anchorBindings([batch.root, batch.count], issuer));
  const binding = { ...(bindings[500] as (typeof bindings)[0]), index: 500 };
  const revoke = [issuer.account, batch.root, binding, batch.proofOf(500)] as const;
  const revocation = await measure(() => anchors.write.revokeBatched(revoke, issuer));
  const perEntry = `a range of ${RANGE_ENTRIES} entries with its Poseidon head, later than the log's first`;
  return [
    gasResult("identity.anchor-log.per-entry", Math.ceil(single / RANGE_ENTRIES), { goal: 1_000, note: perEntry }),
    gasResult("identity.anchor-logs.per-entry", Math.ceil(batched / RANGE_ENTRIES / BATCHED_AGENTS), {
      goal: 1_000,
      note: `${perEntry}; ${BATCHED_AGENTS} agents in one transaction, each with its signature`,
    }),
    gasResult("identity.anchor-bindings.per-binding", Math.ceil(anchoring / BATCHED_BINDINGS), {
      goal: 100,
      peers: { [`${ERC_1056} changeOwner, batched`]: 34_934 },
      note: `a batch of ${BATCHED_BINDINGS}`,
    }),
    gasResult("identity.revoke-batched", revocation, { note: "one binding alone, by the batch's issuer" }),
  ];
}

async function measureEvidence(rig: Rig): Promise<Result> {
  const { viem, registry, now } = rig;
  await rig.tick();
  const evidence = await viem.deployContract("LogEvidence", [registry.address]);
  const { signer } = await createAgent(rig, 60);
  const headerOf = (bodyHash: Hex) => {
    const header: LogHeader = {
      ...{ version: LOG_VERSION, kind: 6, log: signer.address, seq: 3, prev: keccak256("0x01"), bodyHash },
      ...{ bodyLength: 300, timeMs: now() * 1000, ttl: 600, tags: 0x0102n, sketch: keccak256("0x02") },
    };
    return evidenceOf(signLogHeader(header, signer, contractsOf(rig)));
  };
  const args = [headerOf(keccak256("0x03")), headerOf(keccak256("0x04"))] as const;
  const { address, abi } = evidence;
  const value = await measureView(rig, { address, abi, functionName: "judge", args });
  return gasResult("identity.equivocation-proof", value, {
    goal: 120_000,
    note: "a whole transaction that checks both headers, without the slash, which the goal includes",
  });
}

async function measureOrders(rig: Rig): Promise<Result[]> {
  const { viem, registry, measure } = rig;
  const twins = await viem.getContractAt("SignedBindings", await registry.read.signedBindings());
  const recovery = await viem.getContractAt("OwnerRecovery", await registry.read.ownerRecovery());
  const { agentId } = await createAgent(rig, 61);
  const [log, guardian, heir] = [signerAt(62), signerAt(63), signerAt(64)];
  const relayer = { account: signerAt(0).address };
  const window = { validFrom: 0, validUntil: 0 };
  const purpose = purposes.log;
  const grant = (nonce: bigint, bound: Signer) => {
    const order = { agentId, signerHash: bound.signerHash, purpose, ...window, nonce, deadline: FAR };
    const signature = OWNER.sign(digestOf(rig, "SignerGrant", order));
    const offer = { signer: bound.address, purpose, ...window, deadline: FAR };
    const newSigner = { ...offer, proof: proofOf(rig, agentId, OWNER.address, bound) };
    const consent = { signer: OWNER.address, nonce, deadline: FAR, signature };
    return () => twins.write.bindSignerWithSignature([agentId, newSigner, consent], relayer);
  };
  await measure(grant(0n, signerAt(65)));
  const binding = await measure(grant(1n, log));
  const statement = { agentId, owner: OWNER.address, signerHash: guardian.signerHash, purpose: purposes.recovery };
  const proof = guardian.sign(digestOf(rig, "SignerBinding", { ...statement, ...window, deadline: FAR }));
  const guarding = [agentId, guardian.address, purposes.recovery, 0, 0, FAR, proof] as const;
  const account = OWNER.address;
  await measure(() => registry.write.bindSigner(guarding, { account }));
  await measure(() => recovery.write.setRecovery([agentId, 1, DAY], { account }));
  const change = { agentId, owner: account, newOwner: heir.address, attempt: 0n, deadline: FAR };
  const votes = [{ signer: guardian.address, signature: guardian.sign(digestOf(rig, "OwnerChange", change)) }];
  const startArgs = [agentId, heir.address, FAR, votes] as const;
  const start = await measure(() => recovery.write.startRecovery(startArgs, relayer));
  rig.skipTo(rig.now() + DAY + 1);
  const execution = await measure(() => recovery.write.executeRecovery([agentId], relayer));
  return [
    gasResult("identity.bind-signer.with-signature", binding, { note: "relayed; the nonce's word in use already" }),
    gasResult("identity.recovery.start", start, { note: "one guardian" }),
    gasResult("identity.recovery.execute", execution),
  ];
}

async function measureForeign(rig: Rig): Promise<Result[]> {
  const { viem, registry, chainId, measure } = rig;
  await rig.tick();
  const foreign = await viem.deployContract("ForeignBindings");
  const { agentId: foreignId } = await createAgent(rig, 66);
  const { agentId: otherId } = await createAgent(rig, 67);
  const account = OWNER.address;
  await measure(() => foreign.write.adopt([registry.address, otherId], { account }));
  const adoption = await measure(() => foreign.write.adopt([registry.address, foreignId], { account }));
  const agentId = await foreign.read.idOf([registry.address, foreignId]);
  const bound = signerAt(68);
  const proof = proofOf({ registry: foreign as never, chainId }, agentId, account, bound);
  const args = [agentId, bound.address, purposes.log, 0, 0, FAR, proof] as const;
  const binding = await measure(() => foreign.write.bindSigner(args, { account }));
  return [
    gasResult("identity.foreign.adopt", adoption, {
      note: `an agent of another registry, here of ${ERC_8004}'s surface`,
    }),
    gasResult("identity.foreign.bind-signer", binding),
  ];
}

/** Gas of the identity contracts beside the registry: verifiers, anchors, evidence, orders, recovery, foreign agents. */
export async function measureIdentityParts(rig: Rig): Promise<Result[]> {
  return [
    ...(await measureAssertions(rig)),
    ...(await measureAnchors(rig)),
    await measureEvidence(rig),
    ...(await measureOrders(rig)),
    ...(await measureForeign(rig)),
  ];
}
