// EIP-7702: accounts that got code by a transaction of type 4 with an authorization list, as owners and as signers.
import { expect } from "chai";
import { concat, keccak256, parseEther, toHex, zeroAddress, type Address, type Hex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { createSigner, purposes, typedDataDigest, type Structs } from "#protocol";
import { createIdentityChain, keyOf, uri } from "./setup.ts";

const chain = await createIdentityChain();
const { registry, publicClient, signedBindings, owner: relayer, stranger } = chain;
const client = await chain.viem.getTestClient();
const FAR = 2 ** 48 - 1;
const gas = 2_000_000n;
let keys = 0;

/** A funded account of a key of its own. */
async function newAccount() {
  const key = toHex(0x7702_0000 + ++keys, { size: 32 });
  const account = privateKeyToAccount(key);
  await client.setBalance({ address: account.address, value: parseEther("10") });
  return { account, signer: createSigner(key) };
}
type Account = Awaited<ReturnType<typeof newAccount>>;

/** Gives the account this contract's code, or none; somebody else sends the transaction and pays for it. */
async function delegate({ account }: Account, contract: Address): Promise<void> {
  const nonce = await publicClient.getTransactionCount({ address: account.address });
  const { chainId } = chain.domain;
  const authorization = await account.signAuthorization({ contractAddress: contract, chainId, nonce });
  const hash = await relayer.sendTransaction({ authorizationList: [authorization], to: relayer.account.address });
  const transaction = await publicClient.getTransaction({ hash });
  expect([transaction.type, (await publicClient.getTransactionReceipt({ hash })).status]).to.deep.equal([
    "eip7702",
    "success",
  ]);
  const code = await publicClient.getCode({ address: account.address });
  expect(code).to.equal(contract === zeroAddress ? undefined : concat(["0xef0100", contract]).toLowerCase());
}

/** A wallet's code: it takes tokens, and answers ERC-1271 for this key. */
const walletFor = (key: Address) => chain.viem.deployContract("ExecutingWallet", [key]);
/** Code that answers everything wrongly. */
const broken = await chain.viem.deployContract("TruncatingVerifier");

async function registerFor({ account }: Account): Promise<bigint> {
  const call = {
    address: registry.address,
    abi: registry.abi,
    functionName: "register",
    args: [uri],
    account,
  } as const;
  const { result, request } = await publicClient.simulateContract(call);
  await publicClient.waitForTransactionReceipt({ hash: await relayer.writeContract(request as never) });
  return result as bigint;
}

describe("EIP-7702 accounts as signers", () => {
  for (const [name, codeFor] of [
    ["a wallet that vouches for somebody else", async () => (await walletFor(stranger.account.address)).address],
    ["code that answers wrongly", () => Promise.resolve(broken.address)],
  ] as const) {
    it(`are bound by their own key's proof, before and after they delegate to ${name}`, async () => {
      const agentId = await chain.registerAgent();
      const before = await newAccount();
      await chain.mine(chain.bind(before.signer, chain.bindingOf(before.signer, agentId)));
      await delegate(before, await codeFor());
      const after = await newAccount();
      await delegate(after, await codeFor());
      const binding = chain.bindingOf(after.signer, agentId);
      const foreign = chain.newSigner().sign(chain.bindingDigest(binding));
      const values = [agentId, after.signer.signerHash];
      await chain.refuses(() => chain.bind(after.signer, binding, foreign), "BindingsBadProof", values);
      const { timestamp } = await chain.mine(chain.bind(after.signer, binding));
      for (const { signer } of [before, after]) {
        const args = [agentId, signer.signerHash, purposes.log, BigInt(timestamp)] as const;
        expect(await registry.read.isSignerValidAt(args)).to.equal(true);
      }
    });
  }

  it("are bound by the proof that their code vouches for, and no more once the delegation is taken back", async () => {
    const agentId = await chain.registerAgent();
    const [first, second, voucher] = [await newAccount(), await newAccount(), chain.newSigner()];
    const wallet = await walletFor(voucher.address);
    const vouched = ({ signer }: Account) => {
      const binding = chain.bindingOf(signer, agentId);
      return { binding, proof: voucher.sign(chain.bindingDigest(binding)) };
    };
    for (const account of [first, second]) await delegate(account, wallet.address);
    const { binding, proof } = vouched(first);
    await chain.mine(chain.bind(first.signer, binding, proof));
    expect(await registry.read.agentOfSigner([first.signer.signerHash])).to.equal(agentId);
    await delegate(second, zeroAddress);
    const late = vouched(second);
    const values = [agentId, second.signer.signerHash];
    await chain.refuses(() => chain.bind(second.signer, late.binding, late.proof), "BindingsBadProof", values);
  });
});

describe("EIP-7702 accounts as owners", () => {
  it("register where their code takes tokens, and are refused where it does not, as ERC-721 asks", async () => {
    const [taking, refusing] = [await newAccount(), await newAccount()];
    await delegate(taking, (await walletFor(taking.account.address)).address);
    await delegate(refusing, broken.address);
    const agentId = await registerFor(taking);
    expect(await registry.read.ownerOf([agentId])).to.equal(taking.account.address);
    const refused = await registerFor(refusing).catch((error: unknown) => String(error));
    expect(refused).to.match(/onERC721Received|ERC721InvalidReceiver|reverted/);
  });

  it("order by their key's signature whatever their code says, and by their code where it vouches; nobody else does", async () => {
    const account = await newAccount();
    const voucher = chain.newSigner();
    const agentId = await registerFor(account);
    await delegate(account, (await walletFor(voucher.address)).address);
    const update = async (by: { sign(digest: Hex): Hex }, seed: number) => {
      const [, version, previous] = await registry.read.commitmentOf([agentId]);
      const next: Structs["BindingUpdate"] = {
        ...{ agentId, version: version + 1n, previous, delta: keccak256(toHex(seed)), deadline: FAR },
      };
      const signature = by.sign(typedDataDigest("BindingUpdate", next, chain.domain));
      return registry.write.updateCommitment([agentId, next.version, next.delta, FAR, signature], {
        ...{ account: stranger.account.address, gas },
      });
    };
    await chain.mine(update(account.signer, 1));
    await chain.mine(update(voucher, 2));
    const refused = [agentId, account.account.address];
    await chain.refuses(() => update(chain.newSigner(), 3), "BindingsBadSignature", refused);
    await delegate(account, zeroAddress);
    await chain.refuses(() => update(voucher, 3), "BindingsBadSignature", refused);
    await chain.mine(update(account.signer, 4));
    expect((await registry.read.commitmentOf([agentId]))[1]).to.equal(3n);
  });

  it("bind signers by a relayed order of their key, and by a transaction of their own, while they have code", async () => {
    const account = await newAccount();
    const agentId = await registerFor(account);
    await delegate(account, broken.address);
    const ownedBy = { owner: account.account.address };
    const [relayed, direct] = [chain.newSigner(), chain.newSigner()];
    const binding = chain.bindingOf(relayed, agentId, ownedBy);
    const proof = relayed.sign(chain.bindingDigest(binding));
    const offer = { signer: relayed.address, purpose: purposes.log, validFrom: 0, validUntil: 0, deadline: FAR, proof };
    const order = { agentId, signerHash: relayed.signerHash, purpose: purposes.log, validFrom: 0, validUntil: 0 };
    const consent = chain.consent(keyOf(account.signer), "SignerGrant", order);
    await chain.mine(
      signedBindings.write.bindSignerWithSignature([agentId, offer, consent], { account: stranger.account.address }),
    );
    const own = chain.bindingOf(direct, agentId, ownedBy);
    const call = {
      ...{ address: registry.address, abi: registry.abi, functionName: "bindSigner", account: account.account, gas },
      args: [agentId, direct.address, purposes.log, 0, 0, FAR, direct.sign(chain.bindingDigest(own))],
    };
    await publicClient.waitForTransactionReceipt({ hash: await relayer.writeContract(call as never) });
    for (const { signerHash } of [relayed, direct])
      expect(await registry.read.agentOfSigner([signerHash])).to.equal(agentId);
  });
});
