// Findings that `lares doctor` makes of every daemon alike: its configuration, its control socket.
import { statSync } from 'node:fs';
import type { Finding } from './command.ts';
import type { Loaded, Table } from './config.ts';

/** Every problem; the files where there is none. */
export function examineConfig({ problems, files }: Pick<Loaded<Table>, 'problems' | 'files'>): Finding[] {
  const subject = 'configuration';
  if (problems.length > 0)
    return problems.map(({ place, message }) => ({ health: 'bad', subject, text: `${place}: ${message}` }));
  const text = files.length === 0 ? 'none, the defaults are in force' : files.join(', ');
  return [{ health: 'ok', subject, text }];
}

/** The control socket, where its unit has made it: open to its group and to nobody else. */
export function examineControl(noun: string, file = `/run/lares/${noun}.sock`): Finding[] {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found === undefined) return [];
  const mode = (found.mode & 0o777).toString(8).padStart(4, '0');
  return found.isSocket() && (found.mode & 0o007) === 0
    ? [{ health: 'ok', subject: 'control', text: `${file}, mode ${mode}` }]
    : [
        {
          health: 'bad',
          subject: 'control',
          text: found.isSocket() ? `${file} is open to everybody: mode ${mode}` : `${file} is no socket`,
          advice: `systemctl cat lares-${noun}-control.socket; SocketMode=0660 is right`,
        },
      ];
}
