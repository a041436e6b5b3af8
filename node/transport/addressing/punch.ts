import { createServer } from "node:net";
import type { IdentifyResult, TypedEventTarget, Libp2pEvents, PeerId, Transport, Upgrader } from "@libp2p/interface";
import { dcutr } from "@libp2p/dcutr";
import { tcp } from "@libp2p/tcp";
import { isPrivate } from "@libp2p/utils";
import type { Multiaddr } from "@multiformats/multiaddr";

/** Addresses at which others saw us, the last ones: as many as a peer's record may hold. */
const MAX_OBSERVED = 8;
/** How often a direct dial may be answered with the relayed connection, before the other's attempt is in vain. */
const MAX_RELAYED = 3;
/** The port, or that pair of addresses, is taken: by an older connection that the system has not forgotten yet. */
const TAKEN: ReadonlySet<unknown> = new Set(["EADDRINUSE", "EADDRNOTAVAIL"]);

/**
 * What two hosts behind NATs need to meet: all dials leave from one port, which nobody listens on, so that a NAT which keeps
 * one mapping a port shows it to a relay and to another host alike; and DCUtR is told what the relay saw. libp2p's own
 * identify leaves such addresses aside, because its dials leave from a new port each.
 */
export interface Puncher {
  readonly transport: (components: Parameters<ReturnType<typeof tcp>>[0]) => Transport;
  readonly service: (components: PunchComponents) => ReturnType<ReturnType<typeof dcutr>>;
}

type PunchComponents = Parameters<ReturnType<typeof dcutr>>[0] & {
  readonly peerId: PeerId;
  readonly events: TypedEventTarget<Libp2pEvents>;
};

export function createPuncher(localPort: number): Puncher {
  const observed = new Map<string, Multiaddr>();
  /** Addresses that are dialled as the side that answers: both dial at once, and libp2p's dial queue forgets who begins. */
  const answering = new Set<string>();

  function note({ connection, observedAddr }: IdentifyResult, self: PeerId): void {
    if (observedAddr === undefined || connection.direction !== "outbound" || connection.limits !== undefined) return;
    if (isPrivate(observedAddr)) return;
    const own = `/p2p/${self.toString()}`;
    const address = observedAddr.toString().endsWith(own) ? observedAddr : observedAddr.encapsulate(own);
    observed.delete(address.toString());
    observed.set(address.toString(), address);
    const oldest = observed.keys().next();
    if (observed.size > MAX_OBSERVED && !oldest.done) observed.delete(oldest.value);
  }

  return {
    transport(components) {
      const transport = tcp()(components);
      // The option is net.connect's; libp2p's type names only some of them.
      const dialOpts = { noDelay: true, localPort };
      const fromOnePort = tcp({ dialOpts })(components);
      const dial = transport.dial.bind(transport);
      transport.dial = async (address, options) => {
        const role = answering.has(address.toString()) ? answer(options.upgrader) : {};
        try {
          return await fromOnePort.dial(address, { ...options, ...role });
        } catch (cause) {
          if (!TAKEN.has((cause as { code?: unknown } | undefined)?.code)) throw cause;
          return dial(address, options);
        }
      };
      return transport;
    },
    service(components) {
      const { logger, peerStore, registrar, connectionManager, transportManager, addressManager } = components;
      components.events.addEventListener("peer:identify", ({ detail }) => note(detail, components.peerId));
      const addresses = () => [...addressManager.getAddresses(), ...observed.values()];
      const open: typeof connectionManager.openConnection = async (target, options) => {
        const dialled = options?.initiator === false && Array.isArray(target) ? target.map(String) : [];
        for (const address of dialled) answering.add(address);
        try {
          // The queue may answer with the dial of the relayed connection, were that still under way: DCUtR would close it.
          for (let attempt = 0; attempt < MAX_RELAYED; attempt++) {
            const connection = await connectionManager.openConnection(target, options);
            if (connection.limits === undefined) return connection;
          }
          throw new Error("the connection is relayed still");
        } finally {
          for (const address of dialled) answering.delete(address);
        }
      };
      return dcutr()({
        ...{ logger, peerStore, registrar, transportManager },
        connectionManager: Object.assign(Object.create(connectionManager) as typeof connectionManager, {
          openConnection: open,
        }),
        addressManager: Object.assign(Object.create(addressManager) as typeof addressManager, {
          getAddresses: addresses,
        }),
      });
    },
  };
}

/** Dial options of the side that answers. The upgrader's role is not enough: the multiplexer takes its own from the socket's direction. */
function answer(upgrader: Upgrader): { readonly initiator: false; readonly upgrader: Upgrader } {
  const answering = Object.create(upgrader) as Upgrader;
  answering.upgradeOutbound = (socket, options) => {
    socket.direction = "inbound";
    return upgrader.upgradeOutbound(socket, options);
  };
  return { initiator: false, upgrader: answering };
}

/** A port that is free now. Should it be taken before a dial, that dial leaves from another. */
export function findFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
