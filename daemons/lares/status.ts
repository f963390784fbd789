// `lares status`: one line for each daemon of the suite, from what systemd and the journal say.
import type { Io } from '../../lib/command.ts';
import { LaresError } from '../../lib/errors.ts';
import { factsOf, isBooted, lastRecordOf, type Systemd, systemd } from '../../lib/systemd.ts';
import { paintFor, table } from '../../lib/table.ts';
import { type Row, rowOf, type State } from './core/verdict.ts';
import { daemons } from './daemons.ts';

const textChars = 60;
const colours: Record<State, 'green' | 'cyan' | 'red' | 'yellow' | 'gray'> = {
  awake: 'green',
  asleep: 'cyan',
  failed: 'red',
  off: 'yellow',
  'not installed': 'gray',
};

export async function status(json: boolean, io: Io, at: Systemd = systemd): Promise<void> {
  if (!isBooted(at)) {
    const reason = 'systemd does not run here: run a daemon with lares run NOUN';
    io.out(json ? `${JSON.stringify({ systemd: false, daemons: [] })}\n` : `${reason}\n`);
    return;
  }
  const rows: Row[] = [];
  for (const [noun, load] of Object.entries(daemons)) {
    const { units } = await load();
    const facts = factsOf(at, units);
    if (facts === undefined)
      throw new LaresError('E_SYSTEMD', 'systemd does not answer: systemctl show failed');
    rows.push(rowOf(noun, facts, lastRecordOf(at, units)));
  }
  io.out(json ? `${JSON.stringify({ systemd: true, daemons: rows })}\n` : render(rows, io));
}

function render(rows: Row[], io: Io): string {
  const paint = paintFor(io.stdout);
  const cells = rows.map(({ name, state, last, status }) => [
    name,
    paint(colours[state], state),
    last === null
      ? ''
      : `${new Date(last.atMs).toISOString().replace('T', ' ').slice(0, 19)}Z ${short(last.text)}`,
    printable(status),
  ]);
  return table(['NAME', 'STATE', 'LAST', 'STATUS'], cells, paint);
}

function short(text: string): string {
  const line = printable(text);
  return line.length > textChars ? `${line.slice(0, textChars - 1)}…` : line;
}

/** What others wrote must not drive the terminal. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, ' ').trim();
}
