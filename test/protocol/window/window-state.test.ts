import { expect } from "chai";
import fc from "fast-check";
import { isListOf, leaderSeatOf, windowAt, type WindowEvent } from "#protocol";
import { clock, digestOf, entryOf, Network, signatureOf, TOPIC } from "./network.ts";
import { isNightly } from "../../fixtures/profile.ts";

const RUNS = isNightly ? 2_000 : 60;
const STEPS = 120;

const entriesFrom = (from: number, count: number) => Array.from({ length: count }, (_, k) => entryOf(from + k));
const hearAll = (network: Network, from: number, count: number) =>
  network.validators.forEach(({ seat }) => network.hear(seat, entriesFrom(from, count)));
const windowNumber = (index: number) => clock.genesis + index * clock.windowSeconds;

/** Whether more than one header of a window has a quorum of signatures that were ever made, seen or not. */
function forkedWindows({ signers, quorum }: Network): number[] {
  return [...signers].flatMap(([window, headers]) =>
    headers
      .values()
      .filter((seats) => seats.size >= quorum)
      .toArray().length > 1
      ? [window]
      : [],
  );
}

describe("a window's validators", () => {
  it("order what they hold by seq and time, in one round, and each next window's leader is another", () => {
    const network = new Network(4);
    for (let index = 0; index < 5; index++) {
      hearAll(network, 10 * index, 6);
      network.tick(clock.windowSeconds);
      network.settle();
    }
    expect(network.batches).to.have.length(5);
    for (const [index, { header, entries, signatures }] of network.batches.entries()) {
      expect(header.window).to.equal(windowNumber(index));
      expect(isListOf(header, entries)).to.equal(true);
      expect(signatures.filter((signature) => signature !== undefined)).to.have.length(3);
      expect(signatures[leaderSeatOf(windowAt(clock, header.window), 4)]).to.not.equal(undefined);
      if (index > 0) expect(header.previous).to.equal(digestOf(network.batches[index - 1]?.header ?? header));
    }
    expect(network.validators.flatMap(({ refusals, found }) => [...refusals, ...found])).to.deep.equal([]);
    expect(network.validators.every(({ state }) => state.pool.size === 0)).to.equal(true);
  });

  it("skip a window without a quorum, and the next leader takes up what it left", () => {
    const network = new Network(4);
    hearAll(network, 0, 3);
    network.tick(clock.windowSeconds);
    network.mail.splice(0);
    network.tick(clock.windowSeconds);
    network.settle();
    const [batch] = network.batches;
    expect(network.batches).to.have.length(1);
    expect([batch?.header.window, batch?.header.count]).to.deep.equal([windowNumber(1), 3]);
    network.tick(clock.windowSeconds);
    network.tick(clock.windowSeconds);
    expect(network.at(0).skipped).to.deep.equal([windowNumber(2)]);
  });

  it("fetch from the proposer what they miss before they sign", () => {
    const network = new Network(4);
    network.hear(0, entriesFrom(0, 5));
    network.tick(clock.windowSeconds);
    network.settle();
    expect(network.batches.map(({ header }) => header.count)).to.deep.equal([5]);
    expect(network.at(2).held.size).to.equal(5);
  });

  it("sign no list whose places are not those of the log headers, whatever its root", () => {
    const network = new Network(4);
    hearAll(network, 0, 3);
    const { clock: _, ...terms } = network.at(0).state.terms;
    expect(terms.topic).to.equal(TOPIC);
    network.tick(clock.windowSeconds);
    const [honest] = [...network.shown.values()];
    network.mail.splice(0);
    const entries = (honest?.entries ?? []).map((entry) => ({ ...entry, seq: entry.seq + 1 }));
    if (honest !== undefined) network.propose(0, honest.header, entries);
    network.settle();
    expect(network.batches).to.deep.equal([]);
    expect(network.at(1).refusals).to.deep.equal(["WINDOW_LIST"]);
  });

  it("refuse by name what is no proposal of this window's leader, in its time, after what they know", () => {
    const network = new Network(4);
    hearAll(network, 0, 3);
    network.tick(clock.windowSeconds);
    const [{ header, entries } = { header: undefined, entries: [] }] = [...network.shown.values()];
    if (header === undefined) throw new Error("nothing was proposed");
    network.mail.splice(0);
    const proposal = {
      kind: "proposal",
      request: 0,
      seat: 0,
      header,
      signature: "0x",
      entries,
      second: network.second,
    } as const;
    const refusedAs = (change: Partial<Extract<WindowEvent, { kind: "proposal" }>>) => {
      network.step(1, { ...proposal, ...change });
      return network.at(1).refusals.at(-1);
    };
    expect(refusedAs({ seat: 2 })).to.equal("WINDOW_NOT_LEADER");
    expect(refusedAs({ second: network.second - 3 })).to.equal("WINDOW_NOT_NOW");
    expect(refusedAs({ second: network.second + 2 * clock.windowSeconds })).to.equal("WINDOW_NOT_NOW");
    expect(refusedAs({ header: { ...header, topic: 6n } })).to.equal("WINDOW_NOT_OURS");
    expect(refusedAs({ header: { ...header, window: header.window + 1 } })).to.equal("WINDOW_NOT_OURS");
    expect(refusedAs({ entries: entries.slice(1) })).to.equal("WINDOW_LIST");
    expect(refusedAs({ header: { ...header, previous: digestOf(header) } })).to.equal("WINDOW_PREVIOUS");
    network.step(1, proposal);
    const other = { ...header, root: entries[0]?.digest ?? header.root, count: 1 };
    expect(refusedAs({ header: other, entries: entries.slice(0, 1) })).to.equal("WINDOW_SIGNED");
    // The same again is answered with the same signature.
    const before = network.mail.length;
    network.requests.set(9, { from: 0, digest: digestOf(header) });
    network.step(1, { ...proposal, request: 9 });
    expect(network.mail).to.have.length(before + 1);
  });

  it("show who signed two headers of one window, and nobody else", () => {
    const network = new Network(4, [0]);
    hearAll(network, 0, 3);
    network.tick(clock.windowSeconds);
    network.settle();
    const found = network.validators.flatMap((validator) => validator.found);
    expect(found).to.not.have.length(0);
    for (const { seat, first, second, window } of found) {
      expect([seat, window]).to.deep.equal([0, windowNumber(0)]);
      expect(digestOf(first.header)).to.not.equal(digestOf(second.header));
      expect(
        [first, second].map(({ header, signature }) => signature === signatureOf(seat, digestOf(header))),
      ).to.deep.equal([true, true]);
    }
  });

  it("never sign two headers of a window, whichever effect they die before", () => {
    let crashes = 0;
    for (let point = 0; point < 3; point++) {
      for (const seat of [0, 1]) {
        const network = new Network(4);
        hearAll(network, 0, 3);
        network.second += clock.windowSeconds;
        if (seat === 0) network.step(0, { kind: "time", second: network.second }, point);
        else {
          network.step(0, { kind: "time", second: network.second });
          const event = network.mail[0]?.event(network);
          if (event !== undefined) network.step(1, event, point);
        }
        crashes++;
        // It hears more before it comes back, so that it would order otherwise now.
        hearAll(network, 20, 2);
        network.tick(1);
        network.settle();
        for (const headers of network.signers.values()) {
          const signatures = headers
            .values()
            .toArray()
            .flatMap((seats) => [...seats]);
          expect(signatures.filter((signer) => signer === seat).length).to.be.at.most(1);
        }
        network.tick(clock.windowSeconds);
        network.settle();
        expect(network.batches.length, "and goes on in the next window").to.be.at.least(1);
      }
    }
    expect(crashes).to.equal(6);
  });

  it("fewer than a third of liars, losses, delays and crashes never get two headers of a window through", function () {
    this.timeout(isNightly ? 1_200_000 : 60_000);
    let batches = 0;
    let lies = 0;
    const world = fc.record({ seats: fc.integer({ min: 1, max: 7 }), seed: fc.infiniteStream(fc.nat()) });
    fc.assert(
      fc.property(world, ({ seats, seed }) => {
        const dice = (sides: number) => (seed.next().value ?? 0) % sides;
        const liars = Array.from({ length: Math.ceil(seats / 3) - 1 }, (_, k) => (k * 3 + dice(seats)) % seats);
        const network = new Network(seats, [...new Set(liars)]);
        for (let k = 0, next = 0; k < STEPS; k++) {
          const [what, seat] = [dice(12), dice(seats)];
          if (what < 2) network.hear(seat, entriesFrom((next += 3), 3));
          else if (what < 4) network.tick(1 + dice(clock.windowSeconds));
          else if (what < 9) network.deliver(dice(Math.max(1, network.mail.length)));
          else if (what === 9) network.deliver(dice(Math.max(1, network.mail.length)), true);
          else if (what === 10) network.mail.splice(dice(Math.max(1, network.mail.length)), 1);
          else network.crash(seat);
        }
        expect(forkedWindows(network)).to.deep.equal([]);
        for (const { found, seat } of network.validators) {
          if (network.liars.has(seat)) continue;
          expect(found.every((offence) => network.liars.has(offence.seat))).to.equal(true);
          lies += found.length;
        }
        // Then the network heals, and two rounds of leaders later all that everybody holds is in order.
        network.settle();
        hearAll(network, 1_000, 4);
        for (let k = 0; k < 2 * seats + 2; k++) {
          network.tick(clock.windowSeconds);
          network.settle();
        }
        expect(forkedWindows(network)).to.deep.equal([]);
        const ordered = new Set(network.batches.flatMap(({ entries }) => entries.map(({ digest }) => digest)));
        expect(entriesFrom(1_000, 4).every(({ digest }) => ordered.has(digest))).to.equal(true);
        batches += network.batches.length;
      }),
      { numRuns: RUNS },
    );
    expect(batches).to.be.above(RUNS);
    expect(lies).to.be.above(0);
  });
});
