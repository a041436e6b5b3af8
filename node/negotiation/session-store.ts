import type { Hex } from "viem";
import type { Durability, Store } from "../store/port.ts";
import type { ClientSession } from "./client.ts";
import type { ProviderSession } from "./provider.ts";
import { decodeRecord, encodeRecord } from "../store/records.ts";

export type Session = ClientSession | ProviderSession;

/** Sessions that want a tick or a message; the rest only prove that their call was seen. */
const OPEN = "('called', 'opening', 'offered', 'considering', 'bid')";

const MIGRATIONS = [
  `CREATE TABLE negotiation_sessions (
    call_id TEXT NOT NULL,
    role TEXT NOT NULL,
    phase TEXT NOT NULL,
    client_agent TEXT NOT NULL,
    peer TEXT NOT NULL,
    keep_until_ms INTEGER NOT NULL,
    session TEXT NOT NULL,
    PRIMARY KEY (call_id, role)
  ) STRICT`,
  `CREATE INDEX negotiation_sessions_open ON negotiation_sessions (phase, client_agent)`,
];

/** A session with the peer on the other side; a client's own sessions have many, and keep them within. */
export interface StoredSession {
  readonly session: Session;
  readonly peer: string;
}

interface Row {
  session: string;
  peer: string;
}

/** Sessions on disk: written, and synced before anything of them is sent. */
export class SessionStore {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
    store.migrate("negotiation", MIGRATIONS);
  }

  /**
   * @param keepUntilMs a replay of anything in the session is refused by its own times from then on
   * @param durability "relaxed" where nothing leaves us because of it: a power cut then takes back what others send again
   */
  put(session: Session, peer: string, keepUntilMs: number, durability: Durability = "synced"): void {
    const { callId, role, phase, call } = session;
    this.#store.transaction(() => {
      this.#store
        .prepare("INSERT OR REPLACE INTO negotiation_sessions VALUES (?, ?, ?, ?, ?, ?, ?)")
        .run(callId, role, phase, call.clientAgentId.toString(), peer, keepUntilMs, encodeRecord(session));
    }, durability);
  }

  get<R extends Session["role"]>(
    callId: Hex,
    role: R,
  ): { session: Extract<Session, { role: R }>; peer: string } | undefined {
    const row = this.#store
      .prepare<Row>("SELECT session, peer FROM negotiation_sessions WHERE call_id = ? AND role = ?")
      .get(callId, role);
    return row && { session: decodeRecord<Extract<Session, { role: R }>>(row.session), peer: row.peer };
  }

  /** Every session that may still have to do something, agreed ones included: settlement may not have heard of them. */
  all(): StoredSession[] {
    const rows = this.#store.prepare<Row>("SELECT session, peer FROM negotiation_sessions ORDER BY rowid").all();
    return rows.map(({ session, peer }) => ({ session: decodeRecord<Session>(session), peer }));
  }

  countOpen(clientAgentId?: bigint): number {
    const [filter, values] =
      clientAgentId === undefined ? ["", []] : [" AND client_agent = ?", [clientAgentId.toString()]];
    const sql = `SELECT count(*) AS n FROM negotiation_sessions WHERE role = 'provider' AND phase IN ${OPEN}${filter}`;
    return this.#store.prepare<{ n: number }>(sql).get(...values)?.n ?? 0;
  }

  /** Forgets ended sessions that no replay can bring back. @returns how many */
  prune(nowMs: number): number {
    const sql = `DELETE FROM negotiation_sessions WHERE keep_until_ms < ? AND phase NOT IN ${OPEN}`;
    return this.#store.transaction(() => this.#store.prepare(sql).run(nowMs), "relaxed");
  }
}
