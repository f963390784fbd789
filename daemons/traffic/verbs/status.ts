// `lares traffic status`: how well the counting goes, and what is missing from it.
import type { Command } from 'commander';
import { wallMs } from '../../../lib/clock.ts';
import type { Io } from '../../../lib/command.ts';
import { formatSpan, roughSpan } from '../../../lib/span.ts';
import { type Paint, paintFor } from '../../../lib/table.ts';
import { formatBytes } from '../core/chart.ts';
import type { Report } from '../report.ts';
import { addWhere, type Where, withSource } from '../source.ts';

type Health = 'good' | 'note' | 'bad';

export function registerStatus(program: Command, io: Io): void {
  addWhere(program.command('status'))
    .description('show how well the counting goes: peers, flows, dropped events, what is missing')
    .option('--json', 'print JSON')
    .action(async ({ json = false, ...where }: Where & { json?: boolean }) => {
      const found = await withSource(where, (source) => source.status());
      io.out(json ? `${JSON.stringify(found)}\n` : render(found, paintFor(io.stdout)));
    });
}

function render(found: Partial<Report> & { status?: string }, paint: Paint): string {
  const lines = describe(found);
  // Of a daemon that is degraded there is nothing but its reason.
  if (lines.length === 0) return `${found.status ?? 'no status'}\n`;
  const colours = { good: 'reset', note: 'yellow', bad: 'red' } as const;
  return lines.map(([name, text, health]) => `${name.padEnd(14)} ${paint(colours[health], text)}\n`).join('');
}

function describe({
  peers,
  flows,
  drops = 0,
  lostTail = { flows: 0, bytes: 0 },
  unseenAtMost = 0,
  crashes = 0,
  uncounted = 0,
  offloaded = 0,
  lastDump,
  dumpTrouble,
  stateTrouble,
  intervalMs,
  reliable,
}: Partial<Report>): [name: string, text: string, health: Health][] {
  if (peers === undefined) return [];
  const health = (count: number): Health => (count === 0 ? 'good' : 'note');
  const lines: [string, string, Health][] = [
    ['peers', String(peers), 'good'],
    ['living flows', String(flows ?? 0), 'good'],
    ['dropped', `${drops} events`, health(drops)],
    [
      'lost tail',
      `${lostTail.flows} flows without a last word, an estimated ${formatBytes(lostTail.bytes)}`,
      health(lostTail.flows),
    ],
    ['unseen', `${unseenAtMost} flows at most`, health(unseenAtMost)],
    ['crashes', String(crashes), health(crashes)],
    ['uncounted', `${uncounted} living flows without counters`, health(uncounted)],
  ];
  if (offloaded > 0)
    lines.push(['offloaded', `${offloaded} living flows, whose counters may stand still`, 'note']);
  if (intervalMs !== undefined)
    lines.push([
      'interval',
      `${formatSpan(intervalMs)}${reliable === true ? ', the kernel waits for us (Reliable=yes)' : ''}`,
      'good',
    ]);
  if (lastDump !== undefined) {
    const ago = roughSpan(wallMs() - lastDump.at);
    lines.push(['last look', `${lastDump.flows} flows in ${lastDump.tookMs} ms, ${ago} ago`, 'good']);
  }
  if (typeof dumpTrouble === 'string') lines.push(['not seen', `living flows: ${dumpTrouble}`, 'bad']);
  if (typeof stateTrouble === 'string') lines.push(['not written', `the ledger: ${stateTrouble}`, 'bad']);
  return lines;
}
