// The figures of the package as it is installed, in a machine with a real systemd: how long until tinydns answers, what
// the receiver keeps in memory, how exposed its units are, what it takes on disk.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '../support/ddns.ts';
import {
  blockOf,
  deb,
  hook,
  lacksPackage,
  machineWithPackage,
  name,
  port,
  serve,
  service,
  zone,
} from '../support/ddns-machine.ts';
import type { Machine } from '../support/machine.ts';
import type { Owner } from '../support/scratch.ts';
import type { Question } from './asker.ts';
import { type Figure, Skip } from './figure.ts';
import { findProgram } from './peers/process.ts';

const server = '127.53.0.1';
const runs = 11;
/** Beyond the pace of one rewrite a second, and long enough for the machine to come to rest. */
const restMs = 2_500;
const mebi = 1 << 20;

export async function installed(t: Owner): Promise<Figure[]> {
  const lacking = await lacksPackage();
  if (lacking !== false) throw new Skip(`the package under systemd: ${lacking}`);
  const machine = await machineWithPackage(t);
  const client = new Client();
  // The pauses between the runs are no reason to leave; where it has to be asleep it is stopped.
  await serve(machine, blockOf(client, name), ['IdleExit=1min']);
  await startTinydns(machine);
  const ask = startAsker(t, machine);
  let count = 0;
  const change = async (): Promise<number> => {
    count += 1;
    const packet = client.packet().toString('hex');
    const took = await ask({ packet, port, from: `127.1.0.${count}`, server, name });
    if (took < 0) throw new Error(`tinydns never answered with 127.1.0.${count}`);
    return took;
  };
  await change();
  const warm: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    await sleep(restMs);
    warm.push(await change());
  }
  const awake = await memory(machine);
  const woken: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    await machine.systemctl('stop', service);
    await sleep(restMs);
    woken.push(await change());
  }
  await machine.systemctl('stop', service);
  await machine.untilShows(service, 'MainPID', '0');
  const asleep: Figure = {
    name: 'memory of the receiver, asleep',
    value: 0,
    unit: 'MiB',
    note: 'no process; PID 1 holds two sockets and the watch of the path unit',
  };
  return [
    spread('under systemd, packet to answer, awake', warm, 100),
    spread('under systemd, packet to answer, asleep', woken, 250),
    awake,
    asleep,
    ...(await exposure(machine)),
    ...(await sizes(machine)),
  ];
}

function spread(what: string, times: number[], atMost: number): Figure {
  const sorted = times.toSorted((a, b) => a - b);
  const [best = Number.NaN] = sorted;
  const value = sorted[sorted.length >> 1] ?? Number.NaN;
  const note = `median of ${sorted.length}, best ${best.toFixed(0)}, worst ${sorted.at(-1)?.toFixed(0) ?? ''} ms`;
  return { name: what, value, unit: 'ms', atMost, note };
}

async function startTinydns(machine: Machine): Promise<void> {
  const environment = `ROOT=${path.dirname(zone)} IP=${server} UID=65534 GID=65534`;
  const exec = findProgram('tinydns');
  if (exec === undefined) throw new Skip('the package under systemd: tinydns is not installed');
  // What it prints is a line a query: not for the journal, which is part of what is measured.
  await machine.writeUnits({
    'bench-tinydns.service': `[Service]\nEnvironment=${environment}\nExecStart=${exec}\nStandardOutput=null\n`,
  });
  const script = `cd ${path.dirname(zone)} && ${hook} && chown lares-ddns: data.cdb`;
  await machine.must('sh', '-c', script);
  await machine.systemctl('start', 'bench-tinydns.service');
}

function startAsker(t: Owner, machine: Machine): (question: Question) => Promise<number> {
  const argv = ['-t', String(machine.leader), '-n', '--', process.execPath];
  const child = spawn('nsenter', [...argv, path.join(import.meta.dirname, 'asker.ts')], {
    env: { PATH: process.env['PATH'] },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.after(() => child.kill());
  const answers = createInterface({ input: child.stdout });
  return async (question) => {
    const answered = once(answers, 'line');
    child.stdin.write(`${JSON.stringify(question)}\n`);
    return Number((await answered)[0]);
  };
}

async function memory(machine: Machine): Promise<Figure> {
  const inside = await machine.show(service, 'MainPID');
  const rollup = readFileSync(machine.path(`/proc/${inside}/smaps_rollup`), 'utf8');
  const kibi = (field: string): number => Number(new RegExp(`^${field}: +(\\d+) kB$`, 'm').exec(rollup)?.[1]);
  const shown = (amount: number): string => (amount / 1_024).toFixed(1);
  const parts = `${shown(kibi('Anonymous'))} of it anonymous; PSS ${shown(kibi('Pss'))}, RSS ${shown(kibi('Rss'))} MiB`;
  const value = (kibi('Private_Clean') + kibi('Private_Dirty')) / 1_024;
  return { name: 'memory of the receiver, awake', value, unit: 'MiB', note: `private, ${parts}` };
}

/** Of each service of the package, as systemd-analyze rates it; the gate is one for all of ddns. */
async function exposure(machine: Machine): Promise<Figure[]> {
  const listed = await machine.must('dpkg', '-L', 'lares');
  const files = listed.split('\n').filter((file) => /\/systemd\/system\/\S+\.service$/.test(file));
  return Promise.all(
    files.map(async (file): Promise<Figure> => {
      const out = await machine.must('systemd-analyze', 'security', '--offline=true', '--no-pager', file);
      const [, unit = '', rating, word = ''] = /exposure level for (\S+): ([\d.]+) (\w+)/.exec(out) ?? [];
      const note = `${word}, systemd-analyze security`;
      return { name: `exposure of ${unit}`, value: Number(rating), unit: 'of 10', atMost: 1.5, note };
    }),
  );
}

async function sizes(machine: Machine): Promise<Figure[]> {
  const kibi = await machine.must('dpkg-query', '--show', '--showformat=${Installed-Size}', 'lares');
  return [
    { name: 'the package', value: statSync(deb).size / mebi, unit: 'MiB', note: path.basename(deb) },
    { name: 'the package, installed', value: Number(kibi) / 1_024, unit: 'MiB', note: 'Installed-Size' },
  ];
}
