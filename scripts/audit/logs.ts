import type { Address, ContractEventArgs, GetContractEventsReturnType, PublicClient } from "viem";
import { type Abi, type ContractEventName } from "viem";

/** Endpoints bound the range or the size of an answer, each in its own words: halve the range until it fits. */
const FIRST_RANGE = 100_000n;

/** All events of one kind from a block on, in chain order, whatever range the endpoint allows. */
export async function readEvents<const abi extends Abi, name extends ContractEventName<abi>>(
  client: PublicClient,
  query: {
    abi: abi;
    address: Address;
    eventName: name;
    args?: ContractEventArgs<abi, name>;
    fromBlock: bigint;
    toBlock: bigint;
  },
): Promise<GetContractEventsReturnType<abi, name, true>> {
  const found: unknown[] = [];
  let range = FIRST_RANGE;
  for (let from = query.fromBlock; from <= query.toBlock;) {
    const last = from + range - 1n < query.toBlock ? from + range - 1n : query.toBlock;
    try {
      found.push(
        ...(await client.getContractEvents({ ...query, fromBlock: from, toBlock: last, strict: true } as never)),
      );
      from = last + 1n;
    } catch (error) {
      if (range === 1n) throw error;
      range = range / 2n;
    }
  }
  return found as GetContractEventsReturnType<abi, name, true>;
}
