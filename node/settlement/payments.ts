import { isAddressEqual, maxUint256, parseSignature, zeroAddress, type Address } from "viem";
import { domainSeparatorOf, permitDigestOf, type Domain } from "#protocol";
import { withSignal } from "../chain/clock.ts";
import { unreachable, type ChainClient } from "../chain/connect.ts";
import type { ChainSender, ContractCall } from "../chain/port.ts";
import { erc20Abi } from "./erc20.ts";
import type { Relay } from "./relay.ts";

/** Permits end at the full hour after the next: equal ones of one hour are one transaction, and none is good for ever. */
const PERMIT_SECONDS = 3_600;
/** Of domains that their tokens do not name; each is compared with the token's separator. */
const COMMON_VERSIONS = ["1", "2"];

/** How this account pays into a contract: allowances are one number for all deals, so that they change one at a time. */
export class Payments {
  readonly #client: ChainClient;
  readonly #sender: ChainSender;
  readonly #relay: Relay | undefined;
  #approvals: Promise<unknown> = Promise.resolve();

  /** @param relay sends allowances by signature, where the token takes them */
  constructor(client: ChainClient, sender: ChainSender, relay?: Relay) {
    this.#client = client;
    this.#sender = sender;
    this.#relay = relay;
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
      if (allowed !== allowance) await this.#allow(token, spender, allowed, signal);
      await use();
    });
    this.#approvals = turn.catch(() => undefined);
    await turn;
  }

  async #allow(token: Address, spender: Address, allowed: bigint, signal: AbortSignal): Promise<void> {
    const target = { abi: erc20Abi, address: token, isOnce: true };
    const permit = this.#relay && (await this.#permit(this.#relay, token, { spender, value: allowed }, signal));
    if (this.#relay !== undefined && permit !== undefined) {
      const call = { ...target, functionName: "permit", args: permit };
      await this.#relay.sender.send(call, signal).catch(async (fault: unknown) => {
        // Whoever saw the signature may have sent it first: then it is done.
        if ((await this.allowanceOf(token, spender, signal)) !== allowed) throw fault;
      });
      return;
    }
    const approval: ContractCall = { ...target, functionName: "approve", args: [spender, allowed] };
    await this.#sender.send(approval, signal);
  }

  /** Arguments of an allowance by signature (EIP-2612); undefined if the token takes none. */
  async #permit(
    { signer, chainTime }: Relay,
    token: Address,
    { spender, value }: { spender: Address; value: bigint },
    signal: AbortSignal,
  ) {
    const query = { address: token, abi: erc20Abi } as const;
    const owner = signer.address;
    const [domain, nonce] = await Promise.all([
      this.#domainOf(token, signal),
      this.#unlessRefused(this.#client.readContract({ ...query, functionName: "nonces", args: [owner] }), signal),
    ]);
    if (domain === undefined || nonce === undefined) return undefined;
    const deadline = BigInt((Math.floor(chainTime() / PERMIT_SECONDS) + 2) * PERMIT_SECONDS);
    const signature = signer.sign(permitDigestOf({ owner, spender, value, nonce, deadline }, domain));
    const { r, s, yParity } = parseSignature(signature);
    return [owner, spender, value, deadline, 27 + yParity, r, s] as const;
  }

  /** The domain under which the token takes EIP-3009 authorizations; undefined if it takes none. */
  async authorizationDomainOf(token: Address, signal: AbortSignal): Promise<Domain | undefined> {
    if (token === zeroAddress) return undefined;
    const nonce = `0x${"00".repeat(32)}` as const;
    const args = [this.#sender.address, nonce] as const;
    const query = { address: token, abi: erc20Abi, functionName: "authorizationState", args } as const;
    const [domain, state] = await Promise.all([
      this.#domainOf(token, signal),
      this.#unlessRefused(this.#client.readContract(query), signal),
    ]);
    return state === undefined ? undefined : domain;
  }

  /** Named by the token (ERC-5267), or found by its separator: USDC and older tokens have no more to say of it. */
  async #domainOf(token: Address, signal: AbortSignal): Promise<Domain | undefined> {
    const query = { address: token, abi: erc20Abi } as const;
    const read = (functionName: "name" | "version") =>
      this.#unlessRefused(this.#client.readContract({ ...query, functionName }), signal);
    const named = this.#client.readContract({ ...query, functionName: "eip712Domain" });
    const answer = await this.#unlessRefused(named, signal);
    if (answer !== undefined) {
      const [, name, version, chainId, verifyingContract] = answer;
      // Under another contract's domain we would sign away that one's tokens.
      const isOwn = isAddressEqual(verifyingContract, token) && chainId === BigInt(this.#client.chain.id);
      return isOwn ? { name, version, chainId: Number(chainId), verifyingContract } : undefined;
    }
    const separating = this.#client.readContract({ ...query, functionName: "DOMAIN_SEPARATOR" });
    const separator = await this.#unlessRefused(separating, signal);
    const name = separator && (await read("name"));
    if (separator === undefined || name === undefined) return undefined;
    const versions = new Set([...COMMON_VERSIONS, (await read("version")) ?? ""]);
    return [...versions]
      .map((version) => ({ name, version, chainId: this.#client.chain.id, verifyingContract: token }))
      .find((domain) => domainSeparatorOf(domain) === separator);
  }

  /** What a token does not answer, it does not know. */
  async #unlessRefused<T>(answer: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
    try {
      return await withSignal(answer, signal);
    } catch {
      signal.throwIfAborted();
      return undefined;
    }
  }
}
