// One picture of `lares traffic top`: rates from two looks, sorted, as lines of a width. Pure.
import { bar, cut, formatBytes } from './chart.ts';

export interface Peer {
  peer: string;
  rxBytes: number;
  txBytes: number;
}

/** Totals of all peers at one instant, Unix milliseconds. */
export interface Look {
  at: number;
  flows: number;
  lostFlows: number;
  peers: Peer[];
}

export const orders = ['rate', 'rx', 'tx', 'total', 'name'] as const;
export type Order = (typeof orders)[number];

export interface Rated extends Peer {
  /** Bytes a second since the look before. */
  rxRate: number;
  txRate: number;
}

/** Rates between two looks; without a first one all are 0. */
export function ratesOf(before: Look | undefined, now: Look): Rated[] {
  const seconds = before === undefined ? 0 : (now.at - before.at) / 1_000;
  const known = new Map(before?.peers.map((one) => [one.peer, one]));
  const rate = (current: number, earlier: number): number =>
    seconds > 0 ? Math.max(0, Math.round((current - earlier) / seconds)) : 0;
  return now.peers.map((one) => {
    const { rxBytes = 0, txBytes = 0 } = known.get(one.peer) ?? {};
    return { ...one, rxRate: rate(one.rxBytes, rxBytes), txRate: rate(one.txBytes, txBytes) };
  });
}

const keys: Record<Order, (one: Rated) => number> = {
  rate: ({ rxRate, txRate }) => rxRate + txRate,
  rx: ({ rxRate }) => rxRate,
  tx: ({ txRate }) => txRate,
  total: ({ rxBytes, txBytes }) => rxBytes + txBytes,
  name: () => 0,
};

/** The largest first, those that are equal by their totals, then by name. */
export function sorted(rated: Rated[], order: Order): Rated[] {
  const byName = (a: Rated, b: Rated): number => (a.peer < b.peer ? -1 : a.peer > b.peer ? 1 : 0);
  if (order === 'name') return rated.toSorted(byName);
  return rated.toSorted(
    (a, b) => keys[order](b) - keys[order](a) || keys.total(b) - keys.total(a) || byName(a, b),
  );
}

const fixedColumns = 3 * 13;
const leastColumns = 60;

/** Lines of at most `columns` characters and at most `rows` of them: a summary, a head, peers. */
export function frameOf(look: Look, rated: Rated[], order: Order, columns: number, rows: number): string[] {
  const width = Math.max(leastColumns, columns);
  const peerChars = Math.min(40, Math.floor((width - fixedColumns) / 2));
  const barCells = width - fixedColumns - peerChars - 1;
  const all = sorted(rated, order);
  const sum = (value: (one: Rated) => number): number => all.reduce((total, one) => total + value(one), 0);
  const most = Math.max(0, ...all.map((one) => one.rxRate + one.txRate));
  const lost = look.lostFlows === 0 ? '' : `  lost tails ${look.lostFlows}`;
  const summary =
    `peers ${all.length}  flows ${look.flows}  rx ${formatBytes(sum(keys.rx))}/s  ` +
    `tx ${formatBytes(sum(keys.tx))}/s${lost}  by ${order}`;
  const line = (one: Rated): string =>
    [
      cut(one.peer, peerChars).padEnd(peerChars),
      `${formatBytes(one.rxRate)}/s`.padStart(13),
      `${formatBytes(one.txRate)}/s`.padStart(13),
      formatBytes(one.rxBytes + one.txBytes).padStart(13),
      ` ${bar(one.rxRate + one.txRate, most, barCells)}`,
    ]
      .join('')
      .trimEnd();
  const head = `${'PEER'.padEnd(peerChars)}${'RX'.padStart(13)}${'TX'.padStart(13)}${'SUM'.padStart(13)}`;
  return [summary, head, ...all.map(line)].slice(0, Math.max(3, rows)).map((text) => cut(text, width));
}
