/**
 * `off`: no relays. `use`: be reached through relays among the connected peers, and reach others so; a direct connection
 * takes its place where one can be made. `serve`: relay for others, and reach others so.
 */
export const relayModes = ["off", "use", "serve"] as const;
export type RelayMode = (typeof relayModes)[number];
