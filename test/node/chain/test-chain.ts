import { network } from "hardhat";
import { custom } from "viem";
import { createChainClient } from "../../../node/chain/connect.ts";

export { testSigner } from "../../fixtures/keys.ts";

/** A chain in this process: Hardhat's own clients, our read client over the same provider, and control of time. */
export async function createTestChain() {
  const { viem, networkHelpers, provider } = await network.create();
  const transport = custom(provider, { retryCount: 0 });
  return { viem, networkHelpers, provider, transport, client: createChainClient(transport, 31_337) };
}
