// Validators of one topic in one process: their machines, their disks, and a network that loses, delays and doubles what it likes.
import { concat, keccak256, numberToHex, zeroAddress, zeroHash, type Hex } from "viem";
import {
  batchRootOf,
  createWindowState,
  leaderSeatOf,
  quorumOf,
  stepWindow,
  structHash,
  windowAt,
  type BatchEntry,
  type BatchHeader,
  type DoubleSigning,
  type HeldEntry,
  type Link,
  type RefusalCode,
  type WindowClock,
  type WindowEffect,
  type WindowEvent,
  type WindowState,
} from "#protocol";

export const TOPIC = 5n;
export const clock: WindowClock = { genesis: 1_000, epochLengthSeconds: 10_000, windowSeconds: 5 };
export const digestOf = (header: BatchHeader): Hex => structHash("BatchHeader", header);
/** Stands for a signature: the machines never check one, whoever drives them does. */
export const signatureOf = (seat: number, digest: Hex): Hex =>
  keccak256(concat([numberToHex(seat, { size: 1 }), digest]));

export const entryOf = (k: number, seq = k % 7, heardMs = k): HeldEntry => ({
  ...{ log: zeroAddress, seq, heardMs },
  digest: numberToHex(k + 1, { size: 32 }),
});

export interface Validator {
  readonly seat: number;
  state: WindowState;
  /** What survives a crash. */
  readonly disk: Map<number, Hex>;
  lastOnDisk: Link | undefined;
  readonly held: Map<Hex, HeldEntry>;
  readonly refusals: RefusalCode[];
  readonly found: DoubleSigning[];
  readonly skipped: number[];
}

interface Message {
  readonly to: number;
  readonly event: (network: Network) => WindowEvent | undefined;
}

export interface Batch {
  readonly header: BatchHeader;
  readonly signatures: readonly (Hex | undefined)[];
  readonly entries: readonly BatchEntry[];
}

export class Network {
  readonly validators: Validator[];
  /** Seats that sign whatever they are asked to, and propose two orders at once. */
  readonly liars: ReadonlySet<number>;
  second = clock.genesis;
  readonly mail: Message[] = [];
  readonly batches: Batch[] = [];
  /** Who signed which header of a window, ever, whoever saw it. */
  readonly signers = new Map<number, Map<Hex, Set<number>>>();
  readonly requests = new Map<number, { readonly from: number; readonly digest: Hex }>();
  readonly shown = new Map<Hex, { readonly header: BatchHeader; readonly entries: readonly BatchEntry[] }>();
  #nextRequest = 0;

  constructor(seats: number, liars: readonly number[] = []) {
    this.liars = new Set(liars);
    this.validators = Array.from({ length: seats }, (_, seat) => ({
      ...{ seat, state: this.#boot(seat, seats, undefined, new Map()), disk: new Map(), lastOnDisk: undefined },
      ...{ held: new Map(), refusals: [], found: [], skipped: [] },
    }));
  }

  get quorum(): number {
    return quorumOf(this.validators.length);
  }

  at(seat: number): Validator {
    return this.validators[seat] as Validator;
  }

  hear(seat: number, entries: readonly HeldEntry[]): void {
    for (const entry of entries) this.at(seat).held.set(entry.digest, entry);
    this.step(seat, { kind: "held", entries });
  }

  tick(seconds: number): void {
    this.second += seconds;
    for (const { seat } of this.validators) this.step(seat, { kind: "time", second: this.second });
    for (const seat of this.liars) this.#lie(seat);
  }

  /** @param index of the message; out of order is what networks do */
  deliver(index: number, isKept = false): void {
    const message = this.mail[index];
    if (message === undefined) return;
    if (!isKept) this.mail.splice(index, 1);
    const event = message.event(this);
    if (event !== undefined) this.step(message.to, event);
  }

  settle(): void {
    while (this.mail.length > 0) this.deliver(0);
  }

  /** Loses all that is not on disk, and hears its log headers again. */
  crash(seat: number): void {
    const validator = this.at(seat);
    validator.state = this.#boot(seat, this.validators.length, validator.lastOnDisk, new Map(validator.disk));
    this.step(seat, { kind: "held", entries: [...validator.held.values()] });
  }

  /** @param crashesBefore dies before the effect of this number is done */
  step(seat: number, event: WindowEvent, crashesBefore = Infinity): void {
    const validator = this.at(seat);
    const [state, effects] = stepWindow(validator.state, event);
    validator.state = state;
    for (const [k, effect] of effects.entries()) {
      if (k >= crashesBefore) return this.crash(seat);
      this.#perform(validator, effect);
    }
  }

  #boot(seat: number, seats: number, last: Link | undefined, signed: Map<number, Hex>): WindowState {
    return createWindowState({ topic: TOPIC, epoch: 1, seats, seat, clock, digestOf }, last, signed);
  }

  #perform(validator: Validator, effect: WindowEffect): void {
    const { seat, disk } = validator;
    switch (effect.kind) {
      case "sign": {
        const { window } = effect.header;
        if ((disk.get(window) ?? effect.digest) !== effect.digest) throw new Error("the disk holds another signature");
        disk.set(window, effect.digest);
        this.#note(window, effect.digest, seat);
        return this.step(seat, { kind: "signed", digest: effect.digest, signature: signatureOf(seat, effect.digest) });
      }
      case "propose":
        return this.propose(seat, effect.header, effect.entries);
      case "answer": {
        const request = this.requests.get(effect.request);
        if (request !== undefined) this.#sendSignature(seat, request.from, request.digest);
        return;
      }
      case "refuse":
        return void validator.refusals.push(effect.code);
      case "fetch": {
        const wanted = effect.entries.flatMap(({ digest }) => this.at(effect.seat).held.get(digest) ?? []);
        this.mail.push({
          to: seat,
          event: () => {
            for (const entry of wanted) validator.held.set(entry.digest, entry);
            return { kind: "held", entries: wanted };
          },
        });
        return;
      }
      case "catchUp":
        return this.#send(
          seat,
          this.batches.findLast((batch) => digestOf(batch.header) === effect.digest),
        );
      case "publish":
        this.batches.push(effect);
        for (const { seat: to } of this.validators) this.#send(to, effect);
        return;
      case "skipped":
        return void validator.skipped.push(effect.window);
      case "evidence":
        validator.found.push(effect.found);
    }
  }

  /** To all other seats. */
  propose(
    seat: number,
    header: BatchHeader,
    entries: readonly BatchEntry[],
    to = this.validators.map((v) => v.seat),
  ): void {
    const digest = digestOf(header);
    const signature = signatureOf(seat, digest);
    this.shown.set(digest, { header, entries });
    for (const other of to) {
      if (other === seat) continue;
      const request = this.#nextRequest++;
      this.requests.set(request, { from: seat, digest });
      this.mail.push({
        to: other,
        event: ({ second }) => ({ kind: "proposal", request, seat, header, signature, entries, second }),
      });
      if (this.liars.has(other)) this.#sendSignature(other, seat, digest);
    }
  }

  #sendSignature(seat: number, to: number, digest: Hex): void {
    const shown = this.shown.get(digest);
    if (shown !== undefined) this.#note(shown.header.window, digest, seat);
    const event = { kind: "signature", digest, seat, signature: signatureOf(seat, digest) } as const;
    this.mail.push({ to, event: () => event });
  }

  #send(to: number, batch: Batch | undefined): void {
    if (batch === undefined) return;
    this.mail.push({
      to,
      event: () => {
        const validator = this.at(to);
        if (batch.header.window > (validator.lastOnDisk?.header.window ?? 0)) {
          validator.lastOnDisk = { digest: digestOf(batch.header), header: batch.header };
        }
        return { ...batch, kind: "sealed" };
      },
    });
  }

  #note(window: number, digest: Hex, seat: number): void {
    const ofWindow = this.signers.get(window) ?? new Map<Hex, Set<number>>();
    this.signers.set(window, ofWindow.set(digest, (ofWindow.get(digest) ?? new Set()).add(seat)));
  }

  /** As the leader of the window that has just ended, a liar shows one order to one half and another one to the other. */
  #lie(seat: number): void {
    const { window, end } = windowAt(clock, Math.max(clock.genesis, this.second - clock.windowSeconds));
    const isLeader = leaderSeatOf(windowAt(clock, window), this.validators.length) === seat;
    if (!isLeader || this.second < end) return;
    const held = [...this.at(seat).state.pool.values()].sort((a, b) => a.seq - b.seq).slice(0, 3);
    const previous = this.at(seat).state.last?.digest ?? zeroHash;
    for (const half of [0, 1]) {
      const entries = held.slice(half).map(({ log, seq, digest }) => ({ log, seq, digest }));
      if (entries.length === 0) continue;
      const header = { topic: TOPIC, window, previous, root: batchRootOf(entries), count: entries.length };
      this.#note(window, digestOf(header), seat);
      for (const liar of this.liars) this.#note(window, digestOf(header), liar);
      const to = this.validators.map((v) => v.seat).filter((other) => this.liars.has(other) || other % 2 === half);
      this.propose(seat, header, entries, to);
    }
  }
}
