// Whose a flow is: the first class that it fits, and the peer, which is the end of it that is not ours. Pure; what is
// ours, the classes and the sizes of groups are given.
import ipaddr from 'ipaddr.js';
import type { Counters, Flow } from '../../../lib/netlink/conntrack.ts';

/** What a flow has to be to belong to a class; undefined: anything. */
export interface TrafficClass {
  name: string;
  mark: { value: number; mask: number } | undefined;
  /** IPPROTO_*. */
  protocols: number[] | undefined;
  /** Either end's, before and after translation. */
  ports: { first: number; last: number }[] | undefined;
}

export interface Rules {
  /** The first that fits has the flow; a flow that fits none is not counted. */
  classes: TrafficClass[];
  isLocal: (address: string) => boolean;
  /** Bits of an address that are the peer's. */
  groupBits: { 4: number; 6: number };
}

export interface Attribution {
  className: string;
  /** An address, or a network such as `10.8.0.0/24`. */
  peer: string;
  family: 4 | 6;
  protocol: number;
  /** Whether the peer is the end that the flow began at. */
  isOriginator: boolean;
}

/** The peer's own view: `rx` it has received, `tx` it has sent. */
export interface Volume {
  rxBytes: number;
  txBytes: number;
  rxPackets: number;
  txPackets: number;
}

/** Addresses that are kept, so that a known one costs a look. */
const cachedTexts = 16_384;

/** What is known of an address, and what came of it, by class, protocol and direction. */
interface End {
  peer: string;
  isLocal: boolean;
  known: Map<number, Attribution>;
}

/** Decides for one set of rules, and remembers what it has spelt out. */
export class Attributor {
  readonly #rules: Rules;
  readonly #ends = new Map<string, End>();

  constructor(rules: Rules) {
    this.#rules = rules;
  }

  /** undefined for a flow that nobody wants counted. */
  attribute(flow: Flow): Attribution | undefined {
    const { classes } = this.#rules;
    const index = classes.findIndex((one) => fits(one, flow));
    const found = classes[index];
    if (found === undefined) return undefined;
    const { original, reply } = flow;
    const first = this.#end(original.source);
    const second = this.#end(reply.source);
    // Who began it, unless that is us and the other is not. The reply's source is the other end after translation.
    const isOriginator = !first.isLocal || second.isLocal;
    const { peer, known } = isOriginator ? first : second;
    const slot = index * 512 + original.protocol * 2 + (isOriginator ? 1 : 0);
    let attribution = known.get(slot);
    if (attribution === undefined) {
      const family = original.source.length === 16 ? 6 : 4;
      attribution = { className: found.name, peer, family, protocol: original.protocol, isOriginator };
      known.set(slot, attribution);
    }
    return attribution;
  }

  #end(address: string): End {
    const known = this.#ends.get(address);
    if (known !== undefined) return known;
    if (this.#ends.size >= cachedTexts) this.#ends.clear();
    const text = formatAddress(address);
    const found: End = {
      peer: groupOf(address, this.#rules.groupBits),
      isLocal: this.#rules.isLocal(text),
      known: new Map(),
    };
    this.#ends.set(address, found);
    return found;
  }
}

function fits({ mark, protocols, ports }: TrafficClass, { mark: own, original, reply }: Flow): boolean {
  if (mark !== undefined && ((own ^ mark.value) & mark.mask) !== 0) return false;
  if (protocols?.includes(original.protocol) === false) return false;
  if (ports === undefined) return true;
  const has = (port: number): boolean => ports.some(({ first, last }) => port >= first && port <= last);
  // A port of ICMP is its id.
  if (original.protocol === 1 || original.protocol === 58) return false;
  return (
    has(original.destinationPort) ||
    has(original.sourcePort) ||
    has(reply.sourcePort) ||
    has(reply.destinationPort)
  );
}

/** The largest filter that lets through every flow of every class; undefined: all have to come. */
export function commonMark(classes: TrafficClass[]): { value: number; mask: number } | undefined {
  const [first, ...rest] = classes.map(({ mark }) => mark ?? { value: 0, mask: 0 });
  if (first === undefined) return undefined;
  let { mask } = first;
  for (const one of rest) mask &= one.mask & ~(one.value ^ first.value);
  return mask === 0 ? undefined : { value: (first.value & mask) >>> 0, mask: mask >>> 0 };
}

/** Counters of a flow's two directions, as the peer sees them. */
export function volumeOf(isOriginator: boolean, sent: Counters, received: Counters): Volume {
  const [up, down] = isOriginator ? [sent, received] : [received, sent];
  return { rxBytes: down.bytes, txBytes: up.bytes, rxPackets: down.packets, txPackets: up.packets };
}

/** 4 or 16 bytes, a character each, as RFC 5952 wants them. */
export function formatAddress(address: string): string {
  const bytes = Buffer.from(address, 'latin1');
  return bytes.length === 4 ? bytes.join('.') : ipaddr.fromByteArray([...bytes]).toString();
}

function groupOf(address: string, bits: Rules['groupBits']): string {
  const own = address.length === 16 ? bits[6] : bits[4];
  if (own >= address.length * 8) return formatAddress(address);
  const masked = Buffer.from(address, 'latin1');
  for (let index = 0; index < masked.length; index += 1) {
    const kept = Math.min(8, Math.max(0, own - index * 8));
    masked[index] = (masked[index] ?? 0) & ((0xff << (8 - kept)) & 0xff);
  }
  return `${formatAddress(masked.toString('latin1'))}/${own}`;
}

const protocolNames = new Map([
  [1, 'icmp'],
  [6, 'tcp'],
  [17, 'udp'],
  [33, 'dccp'],
  [47, 'gre'],
  [50, 'esp'],
  [58, 'icmpv6'],
  [132, 'sctp'],
  [136, 'udplite'],
]);

export function protocolName(protocol: number): string {
  return protocolNames.get(protocol) ?? String(protocol);
}

/** IPPROTO_* of a name or a number; undefined for neither. */
export function protocolOf(text: string): number | undefined {
  const named = [...protocolNames].find(([, name]) => name === text.toLowerCase())?.[0];
  const number = /^\d{1,3}$/.test(text) ? Number(text) : 256;
  return named ?? (number <= 255 ? number : undefined);
}
