import type { IncomingMessage } from "node:http";
import type { Exchange } from "../server.ts";

/** A2A of one agent, once it was asked for. */
export interface A2aService {
  answer(exchange: Exchange): Promise<void>;
  cardFor(request: IncomingMessage): object;
}

/** A request that names no version is one of 0.3, which had no such header (A2A 1.0 §3.6.2). */
export const isLegacy = ({ headers }: IncomingMessage): boolean => {
  const version = headers["a2a-version"] ?? "";
  return version === "" || version === "0.3";
};
