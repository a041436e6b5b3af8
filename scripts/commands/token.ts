import { Command } from "commander";
import type { Abi, Hex } from "viem";
import { createSigner, SuretyError, testTokenAbi } from "#protocol";
import { runAction, type Outcome } from "../cli/action.ts";
import { readKeyFile } from "../cli/key.ts";
import { connect, LOCAL_CHAIN_ID, type Connection } from "../cli/network.ts";
import { addNetworkOptions, jsonOption, parseAddress, parseAmount, type CommonOptions } from "../cli/options.ts";
import { sendCall } from "../cli/sending.ts";

/** Symbol of contracts/mocks/TestToken.sol, whose mint is open. */
const TEST_SYMBOL = "tUSD";

interface MintOptions extends CommonOptions {
  readonly keyFile: string;
  readonly to?: Hex;
}

export function tokenCommand(): Command {
  const token = new Command("token").description("the test token of a local chain");
  addNetworkOptions(token.command("mint"))
    .description("mint the worthless test token of a local chain, to pay and to stake with")
    .argument("<amount>", "how much, in its smallest unit: 1000000 = 1 tUSD", parseAmount)
    .requiredOption("--key-file <path>", "key of the account that pays the gas")
    .option("--to <address>", "who gets it; default: the key's account", parseAddress)
    .addOption(jsonOption())
    .action((amount: bigint, options: MintOptions) =>
      runAction(options.json, ({ signal }) => mint(amount, options, signal)),
    );
  return token;
}

async function mint(amount: bigint, options: MintOptions, signal: AbortSignal): Promise<Outcome> {
  const key = readKeyFile(options.keyFile);
  const connection = await connect(options, signal);
  const to = options.to ?? createSigner(key).address;
  const address = await requireTestToken(connection);
  const call = { abi: testTokenAbi as Abi, address, functionName: "mint", args: [to, amount] };
  const { hash } = await sendCall(connection, key, call, signal);
  const token = { abi: testTokenAbi, address } as const;
  const balanceWei = await connection.client.readContract({ ...token, functionName: "balanceOf", args: [to] });
  return {
    result: { token: address, to, amountWei: amount, balanceWei, transactionHash: hash },
    lines: [`minted ${amount} for ${to}, which has ${balanceWei} of ${address} now; ${hash}`],
  };
}

/** @returns the token's address @throws SuretyError TOKEN_NOT_LOCAL, TOKEN_NOT_TEST */
async function requireTestToken({ client, deployment: { chainId, contracts } }: Connection): Promise<Hex> {
  const { token } = contracts;
  if (chainId !== LOCAL_CHAIN_ID) {
    throw new SuretyError(
      "TOKEN_NOT_LOCAL",
      `Tokens are minted on a local chain (${LOCAL_CHAIN_ID}), not on ${chainId}.`,
      {
        values: { chainId, token },
        next: `Get the token ${token} as on any network: from somebody who has it.`,
      },
    );
  }
  const symbol = await client.readContract({ abi: testTokenAbi, address: token, functionName: "symbol" });
  if (symbol === TEST_SYMBOL) return token;
  throw new SuretyError("TOKEN_NOT_TEST", `The token ${token} is ${symbol}, not the test token.`, {
    values: { symbol, token },
    next: "Get it from somebody who has it, or deploy without --token for a test token.",
  });
}
