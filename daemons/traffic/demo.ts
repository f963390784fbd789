// What `lares up` runs the accounting on: a short interval, and the table of flows of this machine, which only root may
// read.
import { closeSync } from 'node:fs';
import path from 'node:path';
import { writeFileAtomic } from '../../lib/atomic.ts';
import type { Demo } from '../../lib/command.ts';
import { explain, LaresError } from '../../lib/errors.ts';
import { openEvents } from './socket.ts';
import { sysctl } from './sysctl.ts';

export function createDemo(folder: string): Demo {
  const conf = path.join(folder, 'traffic.conf');
  const state = path.join(folder, 'state');
  writeFileAtomic(conf, '[Accounting]\nInterval=2s\n', 0o644);
  const isOff = sysctl('acct') !== 1;
  return {
    lacking: lacking(),
    flags: ['--conf', conf],
    hints: [
      ...(isOff ? ['sysctl -w net.netfilter.nf_conntrack_acct=1'] : []),
      `lares traffic top --state ${state}`,
      `lares traffic report --state ${state}`,
    ],
  };
}

function lacking(): string | undefined {
  try {
    closeSync(openEvents());
    return undefined;
  } catch (error) {
    if (!(error instanceof LaresError)) throw error;
    return explain(error);
  }
}
