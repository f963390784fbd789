// The receiver killed (SIGKILL, by strace) before each system call that changes its state or the zone: whatever the
// moment, the zone is the old or the new one, an update that was taken is not lost, none is taken twice, and the hook
// hears of it. A kill before one call is a kill after the call before it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chownSync, existsSync, readdirSync, readFileSync, statSync, utimesSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { readStatus } from '../../daemons/ddns/store.ts';
import type { Daemon } from '../support/daemon.ts';
import { type Bench, Client, receiverOn, send } from '../support/ddns.ts';
import { findProgram, lacksTracing, program } from '../support/netns.ts';
import { until } from '../support/wait.ts';

type Side = 'zone' | 'state';
/** Calls that change something on the disk, in the lines of strace. */
const changing = new RegExp(
  `^\\d+ +(${[
    ['fchown', 'fchmod', 'fsetxattr', 'utimensat', 'write', 'writev', 'pwrite64', 'pwritev', 'ftruncate'],
    ['fsync', 'fdatasync', 'rename', 'renameat2', 'unlink', 'unlinkat'],
  ]
    .flat()
    .join('|')})\\(`,
);
/** Must be among the points; which one they are is read from what strace says of the last call. */
const certainPoints: Record<Side, string[]> = {
  zone: ['fsync temporary', 'renameat2 temporary', 'unlink temporary', 'fsync folder'],
  state: ['fsync log', 'pwrite64 log'],
};
const nobody = 65_534;
const thief = '127.0.250.1';

function hasEnded({ process: { exitCode, signalCode } }: Daemon): boolean {
  return exitCode !== null || signalCode !== null;
}

class Scene {
  readonly bench: Bench;
  readonly folder: string;
  readonly client = new Client();
  #rounds = 0;

  constructor(t: TestContext) {
    this.bench = receiverOn(t, this.zoneOf(0, '192.0.2.1'), 'Hook=/bin/sh -c "cat >> ../heard"\n');
    this.folder = path.dirname(this.bench.zone);
    // So that each rewrite has an owner to keep, an attribute to copy, and a serial number to set by hand.
    if (process.getuid?.() === 0) chownSync(this.bench.zone, nobody, nobody);
    if (findProgram('setfattr') !== undefined)
      spawnSync(program('setfattr'), ['-n', 'user.note', '-v', 'kept', this.bench.zone]);
    const ahead = Math.floor(Date.now() / 1_000) + 1_000;
    utimesSync(this.bench.zone, ahead, ahead);
  }

  /** After a first update: the database has its tables. */
  async settled(): Promise<this> {
    const daemon = this.bench.start();
    const { address, packet } = this.next();
    await send(await daemon.ready(), packet, address);
    await daemon.record(/^published /);
    assert.equal(await daemon.stop(), 0);
    return this;
  }

  zoneOf(stamp: number, address: string): string {
    return `+fixed.example.net:8.8.4.4:300

# dynamic: ${stamp} ${this.client.publicText}
+home.example.net:${address}:300

# the end.
`;
  }

  get zone(): string {
    return readFileSync(this.bench.zone, 'latin1');
  }

  get heard(): string {
    const file = path.join(this.bench.folder, 'heard');
    return existsSync(file) ? readFileSync(file, 'latin1') : '';
  }

  status(): NonNullable<ReturnType<typeof readStatus>> {
    const status = readStatus(path.join(this.bench.folder, 'state'));
    assert.ok(status);
    return status;
  }

  /** Another address and a packet of now. */
  next(): { address: string; packet: Buffer; stamp: number } {
    this.#rounds += 1;
    const stamp = Date.now() / 1_000;
    const address = `127.0.${this.#rounds >> 7}.${(this.#rounds & 127) + 1}`;
    return { address, packet: this.client.packet(stamp), stamp };
  }

  /** The receiver under strace, which sees the calls on the files of one side alone. */
  traced(side: Side, injection: string): Daemon {
    const { ino, mtimeNs, size } = statSync(this.bench.zone, { bigint: true });
    const temporary = path.join(this.folder, `.data.lares-${ino}-${mtimeNs}-${size}`);
    const left = readdirSync(this.folder).map((name) => path.join(this.folder, name));
    const database = path.join(this.bench.folder, 'state', 'ddns.db');
    const files = {
      zone: [this.bench.zone, this.folder, temporary, ...left],
      state: [database, `${database}-wal`],
    };
    // -D: the receiver, not strace, is the child that is waited for and signalled.
    const options = ['-D', '-f', '-y', '-qq', '-e', 'signal=none', '-o', this.trace, '-e', injection];
    // strace counts calls by thread: with one thread in the pool the count is the same in every run.
    const env = { UV_THREADPOOL_SIZE: '1' };
    return this.bench.start({
      wrapper: [program('strace'), ...options, ...files[side].flatMap((file) => ['-P', file])],
      env,
    });
  }

  get trace(): string {
    return path.join(this.bench.folder, 'trace');
  }
}

/** What was about to happen when it was killed: the call, and what it was for. */
async function pointOf({ trace, folder }: Scene, call: string): Promise<string> {
  const killed = new RegExp(`^\\d+ +${call}\\((.*?)(\\) += \\?| <unfinished \\.\\.\\.>)$`, 'gm');
  const said = (): string => readFileSync(trace, 'latin1');
  const [, args = ''] = await until('last call', () => [...said().matchAll(killed)].at(-1) ?? false, said);
  const objects: [string, string][] = [
    ['temporary', '.data.lares-'],
    ['log', 'ddns.db-wal'],
    ['database', 'ddns.db'],
    ['folder', `${folder}>`],
  ];
  return `${call} ${objects.find(([, part]) => args.includes(part))?.[0] ?? 'zone'}`;
}

/** The calls of one whole run, `KIND NUMBER` each: number `NUMBER` of its kind. */
async function callsOf(scene: Scene, side: Side): Promise<[string, number][]> {
  const { address, packet } = scene.next();
  const daemon = scene.traced(side, 'trace=all');
  await send(await daemon.ready(), packet, address);
  await daemon.record(/^published /);
  assert.equal(await daemon.stop(), 0);
  const seen = new Map<string, number>();
  return readFileSync(scene.trace, 'latin1')
    .split('\n')
    .flatMap((line) => {
      const call = changing.exec(line)?.[1];
      if (call === undefined) return [];
      const count = (seen.get(call) ?? 0) + 1;
      seen.set(call, count);
      return [[call, count]];
    });
}

/**
 * One run that is killed before the `count`th call of a kind, and one that takes up what it left. Between the two, if
 * `again` says so, one that is killed at its start. Where it was killed, or undefined.
 */
async function crash(
  scene: Scene,
  side: Side,
  call: string,
  count: number,
  again?: string,
): Promise<string | undefined> {
  const { bench } = scene;
  const before = scene.zone;
  const { address, packet, stamp } = scene.next();
  const victim = scene.traced(side, `inject=${call}:signal=KILL:when=${count}`);
  await until(
    'start or end',
    () => hasEnded(victim) || victim.records.some(({ MESSAGE }) => MESSAGE.startsWith('ready: ')),
  );
  const started = !hasEnded(victim);
  if (started) {
    await send(await victim.ready(), packet, address);
    await until(
      'update or end',
      () => hasEnded(victim) || victim.records.some(({ MESSAGE }) => MESSAGE.startsWith('published ')),
    );
    victim.process.kill('SIGTERM');
  }
  await until('end', () => hasEnded(victim));
  const survived = victim.process.signalCode === null;
  const point = survived ? undefined : await pointOf(scene, call);
  const place = `${call} ${count} (${point ?? 'survived'})`;

  const after = scene.zone;
  const isNew = after === scene.zoneOf(stamp, address);
  assert.ok(isNew || after === before, `${place} left a zone that is neither old nor new:\n${after}`);
  const taken = scene.status().peers.some((peer) => peer.address.text === address && peer.stamp === stamp);
  assert.ok(taken || !isNew, `${place}: in the zone, although not yet durable in the state`);

  if (again !== undefined) {
    const second = scene.traced('zone', again);
    await until(`second kill after ${place}`, () => hasEnded(second));
    assert.equal(second.process.signalCode, 'SIGKILL');
  }
  const heir = bench.start();
  const port = await heir.ready();
  if (!taken) await send(port, scene.client.packet(), address);
  await until(
    `${address} after ${place}`,
    () => scene.zone.includes(`:${address}:`),
    () => heir.text,
  );
  if (taken) assert.equal(scene.zone, scene.zoneOf(stamp, address));
  // Each run of the hook ends with a line of its own, so what is heard is heard in full.
  await until(
    `${address} heard by the hook after ${place}`,
    () => scene.heard.includes(`"to":"${address}"}\n`),
    () => heir.text,
  );
  if (started) {
    await send(port, packet, thief);
    await until(
      `refusal of a replay after ${place}`,
      () => heir.records.some(({ MESSAGE }) => MESSAGE.startsWith(`refused: replayed from ${thief} `)),
      () => heir.text,
    );
  }
  assert.equal(await heir.stop(), 0);
  const leftovers = readdirSync(scene.folder).filter((name) => name !== 'data');
  assert.deepEqual(leftovers, [], `${place} left files that a start does not clear`);
  assert.ok(scene.zone.includes(`:${address}:`), `${place}: a captured packet was taken again`);
  const waiting = scene.status().peers.filter(({ due }) => due);
  assert.deepEqual(waiting, [], `${place}: something is still to be done`);
  return point === undefined ? undefined : `${point}${isNew ? ', new zone' : taken ? ', taken' : ''}`;
}

/** Kills it before each call that a whole run makes, from the start to the end. */
async function crashEverywhere(t: TestContext, side: Side): Promise<void> {
  const scene = await new Scene(t).settled();
  const points: string[] = [];
  for (const [call, count] of await callsOf(scene, side)) {
    const point = await crash(scene, side, call, count);
    if (point !== undefined) points.push(point);
  }
  t.diagnostic(points.join('; '));
  for (const certain of certainPoints[side])
    assert.ok(
      points.some((point) => point.startsWith(certain)),
      `never killed before ${certain}`,
    );
}

test('killed before any call that changes something, it loses nothing and takes nothing twice', {
  skip: lacksTracing(),
  concurrency: true,
}, async (t) => {
  await Promise.all([
    t.test('calls on the zone and its folder', (t) => crashEverywhere(t, 'zone')),
    t.test('calls on the database', (t) => crashEverywhere(t, 'state')),
  ]);
});

test('killed again while it clears what an interrupted rewrite left, it is none the worse', {
  skip: lacksTracing(),
}, async (t) => {
  const scene = await new Scene(t).settled();
  for (const call of ['fsync', 'unlink']) {
    const point = await crash(scene, 'zone', call, 1, 'inject=unlink:signal=KILL:when=1');
    assert.match(point ?? '', new RegExp(`^${call} temporary`));
  }
});
