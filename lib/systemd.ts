// What systemd says of units, for commands that people type: asks systemctl and journalctl, by absolute path, without a
// shell, within a time limit. Changes nothing, and never runs inside a daemon.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';

const limitMs = 10_000;
const outputBytes = 4_194_304;

/** Where its tools and its mark of a booted system are; tests name others. */
export interface Systemd {
  tools: string;
  booted: string;
}

export const systemd: Systemd = { tools: '/usr/bin', booted: '/run/systemd/system' };

export interface UnitFacts {
  name: string;
  /** `loaded`, `not-found`, `masked`, … */
  load: string;
  /** `active`, `inactive`, `failed`, `activating`, … */
  active: string;
  /** `listening`, `waiting`, `running`, `dead`, … */
  sub: string;
  /** `enabled`, `disabled`, `static`, …; '' where there is no file. */
  enabled: string;
  /** Why it failed: `exit-code`, `trigger-limit-hit`, …; else `success`. */
  result: string;
  /** What the service says of itself (STATUS=). */
  status: string;
}

export interface JournalRecord {
  atMs: number;
  text: string;
}

/** Whether this system was booted with systemd, sd_booted(3). */
export function isBooted({ booted }: Systemd): boolean {
  return existsSync(booted);
}

/** Its version, 252 for `systemd 252 (252.39-1~deb12u1)`; undefined where it cannot be asked. */
export function versionOf(at: Systemd): number | undefined {
  const [, digits] = /^systemd (\d+)/.exec(ask(at, 'systemctl', ['--version']) ?? '') ?? [];
  return digits === undefined ? undefined : Number(digits);
}

const properties = 'Id LoadState ActiveState SubState UnitFileState Result StatusText'.split(' ');

/** Facts of `units`, in their order; undefined where systemd does not answer. */
export function factsOf(at: Systemd, units: string[]): UnitFacts[] | undefined {
  const text = ask(at, 'systemctl', ['show', `--property=${properties.join(',')}`, '--', ...units]);
  if (text === undefined) return undefined;
  const found = text.split('\n\n').map((part) => new Map(part.split('\n').map((line) => splitOnce(line))));
  return units.map((name) => {
    const one = found.find((map) => map.get('Id') === name);
    const value = (key: string): string => one?.get(key) ?? '';
    return {
      name,
      load: one === undefined ? 'not-found' : value('LoadState'),
      active: value('ActiveState'),
      sub: value('SubState'),
      enabled: value('UnitFileState'),
      result: value('Result'),
      status: value('StatusText'),
    };
  });
}

/** The newest record of any of `units` that this user may read. */
export function lastRecordOf(at: Systemd, units: string[]): JournalRecord | undefined {
  const args = [
    '--quiet',
    '--no-pager',
    '--lines=1',
    '--output=json',
    ...units.map((unit) => `--unit=${unit}`),
  ];
  const text = ask(at, 'journalctl', args)?.trim() ?? '';
  return text === '' ? undefined : parseRecord(text);
}

/** One line of `journalctl -o json`. Text that is no UTF-8 comes as a list of bytes, an overlong one as null. */
export function parseRecord(line: string): JournalRecord | undefined {
  let entry: { MESSAGE?: unknown; __REALTIME_TIMESTAMP?: unknown } | null;
  try {
    entry = JSON.parse(line) as typeof entry;
  } catch {
    return undefined;
  }
  const atMs = Number(entry?.__REALTIME_TIMESTAMP) / 1_000;
  if (!Number.isFinite(atMs)) return undefined;
  const message = entry?.MESSAGE;
  const text = Array.isArray(message) ? Buffer.from(message as number[]).toString() : message;
  return { atMs, text: typeof text === 'string' ? text : '' };
}

function splitOnce(line: string): [string, string] {
  const at = line.indexOf('=');
  return at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at + 1)];
}

function ask({ tools }: Systemd, tool: string, args: string[]): string | undefined {
  const { error, status, stdout } = spawnSync(path.join(tools, tool), args, {
    encoding: 'utf8',
    timeout: limitMs,
    killSignal: 'SIGKILL',
    maxBuffer: outputBytes,
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C.UTF-8', SYSTEMD_PAGER: '', SYSTEMD_COLORS: '0' },
  });
  return error === undefined && status === 0 ? stdout : undefined;
}
