import {
  concat,
  decodeFunctionData,
  hexToBytes,
  keccak256,
  numberToHex,
  recoverPublicKey,
  size,
  slice,
  type Address,
  type Hex,
  type PublicClient,
} from "viem";
import {
  addressOfPublicKey,
  ed25519PeerIdOf,
  identityRegistryAbi,
  isEd25519Signature,
  peerIdOf,
  purposes,
  typedDataDigest,
  uncheckedSignerOf,
  type Deployment,
  type Structs,
} from "#protocol";
import { fails, holds, type Check } from "./checks.ts";
import type { BoundEvent, UncheckedEvent } from "./agent.ts";

/** What a binding says beside its signer, and the new signer's proof over it. */
interface Proof {
  readonly fields: Pick<Structs["SignerBinding"], "agentId" | "validFrom" | "validUntil" | "deadline">;
  readonly proof: Hex;
}

/**
 * Which libp2p peers the agent's keys are. An address does not show its public key, the proof of possession in the binding's
 * own transaction does; an Ed25519 key's proof was never checked on chain, so it is here.
 */
export async function* auditTransport(
  client: PublicClient,
  deployment: Deployment,
  owner: Address,
  { bound, unchecked }: { bound: readonly BoundEvent[]; unchecked: readonly UncheckedEvent[] },
): AsyncGenerator<Check, void, void> {
  const domain = { chainId: deployment.chainId, ...deployment.contracts };
  for (const event of bound) {
    const { signer, purpose } = event.args;
    if (size(signer) !== 20 || (purpose !== purposes.log && purpose !== purposes.transport)) continue;
    const publicKey = await recoverKey(client, domain, event);
    if (publicKey === undefined) yield holds("peer", `of ${signer}: not shown by its binding's transaction`);
    else yield holds("peer", `${peerIdOf(publicKey)}, key and address ${signer} are one`);
  }
  for (const { args } of unchecked) {
    const { agentId, key, deadline, proof } = args;
    const signerHash = keccak256(uncheckedSignerOf(agentId, key));
    const window = bound.find((event) => event.args.signerHash === signerHash)?.args;
    const peer = `${ed25519PeerIdOf(key)}, Ed25519, not checked on chain`;
    if (window === undefined) return yield fails("peer", `${peer}, and no SignerBound of it`);
    const proves = [window.validFrom, 0].some((validFrom) => {
      const statement = {
        agentId,
        owner,
        signerHash,
        purpose: purposes.transport,
        validFrom,
        validUntil: window.validUntil,
      };
      return isEd25519Signature(typedDataDigest("SignerBinding", { ...statement, deadline }, domain), key, proof);
    });
    if (!proves)
      return yield fails("peer", `${peer}, and its proof is not the key's: the claim is false, or of a former owner`);
    yield holds("peer", `${peer}, its proof is the key's`);
  }
}

/** The compressed public key of a bound address, out of the proof that was sent with it. */
async function recoverKey(
  client: PublicClient,
  domain: Parameters<typeof typedDataDigest>[2],
  { args, transactionHash }: BoundEvent,
): Promise<Uint8Array | undefined> {
  const { from, to, input } = await client.getTransaction({ hash: transactionHash });
  const found = to?.toLowerCase() === domain.identityRegistry.toLowerCase() ? readProof(input) : undefined;
  if (found === undefined || (size(found.proof) !== 65 && size(found.proof) !== 64)) return undefined;
  const statement = { ...found.fields, owner: from, signerHash: args.signerHash, purpose: args.purpose };
  const hash = typedDataDigest("SignerBinding", statement, domain);
  const whole = await recoverPublicKey({ hash, signature: found.proof }).catch(() => undefined);
  if (whole === undefined) return undefined;
  const isOdd = BigInt(slice(whole, 64, 65)) % 2n === 1n;
  const compressed = concat([numberToHex(isOdd ? 3 : 2, { size: 1 }), slice(whole, 1, 33)]);
  const bytes = hexToBytes(compressed);
  return addressOfPublicKey(bytes).toLowerCase() === args.signer.toLowerCase() ? bytes : undefined;
}

function readProof(input: Hex): Proof | undefined {
  try {
    const { functionName, args } = decodeFunctionData({ abi: identityRegistryAbi, data: input });
    if (functionName === "registerBound") {
      const { validFrom, validUntil, deadline, proof } = args[1];
      return { fields: { agentId: 0n, validFrom, validUntil, deadline }, proof };
    }
    if (functionName === "bindSigner") {
      const [agentId, , , validFrom, validUntil, deadline, proof] = args;
      return { fields: { agentId, validFrom, validUntil, deadline }, proof };
    }
    if (functionName === "rotateSigner") {
      const [agentId, , , validUntil, deadline, proof] = args;
      return { fields: { agentId, validFrom: 0, validUntil, deadline }, proof };
    }
    return undefined;
  } catch {
    // Another contract's call, or a registry's function that binds nothing.
    return undefined;
  }
}
