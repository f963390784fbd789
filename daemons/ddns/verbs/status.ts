// `lares ddns status`: who was seen when, with what address, and what was refused. Asks the receiver, which is woken if
// it sleeps; with --state it reads that folder, for a receiver in a terminal.
import type { Command } from 'commander';
import { wallMs } from '../../../lib/clock.ts';
import type { Io } from '../../../lib/command.ts';
import { configFiles, loadConfig } from '../../../lib/config.ts';
import { ask } from '../../../lib/control.ts';
import { LaresError } from '../../../lib/errors.ts';
import { roughSpan } from '../../../lib/span.ts';
import { paintFor, plural, table } from '../../../lib/table.ts';
import { config } from '../config.ts';
import { readZone } from '../readzone.ts';
import { type Report, reportOf } from '../report.ts';
import { Spool } from '../spool.ts';
import { readStatus } from '../store.ts';

interface StatusOptions {
  conf?: string;
  state?: string;
  socket: string;
  json?: boolean;
}

/** As the receiver answers: a report, unless it is degraded. */
type Answer = Partial<Report> & { status?: string };

export function registerStatus(program: Command, io: Io): void {
  program
    .command('status')
    .description('show each name: address, last seen, last change, clock skew; and refusals by reason')
    .option('--socket <path>', 'control socket of the receiver', '/run/lares/ddns.sock')
    .option('--state <dir>', 'read this state folder instead, of a receiver that has no control socket')
    .option('--conf <file>', 'with --state: configuration of the receiver')
    .option('--json', 'print JSON')
    .action(async ({ conf, state, socket, json = false }: StatusOptions) => {
      const answer = state === undefined ? await ask(socket, 'Status') : read(state, conf);
      if (json) io.out(`${JSON.stringify(answer)}\n`);
      else io.out(render(io, answer));
    });
}

function read(state: string, conf: string | undefined): Report {
  const { values, problems } = loadConfig(config, conf === undefined ? configFiles('ddns') : [conf]);
  if (values.zone === '') {
    const why = problems.map(({ place, message }) => `${place}: ${message}; `).join('');
    throw new LaresError(
      'E_CONFIG',
      `${why}no Zone= configured: name the configuration with --conf, or run lares ddns setup`,
    );
  }
  const { zone } = readZone(values.zone);
  const status = readStatus(state);
  if (status === undefined) return reportOf(values.zone, zone, { peers: [], refusals: [] }, 0);
  return reportOf(values.zone, zone, status, new Spool(state).size);
}

function render(io: Io, { status, names, refusals = [], unpublished = 0 }: Answer): string {
  if (names === undefined) return `${status ?? 'no status'}\n`;
  const paint = paintFor(io.stdout);
  const nowMs = wallMs();
  const ago = (ms: number | null): string =>
    ms === null ? paint('gray', 'never') : `${roughSpan(nowMs - ms)} ago`;
  const rows = names.map((row) => [
    row.name,
    row.type,
    row.pending ? paint('yellow', `${row.address} (update waits)`) : row.address,
    ago(row.lastSeen),
    ago(row.lastChange),
    row.skewMs === null ? '' : `${row.skewMs >= 0 ? '+' : '-'}${roughSpan(Math.abs(row.skewMs))}`,
    row.keyId,
  ]);
  const refused = refusals.map(({ reason, count, lastMs }) => [reason, String(count), ago(lastMs)]);
  return [
    table(['NAME', 'TYPE', 'ADDRESS', 'SEEN', 'CHANGED', 'SKEW', 'KEY'], rows, paint),
    refused.length === 0 ? '' : `\n${table(['REFUSED', 'COUNT', 'LAST'], refused, paint)}`,
    unpublished === 0 ? '' : paint('yellow', `\n${plural(unpublished, 'change')} not published yet\n`),
  ].join('');
}
