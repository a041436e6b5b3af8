import type { Address } from "viem";
import type { Store } from "../store/port.ts";
import { decodeRecord, encodeRecord } from "../store/records.ts";
import type { Flight } from "./sender-machine.ts";

/** What a sender must not forget: its transactions that are not final yet. */
export interface FlightStore {
  /** On disk when it returns: a transaction is saved before it is broadcast. */
  put(flight: Flight): void;
  remove(nonce: number): void;
  all(): Flight[];
}

const MIGRATIONS = [
  `CREATE TABLE chain_flights (
    account TEXT NOT NULL,
    nonce INTEGER NOT NULL,
    flight TEXT NOT NULL,
    PRIMARY KEY (account, nonce)
  ) WITHOUT ROWID, STRICT`,
];

/** Flights of one account of one chain in a node's store. */
export function createFlightStore(store: Store, chainId: number, address: Address): FlightStore {
  const account = `${chainId}:${address}`;
  store.migrate("chain", MIGRATIONS);
  return {
    put(flight) {
      const insert = store.prepare("INSERT OR REPLACE INTO chain_flights VALUES (?, ?, ?)");
      store.transaction(() => insert.run(account, flight.nonce, encodeRecord(flight)));
    },
    remove(nonce) {
      const erase = store.prepare("DELETE FROM chain_flights WHERE account = ? AND nonce = ?");
      store.transaction(() => erase.run(account, nonce));
    },
    all() {
      const select = store.prepare<{ flight: string }>("SELECT flight FROM chain_flights WHERE account = ?");
      return select.all(account).map(({ flight }) => decodeRecord<Flight>(flight));
    },
  };
}

/** For senders that end with their process: a command line, a test. */
export function createVolatileFlights(): FlightStore {
  const flights = new Map<number, Flight>();
  return {
    put: (flight) => void flights.set(flight.nonce, flight),
    remove: (nonce) => void flights.delete(nonce),
    all: () => [...flights.values()],
  };
}
