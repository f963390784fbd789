// The traffic daemon as it is shipped (a bundle with the flags of its unit) in the server's namespace, its sockets in
// the hands of a holder; asked through its control socket and its database.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { ask } from '../../lib/control.ts';
import { openForReading } from '../../lib/sqlite.ts';
import { bundle } from '../../scripts/bundle.ts';
import { addons } from '../../scripts/native.ts';
import { root } from '../support/daemon.ts';
import { type Owner, scratch } from '../support/scratch.ts';
import { until } from '../support/wait.ts';
import type { Counting } from './counting.ts';
import type { Answer, Hold } from './holder.ts';
import { peerCpuMicros } from './peers/process.ts';
import type { Amount, Lab } from './traffic-lab.ts';

/** With a JIT: a burst is what it is for. */
const flags = ['--max-semi-space-size=8', '--disable-warning=ExperimentalWarning'];
export const shippedBuffer = 32 << 20;

/** What it says of itself. */
export interface Status {
  flows: number;
  drops: number;
  lostTail: { flows: number; bytes: number };
  lastDump: { at: number; tookMs: number; flows: number };
}

export interface Accountant extends Counting {
  memoryMiB: (field: 'VmRSS' | 'VmHWM') => number;
  status: () => Promise<Status>;
}

let bundled: Promise<string> | undefined;

/** Bundled once a run; the folder stays until this process ends. */
function program(): Promise<string> {
  bundled ??= (async () => {
    let remove: (() => unknown) | undefined;
    const folder = scratch({ after: (undo) => (remove = undo) });
    process.once('exit', () => remove?.());
    mkdirSync(path.join(folder, 'native'));
    for (const [name, file] of Object.entries(addons(root)))
      symlinkSync(file, path.join(folder, 'native', name));
    const sources = path.join(root, 'daemons/traffic');
    const entries = {
      traffic: path.join(sources, 'main.ts'),
      'traffic-reader': path.join(sources, 'programs/reader.ts'),
    };
    for (const { path: file, contents } of await bundle(entries, folder)) writeFileSync(file, contents);
    return path.join(folder, 'traffic.mjs');
  })();
  return bundled;
}

/** Ready to hear; ends after the measurement at the latest. */
export async function startAccountant(
  t: Owner,
  lab: Lab,
  settings: string,
  bufferBytes = shippedBuffer,
): Promise<Accountant> {
  const folder = scratch(t);
  const [conf, state, log, control] = [
    path.join(folder, 'traffic.conf'),
    path.join(folder, 'state'),
    path.join(folder, 'log'),
    path.join(folder, 'control'),
  ];
  writeFileSync(conf, settings);
  writeFileSync(log, '');
  const argv = [process.execPath, ...flags, await program(), '--conf', conf, '--state', state, '--json'];
  const send = hold(t, lab, { bufferBytes, control, argv, log });
  let pid = 0;
  const start = async (): Promise<void> => {
    const before = readFileSync(log, 'utf8').length;
    pid = (await send('start')).pid ?? 0;
    const said = (): string => readFileSync(log, 'utf8').slice(before);
    await until('ready daemon', () => said().includes('"MESSAGE":"ready: '), said);
  };
  const stop = async (): Promise<void> => {
    const { code } = await send('stop');
    if (code !== undefined && code !== 0)
      throw new Error(`the daemon ended with ${code}: ${readFileSync(log, 'utf8')}`);
  };
  await start();
  return {
    cpuMicros: () => peerCpuMicros(pid),
    memoryMiB: (field) =>
      Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) /
      1_024,
    progress: () => [...sumsIn(state).values()].reduce((sum, { packets }) => sum + packets, 0),
    sums: () => sumsIn(state),
    status: async () => (await ask(control, 'Status')) as unknown as Status,
    restart: async () => {
      await stop();
      await start();
    },
    stop,
  };
}

function hold(t: Owner, lab: Lab, order: Hold): (word: 'start' | 'stop') => Promise<Answer> {
  const program = path.join(import.meta.dirname, 'holder.ts');
  const argv = [...lab.inServer.slice(1), process.execPath, program, JSON.stringify(order)];
  const child = spawn('ip', argv, { stdio: ['pipe', 'pipe', 'inherit'] });
  const answers = createInterface({ input: child.stdout });
  t.after(async () => {
    if (child.exitCode !== null) return;
    child.stdin.end();
    const patience = setTimeout(() => child.kill(), 20_000);
    await once(child, 'exit');
    clearTimeout(patience);
  });
  return async (word) => {
    const answered = once(answers, 'line');
    child.stdin.write(`${word}\n`);
    return JSON.parse(String((await answered)[0])) as Answer;
  };
}

function sumsIn(state: string): Map<string, Amount> {
  const db = openForReading(path.join(state, 'traffic.db'));
  if (db === undefined) return new Map();
  try {
    const rows = db
      .prepare(
        'SELECT peer, total(rx_bytes + tx_bytes), total(rx_packets + tx_packets) FROM series GROUP BY peer',
      )
      .raw()
      .all() as [string, number, number][];
    return new Map(rows.map(([peer, bytes, packets]) => [peer, { packets, bytes }]));
  } finally {
    db.close();
  }
}

/** Waits for a status that is as wanted, as long as `limitMs`. */
export async function statusOf(
  accountant: Accountant,
  what: string,
  limitMs: number,
  wanted: (status: Status) => boolean,
): Promise<Status> {
  const end = performance.now() + limitMs;
  for (;;) {
    const status = await accountant.status();
    if (wanted(status)) return status;
    if (performance.now() > end)
      throw new Error(`no ${what} within ${limitMs} ms: ${JSON.stringify(status)}`);
    await sleep(50);
  }
}
