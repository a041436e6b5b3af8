import { multiaddr } from "@multiformats/multiaddr";

/** Addresses that one machine or household has among itself: they say nothing of who stands behind them. */
export const LOCAL_GROUP = "local";

/**
 * The part of the network where an address lies, as far as its neighbours are likely the same operator's: /16 of IPv4, /32
 * of IPv6, the name of a DNS address. A relayed address lies where its relay is.
 */
export function subnetOf(address: string): string {
  let part: { readonly name: string; readonly value?: string } | undefined;
  try {
    [part] = multiaddr(address).getComponents();
  } catch {
    return "unknown";
  }
  const { name, value = "" } = part ?? { name: "" };
  if (name === "ip4") return isLocal4(value) ? LOCAL_GROUP : `4:${value.split(".").slice(0, 2).join(".")}`;
  if (name === "ip6") return isLocal6(value) ? LOCAL_GROUP : `6:${expand6(value).slice(0, 2).join(":")}`;
  return name.startsWith("dns") ? `dns:${value}` : "unknown";
}

const isLocal4 = (address: string): boolean =>
  /^(127\.|10\.|192\.168\.|169\.254\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|172\.(1[6-9]|2\d|3[01])\.)/.test(address);
const isLocal6 = (address: string): boolean => /^(::1$|f[cd]|fe80)/i.test(address);

/** Eight groups; `::` stands for the zeros in between. */
function expand6(address: string): string[] {
  const [head = "", tail] = address.toLowerCase().split("::");
  const first = head === "" ? [] : head.split(":");
  const last = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array.from({ length: Math.max(0, 8 - first.length - last.length) }, () => "0");
  return [...first, ...zeros, ...last];
}
