import type { AgentPort } from "./discovery/port.ts";
import type { Gossip } from "./gossip/gossip.ts";
import type { Journal } from "./journal.ts";
import type { ForkReporter } from "./settlement/reporter.ts";
import type { Resolver } from "./transport/addressing/resolver.ts";
import { createWindowChain, type WindowChainOptions } from "./windows/chain.ts";
import { createWindows, type WindowsOptions } from "./windows/windows.ts";

type Given = "chain" | "peers" | "onOffence" | "onBatch" | "onSkipped" | "onStep" | "onFault";

/** What the role of a window validator takes of a node's other parts. */
export interface TopicOrderParts extends Omit<WindowsOptions, Given>, WindowChainOptions {
  readonly signers: AgentPort;
  readonly gossip: Gossip;
  readonly resolver: Resolver;
  readonly reporter: ForkReporter;
  readonly journal: Journal;
}

/** Plays the role; what it sees and does is in the journal. @returns ends it @throws SuretyError CHAIN_UNREACHABLE */
export async function orderTopics(parts: TopicOrderParts, signal: AbortSignal): Promise<() => Promise<void>> {
  const { signers, gossip, resolver, reporter, journal } = parts;
  const windows = createWindows({
    ...parts,
    chain: await createWindowChain(parts, signal),
    peers: {
      agentOf: (address, asked) => signers.agentOf(address, asked),
      fetchLog: (peer, log) => gossip.fetch(peer, log),
      async reach(agentId, asked) {
        const peer = await resolver.dialAgent(agentId, asked);
        return peer.kind === "accept" ? peer.value : undefined;
      },
    },
    onOffence(offence) {
      journal.note("double-signing", { agentId: offence.agentId, window: offence.window });
      reporter.addDoubleSigning(offence);
    },
    onBatch: (topic, { header }) => journal.note("batch", { topic, window: header.window, count: header.count }),
    onStep: (step, topic) => journal.note("windows", { step, topic }),
    onFault: (fault) => journal.fault("windows", fault),
  });
  const unhear = gossip.onHeader((header) => windows.hear(header));
  await windows.start();
  return async () => {
    unhear();
    await windows.stop();
  };
}
