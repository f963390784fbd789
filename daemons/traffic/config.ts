// The keys of /etc/lares/traffic.conf: one table that parses, prints and documents them.
import path from 'node:path';
import type { Key, Values } from '../../lib/config.ts';
import { parseNetworks } from '../../lib/networks.ts';
import { parseCommandLine } from '../../lib/program.ts';
import { parseSpan } from '../../lib/span.ts';
import { protocolOf, type TrafficClass } from './core/peers.ts';
import type { Period, Quota } from './core/quota.ts';

export const config = {
  intervalMs: {
    section: 'Accounting',
    key: 'Interval',
    fallback: '10s',
    parse: wholeSeconds,
    help:
      'How often flows that live are read, and the width of the finest history. A whole number of seconds, ' +
      'at most an hour.',
  },
  reliable: {
    section: 'Accounting',
    key: 'Reliable',
    fallback: 'no',
    parse: yesNo,
    help:
      'Whether the kernel keeps a flow that has ended until its end could be told. Nothing is lost then, ' +
      'however small the buffer. The price: while this daemon stands still, ended flows stay in the table ' +
      'and use its memory.',
  },
  maxPeers: {
    section: 'Accounting',
    key: 'MaxPeers',
    fallback: '4096',
    parse: wholeNumber(1, 1_000_000),
    help:
      'Peers with a row of their own. Of more, new ones are counted together as "other", and once an hour ' +
      'the least of those that have been silent for an hour make room. Totals stay exact.',
  },
  groupPrefix4: {
    section: 'Accounting',
    key: 'GroupPrefix4',
    fallback: '32',
    parse: wholeNumber(0, 32),
    help: 'Bits of an IPv4 address that make a peer; 24 counts a /24 as one.',
  },
  groupPrefix6: {
    section: 'Accounting',
    key: 'GroupPrefix6',
    fallback: '128',
    parse: wholeNumber(0, 128),
    help: 'The same for IPv6; 64 counts a network as one, whatever addresses its hosts make up.',
  },
  names: {
    section: 'Accounting',
    key: 'Names',
    fallback: '',
    parse: namesFrom,
    help:
      'Where names of peers come from: files with lines "ADDRESS NAME" or "NETWORK NAME", and ' +
      '"wireguard:wg0", which names peers by the AllowedIPs of that interface ("PUBLICKEY NAME" in a file ' +
      'gives them better ones). The longest network that fits wins.',
  },
  local: {
    section: 'Accounting',
    key: 'Local',
    fallback: '',
    parse: parseNetworks,
    help:
      'Networks that are ours: the peer of a flow is the other end. Default: the addresses of this machine. ' +
      'Of flows between two others the peer is the one that began.',
  },
  keepIntervalsMs: {
    section: 'Accounting',
    key: 'KeepIntervals',
    fallback: '2d',
    parse: spanBetween('1h', '366d'),
    help:
      'How long the history by interval is kept, and how long an outage of Carbon may last until something ' +
      'is lost to it.',
  },
  keepHoursMs: {
    section: 'Accounting',
    key: 'KeepHours',
    fallback: '62d',
    parse: spanBetween('1d', '3660d'),
    help: 'How long the history by hour is kept.',
  },
  keepDaysMs: {
    section: 'Accounting',
    key: 'KeepDays',
    fallback: '3660d',
    parse: spanBetween('1d', '36600d'),
    help: 'How long the history by day is kept. Totals are kept for ever.',
  },
  classMark: {
    section: 'Class NAME',
    key: 'Mark',
    fallback: '',
    parse: mark,
    isPolicy: true,
    help:
      'Flows with this conntrack mark: "0x10/0x10" (value and mask), or "0x10". Without any class every ' +
      'flow is counted, as class "all"; with classes a flow belongs to the first that fits, and one that ' +
      'fits none is not counted.',
  },
  classProtocol: {
    section: 'Class NAME',
    key: 'Protocol',
    fallback: '',
    parse: protocols,
    help: 'Flows of these protocols: "tcp udp", or numbers.',
  },
  classPort: {
    section: 'Class NAME',
    key: 'Port',
    fallback: '',
    parse: ports,
    help: 'Flows with one of these ports at either end: "1194 5000-5010".',
  },
  quotaLimit: {
    section: 'Quota NAME',
    key: 'Limit',
    fallback: '',
    parse: size,
    help:
      'Bytes of both directions, such as "500G", at which lares-traffic-notify.service runs the program of ' +
      'Notify= once for each peer and period.',
  },
  quotaPer: {
    section: 'Quota NAME',
    key: 'Per',
    fallback: 'month',
    parse: period,
    help: '"day" or "month", of UTC.',
  },
  quotaPeer: {
    section: 'Quota NAME',
    key: 'Peer',
    fallback: '',
    parse: (text: string) => text,
    help: 'The one peer that it is for, as it is shown. Default: every peer has the limit for itself.',
  },
  notify: {
    section: 'Notify',
    key: 'Program',
    fallback: '',
    parse: parseCommandLine,
    help:
      'What lares-traffic-notify.service runs when a peer has reached a quota: a program with its absolute ' +
      'path, and arguments; no shell. It gets one JSON object on standard input, and is run again ' +
      'until it succeeds.',
  },
  carbonAddress: {
    section: 'Carbon',
    key: 'Address',
    fallback: '',
    parse: hostAndPort,
    help: 'Where lares-traffic-carbon.service sends the history by interval: "graphite.example.net:2003".',
  },
  carbonPrefix: {
    section: 'Carbon',
    key: 'Prefix',
    fallback: 'lares.traffic',
    parse: metricPrefix,
    help: 'What the names of its metrics begin with.',
  },
  textfile: {
    section: 'Textfile',
    key: 'Path',
    fallback: '',
    parse: absolutePath,
    help:
      "A file for node_exporter's textfile collector, written anew every interval. " +
      '"/run/lares-traffic/traffic.prom" is a place that the sandbox opens; link to it from the folder of the ' +
      'collector.',
  },
} as const satisfies Record<string, Key<unknown>>;

export type Config = Values<typeof config>;

const everything: TrafficClass = { name: 'all', mark: undefined, protocols: undefined, ports: undefined };

/** The classes in their order; one for everything where none is configured. */
export function classesOf({ classMark, classProtocol, classPort }: Config): TrafficClass[] {
  const classes = [...classMark].map(
    ([name, mark]): TrafficClass => ({
      name,
      mark,
      protocols: classProtocol.get(name),
      ports: classPort.get(name),
    }),
  );
  return classes.length === 0 ? [everything] : classes;
}

/** The quotas in their order; one without a limit limits nothing. */
export function quotasOf({ quotaLimit, quotaPer, quotaPeer }: Config): Quota[] {
  return [...quotaLimit].flatMap(([name, limit]) =>
    limit === undefined
      ? []
      : [{ name, limit, per: quotaPer.get(name) ?? 'month', peer: quotaPeer.get(name) ?? '' }],
  );
}

function wholeSeconds(text: string): number {
  const ms = parseSpan(text);
  if (ms < 1_000 || ms > 3_600_000 || ms % 1_000 !== 0)
    throw new Error('not a whole number of seconds from 1s to 1h');
  return ms;
}

function spanBetween(least: string, most: string): (text: string) => number {
  return (text) => {
    const ms = parseSpan(text);
    if (ms < parseSpan(least) || ms > parseSpan(most)) throw new Error(`not from ${least} to ${most}`);
    return ms;
  };
}

function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= least && value <= most)) throw new Error(`not a whole number from ${least} to ${most}`);
    return value;
  };
}

function yesNo(text: string): boolean {
  if (/^(1|yes|y|true|t|on)$/i.test(text)) return true;
  if (/^(0|no|n|false|f|off)$/i.test(text)) return false;
  throw new Error('not yes or no');
}

const words = (text: string): string[] => text.split(/[\s,]+/).filter((word) => word !== '');

function namesFrom(text: string): string[] {
  for (const word of words(text))
    if (!path.isAbsolute(word) && !/^wireguard:[^\s/:]{1,15}$/.test(word))
      throw new Error(`'${word}' is neither an absolute path nor wireguard:INTERFACE`);
  return words(text);
}

function mark(text: string): TrafficClass['mark'] {
  if (text === '') return undefined;
  const [, value, mask = '0xffffffff'] =
    /^(0x[\da-f]{1,8}|\d{1,10})(?:\/(0x[\da-f]{1,8}|\d{1,10}))?$/i.exec(text) ?? [];
  const [found, bits] = [Number(value), Number(mask)];
  if (value === undefined || found > 0xffff_ffff || bits > 0xffff_ffff)
    throw new Error('not a mark; write for example 0x10/0x10');
  if ((found & ~bits) >>> 0 !== 0)
    throw new Error('the value has bits outside its mask, no flow can have it');
  return { value: found, mask: bits };
}

function protocols(text: string): number[] | undefined {
  const found = words(text).map((word) => {
    const protocol = protocolOf(word);
    if (protocol === undefined)
      throw new Error(`'${word}' is no protocol; write tcp, udp, icmp or a number to 255`);
    return protocol;
  });
  return found.length === 0 ? undefined : found;
}

function ports(text: string): TrafficClass['ports'] {
  const found = words(text).map((word) => {
    const [, low, high = low] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(word) ?? [];
    const [first, last] = [Number(low), Number(high)];
    if (!(first >= 1 && first <= last && last <= 65_535))
      throw new Error(`'${word}' is no port; write 1194 or 5000-5010`);
    return { first, last };
  });
  return found.length === 0 ? undefined : found;
}

const factors: Record<string, number> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40, P: 2 ** 50 };

function size(text: string): number | undefined {
  if (text === '') return undefined;
  const [, amount = '', unit = ''] = /^(\d{1,12}(?:\.\d{1,3})?)\s*([KMGTP]?)(?:i?B)?$/.exec(text) ?? [];
  const bytes = Math.round(Number(amount) * (factors[unit] ?? 0));
  if (amount === '' || bytes < 1 || bytes > Number.MAX_SAFE_INTEGER)
    throw new Error('not a number of bytes; write for example 500G');
  return bytes;
}

function period(text: string): Period {
  if (text === 'day' || text === 'month') return text;
  throw new Error('not day or month');
}

function hostAndPort(text: string): { host: string; port: number } | undefined {
  if (text === '') return undefined;
  const [, six, name, digits] = /^(?:\[([\da-f:.]+)\]|([\w.-]{1,253})):(\d{1,5})$/i.exec(text) ?? [];
  const port = Number(digits);
  if (!(port >= 1 && port <= 65_535))
    throw new Error('not HOST:PORT; write for example graphite.example.net:2003');
  return { host: six ?? name ?? '', port };
}

function metricPrefix(text: string): string {
  if (/^[\w-]+(\.[\w-]+)*$/.test(text)) return text;
  throw new Error('not words of letters, digits, _ and - with dots between');
}

function absolutePath(text: string): string {
  if (text !== '' && !path.isAbsolute(text)) throw new Error('not an absolute path');
  return text;
}
