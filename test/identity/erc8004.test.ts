import { expect } from "chai";
import fc from "fast-check";
import { artifacts } from "hardhat";
import {
  encodeFunctionData,
  hexToBytes,
  bytesToHex,
  concat,
  getCreate2Address,
  parseEventLogs,
  stringToHex,
  toHex,
  zeroAddress,
  type Address,
  type Hex,
  type Log,
} from "viem";
import { purposes, typedDataDigest, type Signer } from "#protocol";
import { createIdentityChain, erc4906InterfaceId, uri } from "./setup.ts";

const chain = await createIdentityChain();
const { registry, owner, stranger, operator, buyer } = chain;
const gas = 16_000_000n;
const self = owner.account.address;

const eventsOf = (logs: Log[]) => parseEventLogs({ abi: registry.abi, logs });
const lower = (address: Address): Hex => address.toLowerCase() as Hex;

function walletConsent(agentId: bigint, wallet: Signer | { address: Address; sign: Signer["sign"] }, deadline: number) {
  const message = { agentId, newWallet: wallet.address, owner: self, deadline: BigInt(deadline) };
  return wallet.sign(typedDataDigest("AgentWalletSet", message, chain.domain));
}

const setWallet = (agentId: bigint, wallet: Address, deadline: number, signature: Hex, account: Address = self) =>
  registry.write.setAgentWallet([agentId, wallet, BigInt(deadline), signature], { account, gas });

describe("ERC-8004: the contract", () => {
  it("says who it is: name, symbol, version, EIP-712 domain and interfaces", async () => {
    expect(await registry.read.name()).to.equal("AgentIdentity");
    expect(await registry.read.symbol()).to.equal("AGENT");
    expect(await registry.read.getVersion()).to.equal("2.0.0");
    const [, name, version, chainId, contract] = await registry.read.eip712Domain();
    expect([name, version, chainId]).to.deep.equal(["ERC8004IdentityRegistry", "1", BigInt(chain.domain.chainId)]);
    expect(lower(contract)).to.equal(lower(registry.address));
    // ERC-165, ERC-721, its metadata, ERC-4906; and the id that ERC-165 keeps for "no".
    for (const id of ["0x01ffc9a7", "0x80ac58cd", "0x5b5e139f", erc4906InterfaceId] as const) {
      expect(await registry.read.supportsInterface([id])).to.equal(true);
    }
    expect(await registry.read.supportsInterface(["0xffffffff"])).to.equal(false);
  });
});

describe("ERC-8004: registration", () => {
  it("counts ids from 1 and pays the registrant until told otherwise", async () => {
    const fresh = await createIdentityChain();
    for (const id of [1n, 2n, 3n]) {
      expect(await fresh.registerAgent()).to.equal(id);
      expect(lower(await fresh.registry.read.getAgentWallet([id]))).to.equal(lower(self));
      expect(await fresh.registry.read.getMetadata([id, "agentWallet"])).to.equal(lower(self));
    }
    await fresh.refuses(() => fresh.registry.read.ownerOf([0n]), "ERC721NonexistentToken", [0n]);
  });

  it("emits Transfer, Registered, then the wallet's MetadataSet, then each entry's, in order", async () => {
    const metadata = [
      { metadataKey: "baid", metadataValue: "0x1234" },
      { metadataKey: "", metadataValue: "0x" },
    ] as const;
    const { logs } = await chain.mine(registry.write.register([uri, metadata]));
    const [transfer, registered, wallet, first, second, ...rest] = eventsOf(logs);
    expect(rest).to.deep.equal([]);
    expect(transfer?.eventName).to.equal("Transfer");
    expect(registered?.eventName).to.equal("Registered");
    expect(registered?.args).to.include({ agentURI: uri });
    expect([wallet, first, second].map((e) => e?.eventName)).to.deep.equal(Array(3).fill("MetadataSet"));
    expect(wallet?.args).to.include({ metadataKey: "agentWallet", metadataValue: lower(self) });
    expect(first?.args).to.include(metadata[0]);
    expect(second?.args).to.include(metadata[1]);
    const agentId = (registered?.args as { agentId: bigint }).agentId;
    expect(await registry.read.getMetadata([agentId, "baid"])).to.equal("0x1234");
  });

  it("registers without a URI, and the URI is empty", async () => {
    const { logs } = await chain.mine(registry.write.register());
    const names = eventsOf(logs).map((e) => e.eventName);
    expect(names).to.deep.equal(["Transfer", "Registered", "MetadataSet"]);
    const agentId = (await chain.registerAgent()) - 1n;
    expect(await registry.read.tokenURI([agentId])).to.equal("");
  });

  it("refuses the reserved key among the entries, and no agent is left behind", async () => {
    const nextId = (await chain.registerAgent()) + 1n;
    const metadata = [{ metadataKey: "agentWallet", metadataValue: stranger.account.address }];
    await chain.refuses(() => registry.write.register([uri, metadata], { gas }), "IdentityReservedKey", [
      nextId,
      "agentWallet",
    ]);
    expect(await chain.registerAgent()).to.equal(nextId);
  });
});

describe("ERC-8004: URI", () => {
  it("gives back any URI, whatever its length, after registration and after each change", async () => {
    const lengths = [1, 31, 32, 33, 63, 64, 65, 66, 1_000];
    const text = fc.string({ unit: "binary", maxLength: 200 });
    const agentId = await chain.registerAgent();
    const check = async (given: string) => {
      const { logs } = await chain.mine(registry.write.setAgentURI([agentId, given]));
      const [updated, refreshed] = eventsOf(logs);
      expect(updated?.eventName).to.equal("URIUpdated");
      expect(updated?.args).to.include({ agentId, newURI: given });
      expect(refreshed?.eventName).to.equal("MetadataUpdate");
      expect(await registry.read.tokenURI([agentId])).to.equal(given);
    };
    for (const length of lengths) await check("x".repeat(length));
    await fc.assert(fc.asyncProperty(text, check), { numRuns: 20 });
    await check("");
    const { result, request } = await chain.publicClient.simulateContract({
      address: registry.address,
      abi: registry.abi,
      functionName: "register",
      args: ["data:,é✓"],
      account: self,
    });
    await owner.writeContract(request);
    expect(await registry.read.tokenURI([result as bigint])).to.equal("data:,é✓");
  });

  it("takes 8,192 bytes and refuses 8,193, in every function that takes a URI", async () => {
    const longest = "u".repeat(8_192);
    const tooLong = `${longest}u`;
    const agentId = await chain.registerAgent();
    await chain.mine(registry.write.setAgentURI([agentId, longest]));
    expect(await registry.read.tokenURI([agentId])).to.equal(longest);
    const signer = chain.newSigner();
    const initial = { commitment: toHex(1, { size: 32 }), signer: signer.address, validFrom: 0, validUntil: 0 };
    for (const act of [
      () => registry.write.register([tooLong], { gas }),
      () => registry.write.register([tooLong, []], { gas }),
      () => registry.write.registerBound([tooLong, { ...initial, deadline: 0, proof: "0x" }], { gas }),
      () => registry.write.setAgentURI([agentId, tooLong], { gas }),
    ]) {
      await chain.refuses(act, "IdentityURITooLong", [8_193n, 8_192n]);
    }
    expect(await registry.read.tokenURI([agentId])).to.equal(longest);
  });

  it("keeps each URI as code that stops at once, where its agent and revision say, and nothing in transit", async () => {
    const { bytecode } = await artifacts.readArtifact("StoredContent");
    const agentId = await chain.registerAgent();
    await registry.write.setAgentURI([agentId, "second"]);
    for (const [revision, content] of [
      [0n, uri],
      [1n, "second"],
    ] as const) {
      const salt = toHex((agentId << 24n) | revision, { size: 32 });
      const address = getCreate2Address({ from: registry.address, salt, bytecode: bytecode as Hex });
      expect(await chain.publicClient.getCode({ address })).to.equal(concat(["0x00", stringToHex(content)]));
    }
    expect(await registry.read.contentInTransit()).to.equal("0x");
  });

  it("lets the owner, the approved and the operator change it, and nobody else", async () => {
    const agentId = await chain.registerAgent();
    const set = (account: Address) => () => registry.write.setAgentURI([agentId, account], { account, gas });
    const [a, b] = [stranger.account.address, operator.account.address];
    for (const account of [a, b]) await chain.refuses(set(account), "ERC721InsufficientApproval", [account, agentId]);
    await registry.write.approve([a, agentId]);
    await registry.write.setApprovalForAll([b, true]);
    for (const account of [self, a, b]) {
      expect(await registry.read.isAuthorizedOrOwner([account, agentId])).to.equal(true);
      await chain.mine(set(account)());
      expect(await registry.read.tokenURI([agentId])).to.equal(account);
    }
    expect(await registry.read.isAuthorizedOrOwner([buyer.account.address, agentId])).to.equal(false);
    await registry.write.setApprovalForAll([b, false]);
    await chain.refuses(set(b), "ERC721InsufficientApproval", [b, agentId]);
  });

  it("names an agent that does not exist", async () => {
    const unknown = [999n];
    for (const act of [
      () => registry.read.tokenURI([999n]),
      () => registry.read.isAuthorizedOrOwner([self, 999n]),
      () => registry.write.setAgentURI([999n, uri], { gas }),
      () => registry.write.setMetadata([999n, "key", "0x"], { gas }),
      () => registry.write.unsetAgentWallet([999n], { gas }),
      () => setWallet(999n, stranger.account.address, 0, "0x"),
    ]) {
      await chain.refuses(act, "ERC721NonexistentToken", unknown);
    }
    // As in the reference, these two answer with nothing.
    expect(await registry.read.getMetadata([999n, "agentWallet"])).to.equal("0x");
    expect(await registry.read.getAgentWallet([999n])).to.equal(zeroAddress);
  });
});

describe("ERC-8004: metadata", () => {
  it("keeps any value under any key but one, for each agent apart", async () => {
    const agentId = await chain.registerAgent();
    const otherId = await chain.registerAgent();
    const key = fc.string({ maxLength: 40 }).filter((k) => k !== "agentWallet");
    const value = fc.uint8Array({ maxLength: 100 }).map((bytes) => bytesToHex(bytes));
    await fc.assert(
      fc.asyncProperty(key, value, async (metadataKey, metadataValue) => {
        const { logs } = await chain.mine(registry.write.setMetadata([agentId, metadataKey, metadataValue]));
        const [event] = eventsOf(logs);
        expect(event?.eventName).to.equal("MetadataSet");
        expect(event?.args).to.include({ agentId, metadataKey, metadataValue });
        expect(await registry.read.getMetadata([agentId, metadataKey])).to.equal(metadataValue);
        expect(await registry.read.getMetadata([otherId, metadataKey])).to.equal("0x");
      }),
      { numRuns: 15 },
    );
  });

  it("refuses the reserved key and a stranger", async () => {
    const agentId = await chain.registerAgent();
    const set = (key: string, account: Address) => () =>
      registry.write.setMetadata([agentId, key, "0x01"], { account, gas });
    await chain.refuses(set("agentWallet", self), "IdentityReservedKey", [agentId, "agentWallet"]);
    const account = stranger.account.address;
    await chain.refuses(set("key", account), "ERC721InsufficientApproval", [account, agentId]);
    // Keys that only resemble it are free.
    for (const key of ["agentwallet", "agentWallet ", "agentWalle"]) await chain.mine(set(key, self)());
    expect(lower(await registry.read.getAgentWallet([agentId]))).to.equal(lower(self));
  });
});

describe("ERC-8004: wallet", () => {
  it("changes by the new wallet's consent, is unset, and is cleared by every transfer", async () => {
    const agentId = await chain.registerAgent();
    const wallet = chain.newSigner();
    const shown = async () => [
      await registry.read.getAgentWallet([agentId]),
      await registry.read.getMetadata([agentId, "agentWallet"]),
    ];
    const deadline = (await chain.now()) + 200;
    const consent = walletConsent(agentId, wallet, deadline);
    const { logs } = await chain.mine(setWallet(agentId, wallet.address, deadline, consent));
    const [set] = eventsOf(logs);
    expect(set?.args).to.include({ metadataKey: "agentWallet", metadataValue: lower(wallet.address) });
    expect(await shown()).to.deep.equal([wallet.address, lower(wallet.address)]);

    const unset = await chain.mine(registry.write.unsetAgentWallet([agentId]));
    expect(eventsOf(unset.logs)[0]?.args).to.include({ metadataKey: "agentWallet", metadataValue: "0x" });
    expect(await shown()).to.deep.equal([zeroAddress, "0x"]);

    // ERC-8004 binds a consent to the owner and the minutes, not to one use.
    await chain.mine(setWallet(agentId, wallet.address, deadline, consent));
    const sold = await chain.mine(registry.write.transferFrom([self, buyer.account.address, agentId]));
    expect(eventsOf(sold.logs).map((e) => e.eventName)).to.deep.equal(["MetadataSet", "Transfer"]);
    expect(await shown()).to.deep.equal([zeroAddress, "0x"]);
    await chain.refuses(
      () => setWallet(agentId, wallet.address, deadline, consent, buyer.account.address),
      "IdentityBadWalletSignature",
      [agentId, wallet.address],
    );
  });

  it("is cleared by the first transfer of an agent whose wallet never changed, even to its own owner", async () => {
    const sold = await chain.registerAgent();
    await registry.write.safeTransferFrom([self, buyer.account.address, sold]);
    expect(await registry.read.getAgentWallet([sold])).to.equal(zeroAddress);
    const kept = await chain.registerAgent();
    await registry.write.transferFrom([self, self, kept]);
    expect(await registry.read.getAgentWallet([kept])).to.equal(zeroAddress);
  });

  it("survives what concerns another agent, another key or a failed transfer", async () => {
    const agentId = await chain.registerAgent();
    const otherId = await chain.registerAgent();
    await registry.write.unsetAgentWallet([otherId]);
    await registry.write.setMetadata([agentId, "key", "0x01"]);
    await registry.write.setAgentURI([agentId, "other"]);
    const account = stranger.account.address;
    await chain.refuses(
      () => registry.write.transferFrom([self, account, agentId], { account, gas }),
      "ERC721InsufficientApproval",
      [account, agentId],
    );
    expect(lower(await registry.read.getAgentWallet([agentId]))).to.equal(lower(self));
  });

  it("takes a deadline from now to five minutes ahead, edges included", async () => {
    const agentId = await chain.registerAgent();
    const wallet = chain.newSigner();
    let second = await chain.now();
    const attempt = (delay: number) => async () => {
      await chain.atSecond(second);
      return setWallet(agentId, wallet.address, second + delay, walletConsent(agentId, wallet, second + delay));
    };
    for (const delay of [0, 1, 299, 300]) {
      second += 10;
      await chain.mine(attempt(delay)());
    }
    second += 10;
    await chain.refuses(attempt(-1), "IdentityExpired", [BigInt(second - 1), BigInt(second)]);
    second += 10;
    await chain.refuses(attempt(301), "IdentityDeadlineTooFar", [BigInt(second + 301), BigInt(second + 300)]);
  });

  it("refuses a zero wallet, a stranger's call and every consent but the wallet's own", async () => {
    const agentId = await chain.registerAgent();
    const otherId = await chain.registerAgent();
    const wallet = chain.newSigner();
    const deadline = (await chain.now()) + 250;
    const message = { agentId, newWallet: wallet.address, owner: self, deadline: BigInt(deadline) };
    const sign = (fields: Partial<typeof message>, domain: Partial<typeof chain.domain> = {}) =>
      wallet.sign(typedDataDigest("AgentWalletSet", { ...message, ...fields }, { ...chain.domain, ...domain }));
    const good = sign({});
    const bytes = hexToBytes(good);
    const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
    const s = order - BigInt(bytesToHex(bytes.subarray(32, 64)));
    const r = bytesToHex(bytes.subarray(0, 32));
    const consents: Hex[] = [
      sign({ agentId: otherId }),
      sign({ newWallet: self }),
      sign({ owner: stranger.account.address }),
      sign({ deadline: BigInt(deadline + 1) }),
      sign({}, { chainId: 1 }),
      sign({}, { identityRegistry: self }),
      chain.ownerSigner.sign(typedDataDigest("AgentWalletSet", message, chain.domain)),
      concat([r, toHex(s, { size: 32 }), bytes[64] === 27 ? "0x1c" : "0x1b"]),
      "0x",
    ];
    for (const consent of consents) {
      await chain.refuses(() => setWallet(agentId, wallet.address, deadline, consent), "IdentityBadWalletSignature", [
        agentId,
        wallet.address,
      ]);
    }
    await chain.refuses(() => setWallet(agentId, zeroAddress, deadline, good), "IdentityZeroWallet", [agentId]);
    const account = stranger.account.address;
    await chain.refuses(
      () => setWallet(agentId, wallet.address, deadline, good, account),
      "ERC721InsufficientApproval",
      [account, agentId],
    );
    await chain.refuses(
      () => registry.write.unsetAgentWallet([agentId], { account, gas }),
      "ERC721InsufficientApproval",
      [account, agentId],
    );
    await chain.mine(setWallet(agentId, wallet.address, deadline, good));
  });

  it("takes a smart account by ERC-1271, and refuses a closed one and a truncated answer", async () => {
    const agentId = await chain.registerAgent();
    const key = chain.newSigner();
    const deadline = (await chain.now()) + 250;
    const wallet = await chain.viem.deployContract("ExecutingWallet", [key.address]);
    const truncating = await chain.viem.deployContract("TruncatingVerifier");
    const attempt = (address: Address) =>
      setWallet(agentId, address, deadline, walletConsent(agentId, { address, sign: key.sign }, deadline));
    await chain.mine(attempt(wallet.address));
    expect(lower(await registry.read.getAgentWallet([agentId]))).to.equal(lower(wallet.address));
    await wallet.write.close();
    for (const address of [wallet.address, truncating.address]) {
      await chain.refuses(() => attempt(address), "IdentityBadWalletSignature", [
        agentId,
        (value: string) => lower(value as Address) === lower(address),
      ]);
    }
  });

  it("takes an EIP-7702 account by its own key although it has code", async () => {
    const agentId = await chain.registerAgent();
    const wallet = chain.newSigner();
    const truncating = await chain.viem.deployContract("TruncatingVerifier");
    const delegated = concat(["0xef0100", truncating.address]);
    const testClient = await chain.viem.getTestClient();
    await testClient.setCode({ address: wallet.address, bytecode: delegated });
    const deadline = (await chain.now()) + 250;
    await chain.mine(setWallet(agentId, wallet.address, deadline, walletConsent(agentId, wallet, deadline)));
    expect(await registry.read.getAgentWallet([agentId])).to.equal(wallet.address);
  });
});

describe("ERC-8004: receivers", () => {
  const call = (functionName: string, args: readonly unknown[]): Hex =>
    encodeFunctionData({ abi: registry.abi, functionName, args } as never);

  it("gives a registrant that is a contract the agent only if it takes it", async () => {
    const wallet = await chain.viem.deployContract("ExecutingWallet", [self]);
    await wallet.write.execute([registry.address, call("register", [uri])]);
    const agentId = await chain.registerAgent();
    // The registry itself is a contract that receives no tokens.
    const refusing = registry;
    expect(lower(await registry.read.ownerOf([agentId - 1n]))).to.equal(lower(wallet.address));
    await chain.refuses(
      () => registry.write.safeTransferFrom([self, refusing.address, agentId], { gas }),
      "ERC721InvalidReceiver",
      [(value: string) => lower(value as Address) === lower(refusing.address)],
    );
  });

  it("calls the receiver last: it sees a finished agent, and what it does from within comes after all events", async () => {
    const receiver = await chain.viem.deployContract("ReenteringReceiver");
    const agentId = (await chain.registerAgent()) + 1n;
    const calls = [
      call("tokenURI", [agentId]),
      call("getMetadata", [agentId, "baid"]),
      call("getAgentWallet", [agentId]),
      call("contentInTransit", []),
      call("register", ["from within"]),
      call("setAgentURI", [agentId, "changed from within"]),
      call("unsetAgentWallet", [agentId]),
    ];
    const registration = call("register", [uri, [{ metadataKey: "baid", metadataValue: "0x1234" }]]);
    const { logs } = await chain.mine(receiver.write.start([registry.address, registration, calls], { gas }));
    const abi = [...registry.abi, ...receiver.abi];
    const names = parseEventLogs({ abi, logs }).map((log) => log.eventName);
    expect(names).to.deep.equal([
      ...["Transfer", "Registered", "MetadataSet", "MetadataSet"],
      ...["Reentered", "Reentered", "Reentered", "Reentered"],
      ...["Transfer", "Registered", "MetadataSet", "Reentered"],
      ...["URIUpdated", "MetadataUpdate", "Reentered"],
      ...["MetadataSet", "Reentered"],
    ]);
    const outputs = parseEventLogs({ abi, logs, eventName: "Reentered" }).map((log) => log.args);
    expect(outputs.map((o) => o.isOk)).to.deep.equal(Array(7).fill(true));
    expect(outputs[0]?.output).to.include(stringToHex(uri).slice(2));
    expect(outputs[1]?.output).to.include("1234");
    expect(BigInt(outputs[2]?.output as Hex)).to.equal(BigInt(receiver.address));
    expect(BigInt(`0x${(outputs[3]?.output as Hex).slice(66)}`)).to.equal(0n);
    expect(await registry.read.tokenURI([agentId])).to.equal("changed from within");
    expect(await registry.read.tokenURI([agentId + 1n])).to.equal("from within");
    expect(await registry.read.getAgentWallet([agentId])).to.equal(zeroAddress);
    expect(lower(await registry.read.getAgentWallet([agentId + 1n]))).to.equal(lower(receiver.address));
  });

  it("binds the first signer before the receiver runs, which can not bind it elsewhere", async () => {
    const receiver = await chain.viem.deployContract("ReenteringReceiver");
    const signer = chain.newSigner();
    const binding = chain.bindingOf(signer, 0n, { owner: receiver.address });
    const initial = {
      commitment: toHex(7, { size: 32 }),
      signer: signer.address,
      validFrom: 0,
      validUntil: 0,
      deadline: binding.deadline,
      proof: signer.sign(chain.bindingDigest(binding)),
    };
    const again = call("registerBound", [uri, initial]);
    await chain.mine(receiver.write.start([registry.address, again, [again]], { gas }));
    const logs = await chain.publicClient.getLogs({ address: receiver.address });
    const [inner] = parseEventLogs({ abi: receiver.abi, logs });
    expect(inner?.args.isOk).to.equal(false);
    const agentId = await registry.read.agentOfSigner([signer.signerHash]);
    expect(inner?.args.agentId).to.equal(agentId);
    expect((await registry.read.signerOf([signer.signerHash]))[1]).to.equal(purposes.log);
    expect(await chain.registerAgent()).to.equal(agentId + 1n);
  });
});
