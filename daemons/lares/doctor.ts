// `lares doctor`: looks at the machine and at every daemon's needs, and says what to type where something is amiss.
import { release } from 'node:os';
import type { Finding, Health, Io } from '../../lib/command.ts';
import { paintFor } from '../../lib/table.ts';
import { version } from '../../lib/version.ts';
import { daemons } from './daemons.ts';

const oldestNode = [22, 18] as const;
const marks: Record<Health, ['green' | 'yellow' | 'red', string]> = {
  ok: ['green', '✓'],
  note: ['yellow', '•'],
  bad: ['red', '✗'],
};

/** The exit code: 1 if anything is bad. */
export async function doctor(json: boolean, io: Io): Promise<number> {
  const sections: { noun: string; findings: Finding[] }[] = [{ noun: 'lares', findings: examineRuntime() }];
  for (const [noun, load] of Object.entries(daemons))
    sections.push({ noun, findings: (await load()).doctor() });
  if (json)
    io.out(`${JSON.stringify(Object.fromEntries(sections.map(({ noun, findings }) => [noun, findings])))}\n`);
  else io.out(sections.map((section) => render(section, io)).join('\n'));
  return sections.some(({ findings }) => findings.some(({ health }) => health === 'bad')) ? 1 : 0;
}

function examineRuntime(): Finding[] {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const fits = major > oldestNode[0] || (major === oldestNode[0] && minor >= oldestNode[1]);
  return [
    { health: 'ok', subject: 'release', text: `lares ${version} on Linux ${release()}` },
    fits
      ? { health: 'ok', subject: 'runtime', text: `Node ${process.versions.node}, ${process.execPath}` }
      : {
          health: 'bad',
          subject: 'runtime',
          text: `Node ${process.versions.node} is too old`,
          advice: 'run dist/bin/lares, which brings its own',
        },
  ];
}

function render({ noun, findings }: { noun: string; findings: Finding[] }, io: Io): string {
  const paint = paintFor(io.stdout);
  const lines = findings.map(({ health, subject, text, advice }) => {
    const [colour, mark] = marks[health];
    const next = advice === undefined ? '' : `${' '.repeat(19)}→ ${paint('bold', advice)}\n`;
    return `  ${paint(colour, mark)} ${subject.padEnd(14)} ${text}\n${next}`;
  });
  return `${paint('bold', noun)}\n${lines.join('')}`;
}
