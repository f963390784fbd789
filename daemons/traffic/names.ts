// Reads the names of peers: files, and WireGuard's own tool. What cannot be read is a problem to be told of, never the
// end of the accounting: the peer shows under its address.
import { spawnSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import type { Problem } from '../../lib/config.ts';
import { explain, LaresError } from '../../lib/errors.ts';
import { type Named, Names, parseAllowedIps, parseNames } from './core/naming.ts';

const fileBytes = 4_194_304;
const toolMs = 2_000;
const toolBytes = 4_194_304;

/** `sources`: absolute paths and `wireguard:INTERFACE`. */
export function readNames(sources: string[]): { names: Names; problems: Problem[] } {
  const named: Named[] = [];
  const keys = new Map<string, string>();
  const problems: Problem[] = [];
  const attempt = (place: string, act: () => void): void => {
    try {
      act();
    } catch (error) {
      problems.push({ place, message: `no names from here: ${explain(error)}` });
    }
  };
  const isTool = (source: string): boolean => source.startsWith('wireguard:');
  for (const file of sources.filter((source) => !isTool(source)))
    attempt(file, () => {
      const found = parseNames(readBounded(file));
      named.push(...found.named);
      for (const [key, name] of found.keys) keys.set(key, name);
      for (const { line, message } of found.problems) problems.push({ place: `${file}:${line}`, message });
    });
  for (const source of sources.filter(isTool))
    attempt(source, () =>
      named.push(...parseAllowedIps(askWireguard(source.slice('wireguard:'.length)), keys)),
    );
  return { names: new Names(named), problems };
}

function readBounded(file: string): string {
  const found = statSync(file);
  if (found.isFile() && found.size <= fileBytes) return readFileSync(file, 'utf8');
  throw new LaresError('E_TRAFFIC_NAMES', `not a regular file of at most ${fileBytes} bytes`);
}

function askWireguard(name: string): string {
  const { error, status, stdout, stderr } = spawnSync('wg', ['show', name, 'allowed-ips'], {
    encoding: 'utf8',
    env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
    timeout: toolMs,
    maxBuffer: toolBytes,
  });
  if (error !== undefined) throw new LaresError('E_TRAFFIC_NAMES', `cannot run wg: ${error.message}`);
  if (status !== 0) throw new LaresError('E_TRAFFIC_NAMES', `wg show ${name}: ${stderr.trim()}`);
  return stdout;
}
