// An ERC-8004 client as a marketplace would write it: ethers 6, the reference's published ABI, a node's HTTP and
// WebSocket ports, and nothing of ours but the registry's address.
import { readFileSync } from "node:fs";
import { expect } from "chai";
import {
  Contract,
  ContractFactory,
  HDNodeWallet,
  JsonRpcProvider,
  Mnemonic,
  NonceManager,
  Wallet,
  WebSocketProvider,
  ZeroAddress,
  type ContractTransactionReceipt,
  type JsonFragment,
  type JsonRpcApiProvider,
  type LogDescription,
} from "ethers";
import { artifacts, network } from "hardhat";

const publishedAbi = JSON.parse(
  readFileSync(new URL("../fixtures/erc8004/IdentityRegistry.json", import.meta.url), "utf8"),
) as JsonFragment[];
/** v2.0.0 has this one in its source, and not in its published ABI. */
const referenceAbi = [
  ...publishedAbi,
  "function isAuthorizedOrOwner(address spender, uint256 agentId) view returns (bool)",
];

/** The accounts of every local Hardhat chain; public, for tests only. */
const mnemonic = Mnemonic.fromPhrase("test test test test test test test test test test test junk");
const accountAt = (index: number) => HDNodeWallet.fromMnemonic(mnemonic, `m/44'/60'/0'/0/${index}`);
const uri = "https://agent.example/.well-known/agent-registration.json";

for (const transport of ["http", "ws"] as const) {
  describe(`ERC-8004: an unmodified client over ${transport}`, function () {
    // A server and its chain start in a second; a loaded machine takes many.
    this.timeout(60_000);
    let server: Awaited<ReturnType<typeof network.createServer>> | undefined;
    let provider: JsonRpcApiProvider | undefined;
    let registry: Contract;
    let buyer: NonceManager;
    let ownerAddress: string;

    before(async () => {
      server = await network.createServer({ network: "node" }, "127.0.0.1", 0);
      const { address, port } = await server.listen();
      const host = `${address}:${port}`;
      provider =
        transport === "http"
          ? new JsonRpcProvider(`http://${host}`, undefined, { staticNetwork: true, pollingInterval: 10 })
          : new WebSocketProvider(`ws://${host}`);
      const owner = new NonceManager(accountAt(0).connect(provider));
      ownerAddress = await owner.getAddress();
      buyer = new NonceManager(accountAt(1).connect(provider));
      const { abi, bytecode } = await artifacts.readArtifact("IdentityRegistry");
      const deployed = await new ContractFactory([...abi], bytecode, owner).deploy();
      await deployed.waitForDeployment();
      registry = new Contract(await deployed.getAddress(), referenceAbi, owner);
    });

    after(async () => {
      await provider?.destroy();
      await server?.close();
    });

    async function mine(method: string, ...values: unknown[]): Promise<LogDescription[]> {
      const sent = await registry.getFunction(method)(...values);
      const receipt = (await sent.wait()) as ContractTransactionReceipt;
      return receipt.logs.map((log) => registry.interface.parseLog(log) as LogDescription);
    }

    const read = (method: string, ...values: unknown[]): Promise<unknown> =>
      registry.getFunction(method).staticCall(...values) as Promise<unknown>;

    async function register(method: string, ...values: unknown[]): Promise<[bigint, LogDescription[]]> {
      const logs = await mine(method, ...values);
      const registered = logs.find((log) => log.name === "Registered");
      return [registered?.args["agentId"] as bigint, logs];
    }

    it("registers by each of the three overloads, and reads what it wrote", async () => {
      const [first, plain] = await register("register()");
      const [second, withUri] = await register("register(string)", uri);
      const metadata = [{ metadataKey: "model", metadataValue: "0xc0ffee" }];
      const [third, full] = await register("register(string,(string,bytes)[])", uri, metadata);
      expect(await read("getVersion")).to.equal("2.0.0");
      expect([first, second, third]).to.deep.equal([1n, 2n, 3n]);
      const base = ["Transfer", "Registered", "MetadataSet"];
      expect(plain.map((log) => log.name)).to.deep.equal(base);
      expect(withUri.map((log) => log.name)).to.deep.equal(base);
      expect(full.map((log) => log.name)).to.deep.equal([...base, "MetadataSet"]);
      expect(full[1]?.args.toArray()).to.deep.equal([third, uri, ownerAddress]);
      expect(full[2]?.args["metadataKey"]).to.equal("agentWallet");
      expect(full[2]?.args["metadataValue"]).to.equal(ownerAddress.toLowerCase());
      expect(full[3]?.args["metadataKey"]).to.equal("model");
      expect(await read("tokenURI", first)).to.equal("");
      expect(await read("tokenURI", third)).to.equal(uri);
      expect(await read("getMetadata", third, "model")).to.equal("0xc0ffee");
      expect(await read("getAgentWallet", third)).to.equal(ownerAddress);
      expect(await read("ownerOf", third)).to.equal(ownerAddress);
      expect(await read("balanceOf", ownerAddress)).to.equal(3n);
    });

    it("replaces its URI and its metadata", async () => {
      const [agentId] = await register("register(string)", uri);
      const [updated, refreshed] = await mine("setAgentURI", agentId, "ipfs://new");
      expect(updated?.name).to.equal("URIUpdated");
      expect(updated?.args.toArray()).to.deep.equal([agentId, "ipfs://new", ownerAddress]);
      expect(refreshed?.name).to.equal("MetadataUpdate");
      expect(await read("tokenURI", agentId)).to.equal("ipfs://new");
      const [set] = await mine("setMetadata", agentId, "model", "0x01");
      expect(set?.name).to.equal("MetadataSet");
      expect(await read("getMetadata", agentId, "model")).to.equal("0x01");
    });

    it("sets a wallet by the wallet's EIP-712 signature, unsets it, and loses it with the agent", async () => {
      const [agentId] = await register("register(string)", uri);
      const wallet = Wallet.createRandom();
      const fields = [
        { name: "agentId", type: "uint256" },
        { name: "newWallet", type: "address" },
        { name: "owner", type: "address" },
        { name: "deadline", type: "uint256" },
      ];
      const described = (await read("eip712Domain")) as Record<string, unknown>;
      const domain = {
        name: described["name"] as string,
        version: described["version"] as string,
        chainId: described["chainId"] as bigint,
        verifyingContract: described["verifyingContract"] as string,
      };
      expect(domain).to.deep.include({ name: "ERC8004IdentityRegistry", version: "1" });
      const consent = async () => {
        const deadline = BigInt((await provider?.getBlock("latest"))?.timestamp ?? 0) + 240n;
        const message = { agentId, newWallet: wallet.address, owner: ownerAddress, deadline };
        return [deadline, await wallet.signTypedData(domain, { AgentWalletSet: fields }, message)] as const;
      };
      const [set] = await mine("setAgentWallet", agentId, wallet.address, ...(await consent()));
      expect(set?.args["metadataValue"]).to.equal(wallet.address.toLowerCase());
      expect(await read("getAgentWallet", agentId)).to.equal(wallet.address);

      await mine("unsetAgentWallet", agentId);
      expect(await read("getAgentWallet", agentId)).to.equal(ZeroAddress);
      expect(await read("getMetadata", agentId, "agentWallet")).to.equal("0x");

      await mine("setAgentWallet", agentId, wallet.address, ...(await consent()));
      const buyerAddress = await buyer.getAddress();
      const sold = await mine("safeTransferFrom(address,address,uint256)", ownerAddress, buyerAddress, agentId);
      expect(sold.map((log) => log.name)).to.deep.equal(["MetadataSet", "Transfer"]);
      expect(await read("getAgentWallet", agentId)).to.equal(ZeroAddress);
      expect(await read("isAuthorizedOrOwner", buyerAddress, agentId)).to.equal(true);
      expect(await read("isAuthorizedOrOwner", ownerAddress, agentId)).to.equal(false);
    });

    it("finds its agents by filtered logs", async () => {
      const [agentId] = await register("register(string)", uri);
      const filter = registry.filters["Registered"]?.(agentId);
      const found = await registry.queryFilter(filter ?? "Registered", 0);
      expect(found).to.have.length(1);
      const byKey = registry.filters["MetadataSet"]?.(agentId, "agentWallet");
      expect(await registry.queryFilter(byKey ?? "MetadataSet", 0)).to.have.length(1);
    });

    it("is told of a reserved key and of a foreign agent by a revert", async () => {
      const [agentId] = await register("register(string)", uri);
      const refused = async (act: Promise<unknown>): Promise<string> =>
        act.then(
          () => "accepted",
          (error: { code?: string }) => error.code ?? "unknown",
        );
      expect(await refused(read("setMetadata", agentId, "agentWallet", "0x01"))).to.equal("CALL_EXCEPTION");
      const foreign = registry.connect(buyer) as Contract;
      expect(await refused(foreign.getFunction("setAgentURI").staticCall(agentId, "x"))).to.equal("CALL_EXCEPTION");
    });
  });
}
