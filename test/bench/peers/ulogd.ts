// ulogd2 as a peer: its NFCT input writes each flow that ends as a line of GPRINT, the cheapest output that has
// counters. Once with the settings of Debian's sample, once with what its manual and its own warnings advise for load.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { scratch } from '../../support/scratch.ts';
import type { Peer } from '../counting.ts';
import { listen } from './listener.ts';
import { findProgram, run } from './process.ts';

/** A buffer of 32 MiB, as the daemon has; no table of its own; only ends. */
const tuning = `netlink_socket_buffer_size=33554432
netlink_socket_buffer_maxsize=33554432
hash_enable=0
event_mask=4
`;

export const ulogd = peer('ulogd2', '', 1);
export const tunedUlogd = peer('ulogd2 tuned', tuning, 0);

function peer(name: string, input: string, sync: number): Peer {
  return {
    name,
    lacks: () =>
      findProgram('ulogd') === undefined || plugins() === undefined ? 'ulogd2 is not installed' : undefined,
    start: (t, lab) => {
      const folder = scratch(t);
      const [conf, log, file] = ['ulogd.conf', 'log', 'flows'].map((each) => path.join(folder, each));
      if (conf === undefined || log === undefined || file === undefined) throw new Error('no names');
      writeFileSync(
        conf,
        `[global]
logfile="${log}"
loglevel=3
plugin="${plugins() ?? ''}/ulogd_inpflow_NFCT.so"
plugin="${plugins() ?? ''}/ulogd_output_GPRINT.so"
stack=ct1:NFCT,gp1:GPRINT
[ct1]
${input}[gp1]
file="${file}"
sync=${sync}
timestamp=1
`,
      );
      return listen(t, {
        argv: [...lab.inServer, findProgram('ulogd') ?? '', '-c', conf],
        file,
        isPrinted: false,
        line: /orig\.ip\.saddr=(?<source>[\d.]+),.*?pktlen=(?<bytes>\d+),orig\.raw\.pktcount=(?<packets>\d+)/,
        isReady: (starts) => countOf(log, 'entering main loop') === starts,
      });
    },
  };
}

function countOf(file: string, words: string): number {
  try {
    return readFileSync(file, 'utf8').split(words).length - 1;
  } catch {
    return 0;
  }
}

function plugins(): string | undefined {
  const roots = readdirSync('/usr/lib').map((name) => path.join('/usr/lib', name, 'ulogd'));
  return roots.find((folder) => {
    try {
      return readdirSync(folder).includes('ulogd_inpflow_NFCT.so');
    } catch {
      return false;
    }
  });
}

export async function ulogdVersion(): Promise<string> {
  const program = findProgram('ulogd');
  if (program === undefined) return '';
  return /\d+(\.\d+)+/.exec(await run(program, ['--version']))?.[0] ?? '';
}
