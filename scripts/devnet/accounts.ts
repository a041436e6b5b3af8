import { bytesToHex, type Hex } from "viem";
import { mnemonicToAccount } from "viem/accounts";
import { createSigner } from "#protocol";

/** Hardhat's public test mnemonic. Everybody knows its keys: nothing of value may ever be sent to them. */
const TEST_MNEMONIC = "test test test test test test test test test test test junk";

/** Hardhat funds the first 20 accounts; agents take those after them, so that they never race with the deployer. */
const FIRST_AGENT_INDEX = 20;

export interface TestAccount {
  readonly address: Hex;
  readonly key: Hex;
}

/** Ethereum's standard path, m/44'/60'/0'/0: derived once, because stretching the mnemonic takes 40 ms. */
const parent = mnemonicToAccount(TEST_MNEMONIC, { path: "m/44'/60'/0'/0" }).getHdKey();

/** Account `index` of the public test mnemonic. */
export function testAccount(index: number): TestAccount {
  const { privateKey } = parent.deriveChild(index);
  if (privateKey === null) throw new Error("the test mnemonic gave no key");
  return { address: createSigner(privateKey).address, key: bytesToHex(privateKey) };
}

export const agentAccount = (index: number): TestAccount => testAccount(FIRST_AGENT_INDEX + index);
