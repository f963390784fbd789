// `lares traffic report`: sums by peer, day, hour, family, class or protocol, since an instant or since the beginning.
import { type Command, InvalidArgumentError, Option } from 'commander';
import { wallMs } from '../../../lib/clock.ts';
import type { Io } from '../../../lib/command.ts';
import { explain } from '../../../lib/errors.ts';
import { parseSpan } from '../../../lib/span.ts';
import { type Paint, paintFor, table } from '../../../lib/table.ts';
import { bar, cut, formatBytes, sparkline } from '../core/chart.ts';
import { csvOf } from '../core/csv.ts';
import { type Answer, type Grouping, groupings, type Row } from '../query.ts';
import { addWhere, type Where, withSource } from '../source.ts';

interface ReportOptions extends Where {
  by: Grouping;
  since?: number;
  limit?: number;
  json?: boolean;
  csv?: boolean;
}

const labelChars = 40;
const barCells = 16;
const numbers = ['rxBytes', 'txBytes', 'rxPackets', 'txPackets', 'firstSeen', 'lastSeen'] as const;

export function registerReport(program: Command, io: Io): void {
  addWhere(program.command('report'))
    .description('show who used how much: rx and tx as the peer sees them')
    .addOption(new Option('--by <what>', 'a row for each').choices(groupings).default('peer'))
    .option('--since <span|time>', 'the last 24h, or since 2026-11-01 (UTC); default: all', sinceOf)
    .option('--limit <n>', 'only the first rows', limitOf)
    .addOption(new Option('--csv', 'print comma-separated values').conflicts('json'))
    .option('--json', 'print JSON: an array')
    .action(async ({ by, since, limit, json, csv, ...where }: ReportOptions) => {
      const question = { by, sinceMs: since, nowMs: wallMs() };
      const found = await withSource(where, (source) => source.report(question));
      const rows = found.rows.slice(0, limit);
      if (json === true) io.out(`${JSON.stringify(rows)}\n`);
      else if (csv === true) io.out(csvOf([by, ...numbers], rows));
      else io.out(render(by, { ...found, rows }, paintFor(io.stdout)));
    });
}

function render(by: Grouping, { rows, sinceMs, courseMs }: Answer, paint: Paint): string {
  const most = Math.max(0, ...rows.map(({ rxBytes, txBytes }) => rxBytes + txBytes));
  const line = (row: Row): string[] => {
    const sum = row.rxBytes + row.txBytes;
    const shape = row.course === undefined ? bar(sum, most, barCells) : sparkline(row.course);
    return [
      cut(String(row[by]), labelChars),
      formatBytes(row.rxBytes),
      formatBytes(row.txBytes),
      formatBytes(sum),
      paint('cyan', shape),
      day(row.lastSeen),
    ];
  };
  const shape = by === 'peer' ? `LAST ${hours(courseMs * 24)}` : '';
  const since = sinceMs === undefined ? '' : paint('gray', `since ${day(sinceMs)}\n`);
  return since + table([by.toUpperCase(), 'RX', 'TX', 'SUM', shape, 'LAST SEEN'], rows.map(line), paint);
}

const day = (ms: number): string => `${new Date(ms).toISOString().replace('T', ' ').slice(0, 16)}Z`;

function hours(ms: number): string {
  const count = ms / 3_600_000;
  return count < 1
    ? `${Math.round(ms / 60_000)}MIN`
    : count <= 48
      ? `${Math.round(count)}H`
      : `${Math.round(count / 24)}D`;
}

/** A span back from now, or an instant. */
function sinceOf(text: string): number {
  if (/^\d{4}-\d\d-\d\d/.test(text)) {
    const ms = Date.parse(/^\d{4}-\d\d-\d\d$/.test(text) ? text : text.replace(' ', 'T').replace(/Z?$/, 'Z'));
    if (Number.isNaN(ms))
      throw new InvalidArgumentError(`'${text}' is no time; write 2026-11-01 or 2026-11-01T12:00`);
    return ms;
  }
  try {
    return Math.max(0, wallMs() - parseSpan(text));
  } catch (error) {
    throw new InvalidArgumentError(explain(error));
  }
}

function limitOf(text: string): number {
  if (/^[1-9]\d{0,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('a whole number from 1 is wanted');
}
