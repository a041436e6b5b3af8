import { anchorsAbi, type Deployment } from "#protocol";
import type { AnchorPort } from "../log/anchorer.ts";
import { withSignal } from "./clock.ts";
import { unreachable, type ChainClient } from "./connect.ts";
import type { ChainSender } from "./port.ts";

/** The contract that keeps roots of log ranges. */
export function createAnchorChain(
  client: ChainClient,
  deployment: Deployment,
  sender: ChainSender,
): Pick<AnchorPort, "nextSeqOf" | "anchor"> {
  const address = deployment.contracts.anchors;
  return {
    async nextSeqOf(log, signal) {
      const answer = client.readContract({ abi: anchorsAbi, address, functionName: "anchoredUpTo", args: [log] });
      try {
        return (await withSignal(answer, signal))[0];
      } catch (cause) {
        signal.throwIfAborted();
        throw unreachable(cause);
      }
    },
    async anchor(ranges, signal) {
      const args = [ranges.map(({ anchor }) => anchor), ranges.map(({ signature }) => signature)];
      await sender.send({ abi: anchorsAbi, address, functionName: "anchorLogs", args }, signal);
    },
  };
}
