// What a frame costs on the wire beyond its own bytes. Checked against real hosts by the calibration of `bench -- gossip`.

/** Length, topic and field tags of a gossipsub RPC that publishes one message. */
export const RPC_BYTES = 18;
/** The varint before a frame of at most 16,383 bytes on a stream of its own. */
export const LENGTH_BYTES = 2;
/** One yamux data frame. */
const YAMUX_BYTES = 12;
/** Two of length and 16 of Poly1305 for each noise message. */
const NOISE_BYTES = 18;
/** Plaintext of one noise message. */
const NOISE_MAX_BYTES = 65_519;
/** IPv4 20, TCP 20, timestamps 12. */
const SEGMENT_HEADER_BYTES = 52;
/** 1,500 of Ethernet less the headers above. */
const MAX_SEGMENT_BYTES = 1_448;

/** Bytes that a TCP stream carries for a frame: what sockets count. @param frameBytes with its envelope */
export function streamBytesOf(frameBytes: number): number {
  const plain = frameBytes + YAMUX_BYTES;
  return plain + NOISE_BYTES * Math.ceil(plain / NOISE_MAX_BYTES);
}

/**
 * Bytes on the wire, without Ethernet and without pure acknowledgements.
 * A header of 211 bytes costs 311 in an RPC of its own.
 */
export function wireBytesOf(frameBytes: number): number {
  const stream = streamBytesOf(frameBytes);
  return stream + SEGMENT_HEADER_BYTES * Math.ceil(stream / MAX_SEGMENT_BYTES);
}
