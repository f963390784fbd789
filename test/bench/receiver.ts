// The receiver as it is shipped (dist/, with its V8 flags) on a scratch zone, and what it costs: CPU time from the
// kernel's scheduler, counts from its own state.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { readStatus } from '../../daemons/ddns/store.ts';
import { leanFlags } from '../../daemons/lares/program.ts';
import { bundle } from '../../scripts/bundle.ts';
import { root } from '../support/daemon.ts';
import { Client } from '../support/ddns.ts';
import { peerCpuMicros } from './peers/process.ts';

// As a unit starts it: not through the lares command.
const lib = path.join(root, 'dist/lib/lares');
const runtime = [path.join(lib, 'node'), ...leanFlags];

export interface Running {
  pid: number;
  port: number;
  client: Client;
  zone: string;
  folder: string;
  cpuMicros: () => number;
  rssMiB: () => number;
  /** Datagrams refused or accepted since the start; ends the daemon. */
  stop: () => Promise<Map<string, number>>;
}

export interface Setting {
  folder: string;
  /** Lines of the zone beside the block of the client. */
  fillers?: number;
  settings?: string;
  clients?: Client[];
  fds?: number[];
  /** Back to back: see unpaced.ts. */
  unpaced?: boolean;
}

/** One block a client, `host-N.example`, and fillers after them. */
export function writeZone({ folder, fillers = 0, settings = '', clients = [new Client()] }: Setting): {
  conf: string;
  zone: string;
  clients: Client[];
} {
  const zone = path.join(folder, 'root', 'data');
  const conf = path.join(folder, 'ddns.conf');
  mkdirSync(path.dirname(zone), { recursive: true });
  const blocks = clients.map(
    ({ publicText }, index) => `# dynamic: 0 ${publicText}\n+host-${index}.example:192.0.2.1:5\n`,
  );
  const rest = Array.from(
    { length: fillers },
    (_, n) => `+filler-${n}.example:10.${n >> 16}.${(n >> 8) & 255}.${n & 255}\n`,
  );
  writeFileSync(zone, `.example:127.0.0.1:a\n${blocks.join('\n')}\n${rest.join('')}`);
  writeFileSync(conf, `[Receiver]\nZone=${zone}\nAllowAddresses=127.0.0.0/8\n${settings}`);
  return { conf, zone, clients };
}

export function launch(setting: Setting & { conf: string }): ChildProcess {
  const { fds = [], folder, conf, unpaced = false } = setting;
  const state = path.join(folder, 'state');
  const listen = fds.length === 0 ? ['--listen', '127.0.0.1:0'] : [];
  const shipped = [path.join(lib, 'ddns.mjs'), '--json', '--conf', conf, '--state', state, ...listen];
  const own = [...runtime, ...(unpaced ? [path.join(folder, 'unpaced.mjs'), conf, state] : shipped)];
  const activated =
    fds.length === 0
      ? own
      : ['/bin/sh', '-c', 'LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=udp exec "$@"', 'sh', ...own];
  const [first = '', ...args] = activated;
  const { PATH = '' } = process.env;
  return spawn(first, args, { stdio: ['ignore', 'pipe', 'inherit', ...fds], env: { PATH } });
}

export async function start(setting: Setting): Promise<Running> {
  const { conf, zone, clients } = writeZone(setting);
  if (setting.unpaced === true) await bundleUnpaced(setting.folder);
  const child = launch({ ...setting, conf });
  const { stdout, pid } = child;
  if (stdout === null || pid === undefined) throw new Error('no process');
  const lines = createInterface({ input: stdout });
  const port = await new Promise<number>((resolve, reject) => {
    lines.on('line', (line) => {
      const found = /"MESSAGE":"ready: [^"]*?:(\d+);/.exec(line)?.[1];
      if (found !== undefined) resolve(Number(found));
    });
    child.once('exit', (code) => reject(new Error(`the receiver ended with ${code ?? 'a signal'}`)));
  });
  const [client = new Client()] = clients;
  return {
    pid,
    port,
    client,
    zone,
    folder: setting.folder,
    cpuMicros: () => peerCpuMicros(pid),
    rssMiB: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1_024,
    stop: async () => {
      child.kill('SIGTERM');
      await once(child, 'exit');
      return new Map(
        readStatus(path.join(setting.folder, 'state'))?.refusals.map(({ reason, count }) => [reason, count]),
      );
    },
  };
}

/** Bundled as the shipped receiver is, and run with the same flags. */
async function bundleUnpaced(folder: string): Promise<void> {
  mkdirSync(path.join(folder, 'state'), { recursive: true });
  symlinkSync(path.join(lib, 'native'), path.join(folder, 'native'));
  const entry = path.join(import.meta.dirname, 'unpaced.ts');
  for (const { path: file, contents } of await bundle({ unpaced: entry }, folder))
    writeFileSync(file, contents);
}
