// The keys of /etc/lares/ddns.conf: one table that parses, prints and documents them.
import path from 'node:path';
import type { Key, Values } from '../../lib/config.ts';
import { parseNetworks } from '../../lib/networks.ts';
import { parseCommandLine } from '../../lib/program.ts';
import { formatSpan, parseSpan } from '../../lib/span.ts';

const ratePerSecond = { least: 1, most: 100_000 };

export const config = {
  zone: {
    section: 'Receiver',
    key: 'Zone',
    fallback: '',
    required: true,
    parse: absolutePath,
    help:
      'The file with the "# dynamic:" blocks: tinydns-data\'s "data", or one of its sources. The ' +
      'folder must be writable for the daemon; `lares ddns setup ZONE` arranges it.',
  },
  hook: {
    section: 'Receiver',
    key: 'Hook',
    fallback: '',
    parse: parseCommandLine,
    help:
      'Program to run in the folder of the zone after it changed, such as "/usr/sbin/tinydns-data". No ' +
      'shell; quotes group words. It gets the changes as JSON lines on standard input, and is run ' +
      'again until it succeeds.',
  },
  allowAddresses: {
    section: 'Receiver',
    key: 'AllowAddresses',
    fallback: '',
    parse: parseNetworks,
    help:
      'Networks whose addresses may enter the zone although they are private, shared, loopback, ' +
      'link-local or otherwise special: "192.168.0.0/16 fd00::/8". Public addresses always may.',
  },
  maxClockSkewMs: {
    section: 'Receiver',
    key: 'MaxClockSkew',
    fallback: '10min',
    parse: spanUpTo('7d'),
    help: 'Packets from further ahead of this clock are refused.',
  },
  maxAgeMs: {
    section: 'Receiver',
    key: 'MaxAge',
    fallback: '',
    parse: (text: string): number | undefined => (text === '' ? undefined : spanUpTo('365d')(text)),
    help:
      'Packets older than this are refused. Default: as MaxClockSkew. 0 lifts the bound, for clients ' +
      'without a clock.',
  },
  signatureRate: {
    section: 'Receiver',
    key: 'SignatureRate',
    fallback: '500',
    parse: rate,
    help:
      'Signatures checked a second, over all sources. One source prefix (/24, /56) gets a tenth of it; ' +
      'half is kept for keys that were last good from the same prefix.',
  },
  idleExitMs: {
    section: 'Receiver',
    key: 'IdleExit',
    fallback: '60s',
    parse: (text: string): number => parseSpan(text) || Number.POSITIVE_INFINITY,
    help:
      'A receiver that was started by its socket leaves after so long without a packet, if nothing ' +
      'waits to be done; the next packet starts it. 0: it stays.',
  },
  updateTimestamps: {
    section: 'Receiver',
    key: 'UpdateTimestamps',
    fallback: 'no',
    parse: yesNo,
    help: 'Move the timestamp in the zone with every good packet, even where no address changed.',
  },
} as const satisfies Record<string, Key<unknown>>;

export type Config = Values<typeof config>;

/** How old a packet may be, milliseconds; Infinity where MaxAge=0 lifts the bound, and only there. */
export function maxAgeOf({ maxAgeMs, maxClockSkewMs }: Config): number {
  return maxAgeMs === 0 ? Number.POSITIVE_INFINITY : (maxAgeMs ?? maxClockSkewMs);
}

function spanUpTo(most: string): (text: string) => number {
  return (text) => {
    const ms = parseSpan(text);
    if (ms > parseSpan(most)) throw new Error(`longer than ${most}`);
    return ms;
  };
}

function absolutePath(text: string): string {
  if (text !== '' && !path.isAbsolute(text)) throw new Error('not an absolute path');
  return text;
}

function rate(text: string): number {
  const value = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= ratePerSecond.least && value <= ratePerSecond.most)) {
    throw new Error(`not a whole number from ${ratePerSecond.least} to ${ratePerSecond.most}`);
  }
  return value;
}

function yesNo(text: string): boolean {
  if (/^(1|yes|y|true|t|on)$/i.test(text)) return true;
  if (/^(0|no|n|false|f|off)$/i.test(text)) return false;
  throw new Error('not yes or no');
}

/** For people: the window in force. */
export function describeWindow(values: Config): string {
  const age = maxAgeOf(values);
  const back = age === Number.POSITIVE_INFINITY ? '∞' : formatSpan(age);
  return `clock window -${back} … +${formatSpan(values.maxClockSkewMs)}`;
}
