/** A frame of `/surety/negotiate/1`; the bound of a log body, so that one receive buffer serves both. */
export const MAX_NEGOTIATION_FRAME_BYTES = 65_536;

/** Bids of one call. A certificate carries each in about 290 bytes; 128 of them stay below 38 KB of the frame. */
export const MAX_BIDS = 128;

/** What is to be delivered, inline in the call; longer specifications name a body by its hash. */
export const MAX_SPEC_BYTES = 32_768;

/** The rules of a call, inline in it: 32 actions by 32 outcomes of ten digits each take 13 KB. Fits a frame with the longest spec. */
export const MAX_MECHANISM_BYTES = 16_384;

/** MAX_BIDS bids and as many 34-byte ids of passed-over ones, with room for framing. */
export const MAX_CERTIFICATE_BYTES = 49_152;
