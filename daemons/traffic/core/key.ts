// The key of a flow: the same for every message of one flow, and for no other. A string with a character for each byte,
// which is the cheapest that a Map takes, and can be kept. Pure.
import type { Flow } from '../../../lib/netlink/conntrack.ts';

const headBytes = 18;
const high = 0x1_0000_0000;

export interface KeyParts {
  zone: number;
  /** Unix milliseconds, to the microsecond; 0: the kernel did not say. */
  startMs: number;
  protocol: number;
  sourcePort: number;
  destinationPort: number;
  /** 4 or 16 bytes, a character each. */
  source: string;
  destination: string;
}

/** id (4 bytes), zone (2), microseconds of the start (7), protocol, ports (2 each), addresses; all big-endian. */
export function keyOf({ id, zone, startMs = 0, original }: Flow): string {
  const { protocol, sourcePort, destinationPort, source, destination } = original;
  const micros = Math.round(startMs * 1_000);
  const upper = Math.floor(micros / high);
  const lower = micros % high;
  const head = String.fromCharCode(
    id >>> 24,
    (id >>> 16) & 0xff,
    (id >>> 8) & 0xff,
    id & 0xff,
    zone >>> 8,
    zone & 0xff,
    upper >>> 16,
    (upper >>> 8) & 0xff,
    upper & 0xff,
    lower >>> 24,
    (lower >>> 16) & 0xff,
    (lower >>> 8) & 0xff,
    lower & 0xff,
    protocol,
    sourcePort >>> 8,
    sourcePort & 0xff,
    destinationPort >>> 8,
    destinationPort & 0xff,
  );
  return head + source + destination;
}

/** What a key of `keyOf` was made of. */
export function partsOf(key: string): KeyParts {
  const bytes = Buffer.from(key.slice(0, headBytes), 'latin1');
  const addresses = key.slice(headBytes);
  return {
    zone: bytes.readUInt16BE(4),
    startMs: (bytes.readUIntBE(6, 3) * high + bytes.readUInt32BE(9)) / 1_000,
    protocol: bytes.readUInt8(13),
    sourcePort: bytes.readUInt16BE(14),
    destinationPort: bytes.readUInt16BE(16),
    source: addresses.slice(0, addresses.length / 2),
    destination: addresses.slice(addresses.length / 2),
  };
}
