// `lares doctor`: looks at the machine and at every daemon's needs, and says what to type where something is amiss.
import { release } from 'node:os';
import type { Finding, Health, Io } from '../../lib/command.ts';
import { factsOf, isBooted, type Systemd, systemd, versionOf } from '../../lib/systemd.ts';
import { paintFor } from '../../lib/table.ts';
import { version } from '../../lib/version.ts';
import { examineUnits } from './core/verdict.ts';
import { daemons } from './daemons.ts';

const oldestNode = [22, 18] as const;
/** better-sqlite3's addon is built for it. */
const oldestGlibc = [2, 34] as const;
/** What the suite is tested on. */
const oldestSystemd = 252;

const marks: Record<Health, ['green' | 'yellow' | 'red', string]> = {
  ok: ['green', '✓'],
  note: ['yellow', '•'],
  bad: ['red', '✗'],
};

/** The exit code: 1 if anything is bad. */
export async function doctor(json: boolean, io: Io, at: Systemd = systemd): Promise<number> {
  const runs = isBooted(at);
  const sections: { noun: string; findings: Finding[] }[] = [
    { noun: 'lares', findings: [...examineRuntime(), ...examineSystemd(runs, at)] },
  ];
  for (const [noun, load] of Object.entries(daemons)) {
    const { units, doctor: examine } = await load();
    const facts = runs ? factsOf(at, units) : undefined;
    const hasUnits = facts?.some(({ load: state }) => state !== 'not-found') ?? false;
    const findings = [...(facts === undefined ? [] : examineUnits(facts)), ...(await examine(hasUnits))];
    sections.push({ noun, findings });
  }
  if (json)
    io.out(`${JSON.stringify(Object.fromEntries(sections.map(({ noun, findings }) => [noun, findings])))}\n`);
  else io.out(sections.map((section) => render(section, io)).join('\n'));
  return sections.some(({ findings }) => findings.some(({ health }) => health === 'bad')) ? 1 : 0;
}

function examineRuntime(): Finding[] {
  return [
    { health: 'ok', subject: 'release', text: `lares ${version} on Linux ${release()}` },
    isAtLeast(process.versions.node, oldestNode)
      ? { health: 'ok', subject: 'runtime', text: `Node ${process.versions.node}, ${process.execPath}` }
      : {
          health: 'bad',
          subject: 'runtime',
          text: `Node ${process.versions.node} is too old`,
          advice: 'run dist/bin/lares, which brings its own',
        },
    examineGlibc(),
  ];
}

function examineGlibc(): Finding {
  const found = glibcVersion();
  if (found !== undefined && isAtLeast(found, oldestGlibc))
    return { health: 'ok', subject: 'glibc', text: found };
  return {
    health: 'bad',
    subject: 'glibc',
    text: `${found ?? 'none'}, and ${oldestGlibc.join('.')} is needed`,
    advice: 'use Debian 12, Ubuntu 22.04 or later',
  };
}

function isAtLeast(found: string, [major, minor]: readonly [number, number]): boolean {
  const [foundMajor = 0, foundMinor = 0] = found.split('.').map(Number);
  return foundMajor > major || (foundMajor === major && foundMinor >= minor);
}

/** undefined where the C library is another one. */
function glibcVersion(): string | undefined {
  // Else the report asks name servers for the names of all peers.
  Object.assign(process.report, { excludeNetwork: true });
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  return header.glibcVersionRuntime;
}

function examineSystemd(runs: boolean, at: Systemd): Finding[] {
  const subject = 'systemd';
  if (!runs)
    return [{ health: 'note', subject, text: 'does not run here', advice: 'lares run NOUN, in a terminal' }];
  const found = versionOf(at);
  if (found === undefined)
    return [{ health: 'bad', subject, text: 'systemctl cannot be asked', advice: 'systemctl --version' }];
  return found >= oldestSystemd
    ? [{ health: 'ok', subject, text: String(found) }]
    : [{ health: 'note', subject, text: `${found}: units are made for ${oldestSystemd} and later` }];
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
