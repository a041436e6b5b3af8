import { encodeFunctionData, type Hex } from "viem";
import {
  evidenceOf,
  evidenceSlasherAbi,
  reportCommitmentOf,
  stakeVaultAbi,
  SuretyError,
  type Deployment,
  type Fork,
  type SignedBatch,
  windowValidatorsAbi,
} from "#protocol";
import type { ChainSender, Heads, WriteArgs, WriteName } from "../chain/port.ts";
import type { Store } from "../store/port.ts";

export interface ReporterOptions {
  readonly sender: ChainSender;
  readonly heads: Heads;
  readonly deployment: Deployment;
  readonly store: Store;
  readonly random: () => Hex;
  readonly onFault: (fault: unknown) => void;
  /** @param offender the log, or the validator and its topic */
  readonly onReported?: (offender: string, transaction: Hex) => void;
}

/** Two batch headers of one window, signed by one validator. */
export interface TwiceSigned {
  readonly agentId: number;
  readonly window: number;
  readonly first: SignedBatch;
  readonly second: SignedBatch;
}

const MIGRATIONS = [
  `CREATE TABLE reporter_fork (
    log TEXT PRIMARY KEY, call TEXT NOT NULL, salt TEXT NOT NULL, is_reserved INTEGER NOT NULL, is_done INTEGER NOT NULL
  ) WITHOUT ROWID, STRICT`,
  // Each sequence number that a log has twice is an offence of its own; those of before have one each.
  `CREATE TABLE reporter_offence (
    log TEXT NOT NULL, seq INTEGER NOT NULL, call TEXT NOT NULL, salt TEXT NOT NULL, is_reserved INTEGER NOT NULL,
    is_done INTEGER NOT NULL, PRIMARY KEY (log, seq)
  ) WITHOUT ROWID, STRICT;
  INSERT INTO reporter_offence SELECT log, -1, call, salt, is_reserved, is_done FROM reporter_fork;
  DROP TABLE reporter_fork`,
  // Whose call it is: '' = the evidence slasher's.
  "ALTER TABLE reporter_offence ADD COLUMN module TEXT NOT NULL DEFAULT ''",
];
/** Forks that wait to be reported; a flood of them is somebody's attack, and the first ones are as good as any. */
const MAX_WAITING = 1_024;
/** Of one log: who forks it at every entry must not take the places of all others. */
const MAX_WAITING_OF_LOG = 16;

interface Row {
  readonly log: string;
  /** -1: of a store before offences were told apart. */
  readonly seq: number;
  readonly module: Hex | "";
  readonly call: Hex;
  readonly salt: Hex;
  readonly is_reserved: number;
}

/**
 * Takes two headers that exclude each other to the stake of who signed them: reserved first by a hash, reported a block
 * later, so that who copies the report is paid nothing. Each step is on disk before it is sent, and taken up after a restart.
 */
export class ForkReporter {
  readonly #options: ReporterOptions;
  readonly #lifetime = new AbortController();
  #unsubscribe: () => void = () => undefined;
  #running: Promise<void> | undefined;

  constructor(options: ReporterOptions) {
    this.#options = options;
    options.store.migrate("reporter", MIGRATIONS);
  }

  start(): void {
    this.#unsubscribe = this.#options.heads.subscribe(() => this.#wake());
    this.#wake();
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
    this.#lifetime.abort(
      new SuretyError("REPORTER_STOPPED", "Reporting has stopped.", { next: "Start the node again." }),
    );
    await this.#running;
  }

  /** Only headers of one seq are evidence on chain: a broken link alone may be a gap of the signer's disk. */
  add({ kind, first, second }: Fork): void {
    if (kind !== "same-seq") return;
    const args = [evidenceOf(first), evidenceOf(second)] as const;
    const call = encodeFunctionData({ abi: evidenceSlasherAbi, functionName: "reportEquivocation", args });
    this.#queue(first.header.log, first.header.seq, call, "");
  }

  /** A validator that signed two batch headers of one window. */
  addDoubleSigning({ agentId, window, first, second }: TwiceSigned): void {
    const args = [first, second] as const;
    const call = encodeFunctionData({ abi: windowValidatorsAbi, functionName: "reportDoubleSigning", args });
    const { windowValidators } = this.#options.deployment.contracts;
    this.#queue(`validator ${agentId} of ${first.header.topic}`, window, call, windowValidators);
  }

  #queue(offender: string, seq: number, call: Hex, module: Hex | ""): void {
    const { store, random } = this.#options;
    const insert = store.prepare(
      `INSERT OR IGNORE INTO reporter_offence (log, seq, call, salt, is_reserved, is_done, module) SELECT ?1, ?2, ?3, ?4, 0, 0, ?5
       WHERE (SELECT count(*) FROM reporter_offence WHERE is_done = 0) < ${MAX_WAITING}
       AND (SELECT count(*) FROM reporter_offence WHERE is_done = 0 AND log = ?1) < ${MAX_WAITING_OF_LOG}`,
    );
    store.transaction(() => insert.run(offender, seq, call, random(), module));
    this.#wake();
  }

  #wake(): void {
    if (this.#lifetime.signal.aborted) return;
    this.#running ??= this.#run()
      .catch((fault: unknown) => {
        if (!this.#lifetime.signal.aborted) this.#options.onFault(fault);
      })
      .finally(() => {
        this.#running = undefined;
      });
  }

  async #run(): Promise<void> {
    const rows = this.#options.store.prepare<Row>("SELECT * FROM reporter_offence WHERE is_done = 0").all();
    for (const row of rows) {
      try {
        if (row.is_reserved === 0) await this.#reserve(row);
        await this.#report(row);
      } catch (fault) {
        // One that has to wait for a block holds up no other; the next head wakes it again.
        if (this.#lifetime.signal.aborted) throw fault;
        this.#options.onFault(fault);
      }
    }
  }

  async #reserve(row: Row): Promise<void> {
    const { call, salt } = row;
    const { sender } = this.#options;
    const module = this.#moduleOf(row);
    const commitment = reportCommitmentOf({ reporter: sender.address, module, call, salt });
    await this.#send("reserve", [commitment]);
    this.#mark(row, "is_reserved");
  }

  async #report(row: Row): Promise<void> {
    const { log, call, salt } = row;
    const { onFault, onReported } = this.#options;
    try {
      const hash = await this.#send("report", [this.#moduleOf(row), call, salt]);
      onReported?.(log, hash);
    } catch (fault) {
      if (!(fault instanceof SuretyError) || !fault.code.startsWith("CALL_REVERTED_")) throw fault;
      if (fault.code.endsWith("NOT_RESERVED")) {
        // Too early is a matter of a block. No reservation at all: a reorg took it, or a report before a restart used it.
        if (fault.values["reservedAt"] === 0n) this.#mark(row, "is_reserved", 0);
        throw fault;
      }
      // The slasher refuses it for ever, as a fork that was paid for.
      onFault(fault);
    }
    this.#mark(row, "is_done");
  }

  #moduleOf({ module }: Row): Hex {
    return module === "" ? this.#options.deployment.contracts.evidenceSlasher : module;
  }

  #mark({ log, seq }: Row, column: "is_reserved" | "is_done", value: 0 | 1 = 1): void {
    const { store } = this.#options;
    store.transaction(() =>
      store.prepare(`UPDATE reporter_offence SET ${column} = ? WHERE log = ? AND seq = ?`).run(value, log, seq),
    );
  }

  async #send<F extends WriteName<typeof stakeVaultAbi>>(
    functionName: F,
    args: WriteArgs<typeof stakeVaultAbi, F>,
  ): Promise<Hex> {
    const { sender, deployment } = this.#options;
    const vault = { address: deployment.contracts.stakeVault, abi: stakeVaultAbi };
    return (await sender.send({ ...vault, functionName, args, isOnce: true }, this.#lifetime.signal)).hash;
  }
}
