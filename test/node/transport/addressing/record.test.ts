import { privateKeyFromRaw } from "@libp2p/crypto/keys";
import { peerIdFromPrivateKey } from "@libp2p/peer-id";
import { PeerRecord, RecordEnvelope } from "@libp2p/peer-record";
import { multiaddr } from "@multiformats/multiaddr";
import { expect } from "chai";
import fc from "fast-check";
import { hexToBytes } from "viem";
import { MAX_ADDRESSES, MAX_RECORD_BYTES, openRecord } from "../../../../node/transport/addressing/record.ts";
import { subnetOf } from "../../../../node/transport/addressing/subnet.ts";
import { testKey, testSigner } from "../../../fixtures/log.ts";

const keyOf = (index: number) => privateKeyFromRaw(hexToBytes(testKey(index)));
const peerOf = (index: number) => peerIdFromPrivateKey(keyOf(index));

async function sealed(signer: number, subject: number, addresses: readonly string[], seq = 1n): Promise<Uint8Array> {
  const multiaddrs = addresses.map((address) => multiaddr(address));
  const record = new PeerRecord({ peerId: peerOf(subject), multiaddrs, seqNumber: seq });
  return (await RecordEnvelope.seal(record, keyOf(signer))).marshal();
}

describe("signed peer records", () => {
  const here = "/ip4/198.51.100.7/tcp/4001";

  it("say whose key they are, and where it listens", async () => {
    const bytes = await sealed(1, 1, [here, "/dns4/a.example/tcp/443/wss"], 7n);
    const opened = await openRecord(bytes);
    expect(opened).to.deep.equal({
      kind: "accept",
      value: {
        ...{ peer: peerOf(1).toString(), address: testSigner(1).address, seq: 7n, bytes },
        addresses: [here, "/dns4/a.example/tcp/443/wss"],
      },
    });
  });

  it("are refused when another key signed them, or any byte was changed", async () => {
    expect(await openRecord(await sealed(2, 1, [here]))).to.include({ kind: "reject", code: "RECORD_PEER" });
    const bytes = await sealed(1, 1, [here]);
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const other = Uint8Array.from(bytes);
        other[at] = (other[at] as number) ^ change;
        const opened = await openRecord(other);
        // A signature of ECDSA has a twin of another form; libp2p verifies it, and it says the same.
        if (opened.kind === "accept") expect(opened.value.addresses).to.deep.equal([here]);
        else expect(opened.code).to.match(/^RECORD_/);
      }),
      { numRuns: 60 },
    );
  });

  it("are refused by name when they are no records at all", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        expect(await openRecord(bytes))
          .to.include({ kind: "reject" })
          .and.property("code")
          .matches(/^RECORD_/);
      }),
      { numRuns: 60 },
    );
    expect(await openRecord(new Uint8Array(MAX_RECORD_BYTES + 1))).to.include({ code: "RECORD_TOO_LARGE" });
    const trailing = Uint8Array.from([...(await sealed(1, 1, [here])), 0x78, 0x01]);
    expect(await openRecord(trailing)).to.include({ code: "RECORD_NOT_CANONICAL" });
  });

  it("have no reader dial more than eight addresses, another peer, or nothing", async () => {
    const many = Array.from({ length: 20 }, (_, i) => `/ip4/198.51.100.${i}/tcp/1`);
    const opened = await openRecord(await sealed(1, 1, many));
    expect(opened.kind === "accept" && opened.value.addresses).to.deep.equal(many.slice(0, MAX_ADDRESSES));
    const bad = [`${here}/p2p/${peerOf(2).toString()}`, "/ip4/198.51.100.7/udp/1", "/unix/x"];
    expect(await openRecord(await sealed(1, 1, bad))).to.include({ code: "RECORD_EMPTY" });
    const relayed = `${here}/p2p/${peerOf(2).toString()}/p2p-circuit`;
    const both = await openRecord(await sealed(1, 1, [...bad, relayed]));
    expect(both.kind === "accept" && both.value.addresses).to.deep.equal([relayed]);
  });
});

describe("subnets", () => {
  it("are /16, /32 or a name, and one for all that is local", () => {
    const cases: [string, string][] = [
      ["/ip4/198.51.100.7/tcp/1", "4:198.51"],
      ["/ip4/127.0.0.1/tcp/1", "local"],
      ["/ip4/172.20.1.1/tcp/1", "local"],
      ["/ip4/172.32.1.1/tcp/1", "4:172.32"],
      ["/ip4/100.64.0.1/tcp/1", "local"],
      ["/ip4/100.128.0.1/tcp/1", "4:100.128"],
      ["/ip6/2001:db8::1/tcp/1", "6:2001:db8"],
      ["/ip6/::1/tcp/1", "local"],
      ["/ip6/fe80::1/tcp/1", "local"],
      ["/dns4/a.example/tcp/1", "dns:a.example"],
      ["nonsense", "unknown"],
    ];
    for (const [address, subnet] of cases) expect(subnetOf(address), address).to.equal(subnet);
  });
});
