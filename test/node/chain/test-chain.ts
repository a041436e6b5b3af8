import { network } from "hardhat";
import { custom } from "viem";
import { mnemonicToAccount } from "viem/accounts";
import { createSigner, type Signer } from "#protocol";
import { createChainClient } from "../../../node/chain/connect.ts";

/** Hardhat's public test mnemonic: its accounts are rich on every local chain and worthless elsewhere. */
const TEST_MNEMONIC = "test test test test test test test test test test test junk";

/** Account 0, 1, … of the test mnemonic. */
export function testSigner(index: number): Signer {
  const { privateKey } = mnemonicToAccount(TEST_MNEMONIC, { addressIndex: index }).getHdKey();
  return createSigner(privateKey as Uint8Array);
}

/** A chain in this process: Hardhat's own clients, our read client over the same provider, and control of time. */
export async function createTestChain() {
  const { viem, networkHelpers, provider } = await network.create();
  const transport = custom(provider, { retryCount: 0 });
  return { viem, networkHelpers, provider, transport, client: createChainClient(transport, 31_337) };
}
