import { type Hex } from "viem";
import type { Signer } from "#protocol";
import type { Store } from "../store/port.ts";
import { createCardKeys } from "./a2a/keys.ts";
import { createA2aMounts } from "./a2a/mounts.ts";
import { createDocumentMounts } from "./documents.ts";
import { createToolMounts } from "./mcp/mounts.ts";
import type { Desks } from "./mcp/tools.ts";
import type { AgentSelf } from "./self.ts";
import type { Mount } from "./server.ts";

export interface FrontOptions {
  readonly self: AgentSelf;
  readonly desks: Desks;
  readonly signer: Signer;
  readonly key: Hex;
  readonly store: Store;
  readonly stopping: AbortSignal;
  readonly onFault: (fault: unknown) => void;
}

/** Everything by which clients that know nothing of Surety reach an agent. */
export function createFront({ self, desks, signer, key, store, stopping, onFault }: FrontOptions): Mount[] {
  const keys = createCardKeys(key, signer, self.chainId);
  return [
    ...createDocumentMounts(self, keys, desks.audit.client),
    ...createToolMounts(desks, onFault),
    ...createA2aMounts(self, keys, { orders: desks.orders, agents: desks.agents, store, stopping }),
  ];
}
