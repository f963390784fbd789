// conntrack-tools as a peer: `conntrack -E -e DESTROY` prints each flow that ends, with its counters; `conntrack -L`
// lists living ones.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { scratch } from '../../support/scratch.ts';
import type { Peer } from '../counting.ts';
import type { Lab } from '../traffic-lab.ts';
import { listen } from './listener.ts';
import { findProgram, run } from './process.ts';

export const conntrack: Peer = {
  name: 'conntrack -E',
  lacks: () => (findProgram('conntrack') === undefined ? 'conntrack is not installed' : undefined),
  start: (t, lab) => {
    const file = path.join(scratch(t), 'events');
    return listen(t, {
      argv: [...lab.inServer, 'conntrack', '-E', '-e', 'DESTROY', '-o', 'extended'],
      file,
      isPrinted: true,
      line: /src=(?<source>\S+) .*?packets=(?<packets>\d+) bytes=(?<bytes>\d+)/,
      isReady: () => listenersIn(lab) > 0,
    });
  },
};

/** Sockets of netfilter's that hear of flows that end. */
function listenersIn(lab: Lab): number {
  const { stdout } = spawnSync(lab.inServer[0] ?? '', [...lab.inServer.slice(1), 'cat', '/proc/net/netlink']);
  const sockets = stdout.toString().split('\n').slice(1);
  return sockets.filter((line) => {
    const [, protocol, , groups = '0'] = line.trim().split(/\s+/);
    return protocol === '12' && (Number.parseInt(groups, 16) & 4) !== 0;
  }).length;
}

/** Wall seconds of listing what lives, to nowhere. */
export function listingSeconds(lab: Lab, options: string[] = []): number {
  const begin = performance.now();
  const argv = [...lab.inServer.slice(1), 'conntrack', '-L', ...options];
  const { status } = spawnSync(lab.inServer[0] ?? '', argv, { stdio: 'ignore' });
  if (status !== 0) throw new Error(`conntrack -L ended with ${status}`);
  return (performance.now() - begin) / 1_000;
}

export async function conntrackVersion(): Promise<string> {
  const program = findProgram('conntrack');
  if (program === undefined) return '';
  return /\d+(\.\d+)+/.exec(await run(program, ['--version']))?.[0] ?? '';
}
