// Addresses of clients: one text form, family, the prefix that rates are kept by, and the policy of which sources may
// enter a zone. Deny by default: special-purpose space (IANA registries, RFC 6890 and successors) is no place that a
// public name should point to, unless the admin opens it.
import ipaddr from 'ipaddr.js';
import { isInside, type Network, parseNetworks } from '../../../lib/networks.ts';

export type Family = 4 | 6;

export interface Address {
  family: Family;
  /** Canonical text: dotted quad, or RFC 5952. */
  text: string;
  bytes: number[];
}

const special = `
  0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24
  192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4
  ::/128 ::1/128 64:ff9b:1::/48 100::/64 2001:db8::/32 3fff::/20 5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8`;
let specialNetworks: Network[] | undefined;

/** The source of a packet as the kernel names it; `::ffff:a.b.c.d` is IPv4 and a zone (`%eth0`) is dropped. */
export function parseAddress(text: string): Address | undefined {
  const bare = text.replace(/%.*$/, '');
  return ipaddr.isValid(bare) && (bare.includes(':') || ipaddr.IPv4.isValidFourPartDecimal(bare))
    ? fromParsed(ipaddr.process(bare))
    : undefined;
}

/** The address that 4 or 16 bytes are. An IPv4-mapped one stays IPv6 here: a zone may say so. */
export function addressOf(bytes: number[]): Address {
  return fromParsed(ipaddr.fromByteArray(bytes));
}

function fromParsed(parsed: ipaddr.IPv4 | ipaddr.IPv6): Address {
  return { family: parsed.kind() === 'ipv4' ? 4 : 6, text: parsed.toString(), bytes: parsed.toByteArray() };
}

/** The source of a packet for people: a socket of both families shows IPv4 ones as `::ffff:a.b.c.d`. */
export function plainSource(text: string): string {
  return text.startsWith('::ffff:') && text.includes('.') ? text.slice('::ffff:'.length) : text;
}

/** The family of an address in `plainSource`'s form, without a parse. */
export function familyOf(text: string): Family {
  return text.includes(':') ? 6 : 4;
}

/**
 * A key for what one customer usually gets, the /24 or /56 around an address in the kernel's form. It is wanted for
 * every packet of a flood of bad signatures, hence without a parse.
 */
export function prefixOf(text: string): string {
  if (familyOf(text) === 4) return text.slice(0, text.lastIndexOf('.'));
  const [head = '', tail = ''] = text.split('::');
  const groups = head.split(':');
  const rest = tail.split(':');
  const all = [...groups, ...Array<string>(Math.max(0, 8 - groups.length - rest.length)).fill('0'), ...rest];
  const half = Number.parseInt(all[3] ?? '0', 16) >> 8;
  return `${all.slice(0, 3).join(':')}:${half}`;
}

/** Whether `address` may be written into the zone. */
export function mayPublish(address: Address, opened: Network[]): boolean {
  const parsed = ipaddr.fromByteArray(address.bytes);
  const inside = (network: Network): boolean => isInside(parsed, network);
  specialNetworks ??= parseNetworks(special);
  return opened.some(inside) || !specialNetworks.some(inside);
}
