import { maxUint256, zeroAddress, type Address } from "viem";
import type { Domain } from "#protocol";
import { withSignal } from "../chain/clock.ts";
import { unreachable, type ChainClient } from "../chain/connect.ts";
import type { ChainSender, ContractCall } from "../chain/port.ts";
import { erc20Abi } from "./erc20.ts";

/** How this account pays into a contract: allowances are one number for all deals, so that they change one at a time. */
export class Payments {
  readonly #client: ChainClient;
  readonly #sender: ChainSender;
  #approvals: Promise<unknown> = Promise.resolve();

  constructor(client: ChainClient, sender: ChainSender) {
    this.#client = client;
    this.#sender = sender;
  }

  async allowanceOf(token: Address, spender: Address, signal: AbortSignal): Promise<bigint> {
    const args = [this.#sender.address, spender] as const;
    const query = { address: token, abi: erc20Abi, functionName: "allowance", args } as const;
    try {
      return await withSignal(this.#client.readContract(query), signal);
    } catch (cause) {
      signal.throwIfAborted();
      throw unreachable(cause);
    }
  }

  /** Allows `amount` more than is allowed already, as far as a number goes, then runs `use` before anybody else changes the allowance. */
  async withAllowance(
    { token, spender, amount }: { token: Address; spender: Address; amount: bigint },
    use: () => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const turn = this.#approvals.then(async () => {
      const allowance = await this.allowanceOf(token, spender, signal);
      // Who has allowed everything has allowed this, and there is no number above it.
      const allowed = allowance > maxUint256 - amount ? maxUint256 : allowance + amount;
      const approval: ContractCall = {
        ...{ abi: erc20Abi, address: token, functionName: "approve", args: [spender, allowed] },
        isOnce: true,
      };
      if (allowed !== allowance) await this.#sender.send(approval, signal);
      await use();
    });
    this.#approvals = turn.catch(() => undefined);
    await turn;
  }

  /** The domain under which the token takes EIP-3009 authorizations; undefined if it takes none. */
  async authorizationDomainOf(token: Address, signal: AbortSignal): Promise<Domain | undefined> {
    if (token === zeroAddress) return undefined;
    const nonce = `0x${"00".repeat(32)}` as const;
    const query = { address: token, abi: erc20Abi } as const;
    const probes = Promise.all([
      this.#client.readContract({ ...query, functionName: "eip712Domain" }),
      this.#client.readContract({ ...query, functionName: "authorizationState", args: [this.#sender.address, nonce] }),
    ]);
    try {
      const [[, name, version, chainId, verifyingContract]] = await withSignal(probes, signal);
      return { name, version, chainId: Number(chainId), verifyingContract };
    } catch {
      signal.throwIfAborted();
      return undefined;
    }
  }
}
