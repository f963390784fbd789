// Time spans in systemd's notation (systemd.time(7), "Parsing Time Spans"): `10min`, `1h 30s`, `250ms`; a bare number
// is seconds. Only whole and fractional non-negative numbers, and no `infinity`: everything here is bounded.
import { LaresError } from './errors.ts';

const unitMs = new Map<string, number>([
  ...named(1, 'ms', 'msec'),
  ...named(1_000, '', 's', 'sec', 'second', 'seconds'),
  ...named(60_000, 'm', 'min', 'minute', 'minutes'),
  ...named(3_600_000, 'h', 'hr', 'hour', 'hours'),
  ...named(86_400_000, 'd', 'day', 'days'),
  ...named(604_800_000, 'w', 'week', 'weeks'),
]);

function named(ms: number, ...names: string[]): [string, number][] {
  return names.map((name) => [name, ms]);
}

/** Whole milliseconds of a span such as `1h 30min`. @throws LaresError E_SPAN */
export function parseSpan(text: string): number {
  const parts = [...text.matchAll(/\s*(\d+(?:\.\d+)?)\s*([a-z]*)/gy)];
  const used = parts.reduce((length, part) => length + part[0].length, 0);
  let total = 0;
  for (const [, amount = '', unit = ''] of parts) {
    const factor = unitMs.get(unit);
    if (factor === undefined)
      throw new LaresError('E_SPAN', `unknown unit '${unit}'; use ms, s, min, h, d or w`);
    total += Number(amount) * factor;
  }
  if (parts.length === 0 || text.slice(used).trim() !== '' || !Number.isFinite(total)) {
    throw new LaresError('E_SPAN', `'${text}' is not a time span; write for example 90s, 10min or 1h 30min`);
  }
  return Math.round(total);
}

/** The shortest text that `parseSpan` reads back: `10min`, `1h 30s`, `0`. */
export function formatSpan(ms: number): string {
  const parts: string[] = [];
  let rest = ms;
  for (const [unit, factor] of [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['min', 60_000],
    ['s', 1_000],
  ] as const) {
    const count = Math.floor(rest / factor);
    if (count > 0) parts.push(`${count}${unit}`);
    rest -= count * factor;
  }
  if (rest > 0) parts.push(`${rest}ms`);
  return parts.length === 0 ? '0' : parts.join(' ');
}

/** For people: the two largest units at most, rounded down. */
export function roughSpan(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))}ms`;
  const [seconds, minutes, hours, days] = [1_000, 60_000, 3_600_000, 86_400_000].map((unit) => ms / unit) as [
    number,
    number,
    number,
    number,
  ];
  if (minutes < 1) return `${Math.floor(seconds)}s`;
  if (hours < 1) return `${Math.floor(minutes)}min`;
  if (days < 1) return `${Math.floor(hours)}h ${Math.floor(minutes % 60)}min`;
  return `${Math.floor(days)}d ${Math.floor(hours % 24)}h`;
}
