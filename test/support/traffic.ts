// What comes at a receiver and its zone from outside, in a process of its own: datagrams from any source, floods, and a
// reader that opens the zone as fast as it can. The same file is that process (orders as JSON lines on standard input,
// one answer each) and the class that tests speak to it with.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setImmediate as turn } from 'node:timers/promises';
import { buildPacket, keyIdBytes, packetBytes } from '../../daemons/ddns/core/wire.ts';
import type { Owner } from './scratch.ts';

export interface Target {
  host: string;
  port: number;
}

export interface Datagram {
  from: string;
  /** Base64. */
  data: string;
}

/** What a flood is made of. */
export type Recipe =
  | { kind: 'junk' }
  | { kind: 'unknown-key' }
  | { kind: 'bad-signature'; keyId: string }
  /** Base64. */
  | { kind: 'replay'; packet: string };

export interface Flood {
  to: Target;
  sources: string[];
  recipe: Recipe;
  /** It goes on until it is stopped, and has sent so many. */
  least: number;
}

export interface Watch {
  file: string;
  /** The last line. */
  marker: string;
  /** What each line matches, as the source of a regular expression. */
  line: string;
}

/** What a reader saw. */
export interface Sight {
  reads: number;
  /** Different states of the file. */
  versions: number;
  /** The furthest that a modification time was ahead of the clock, in whole seconds. */
  aheadSeconds: number;
  /** Reads that were not a whole file, the first few of them. */
  broken: string[];
}

type Order =
  | { order: 'send'; to: Target; datagrams: Datagram[] }
  | { order: 'flood'; flood: Flood }
  | { order: 'watch'; watch: Watch }
  | { order: 'stop' };

/** The other process. One order at a time; floods and readers go on until they are stopped. */
export class Traffic {
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  /** Starts it, behind the words of `wrapper`; it ends with the test. */
  constructor(t: Owner, wrapper: string[] = []) {
    const script = [process.execPath, '--disable-warning=ExperimentalWarning', import.meta.filename];
    const [program = '', ...args] = [...wrapper, ...script];
    this.#child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const { stdout } = this.#child;
    if (stdout === null) throw new Error('no pipe');
    this.#answers = createInterface({ input: stdout })[Symbol.asyncIterator]();
    t.after(async () => {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
      this.#child.kill('SIGKILL');
      await once(this.#child, 'exit');
    });
  }

  async send(to: Target, datagrams: { from: string; packet: Buffer }[]): Promise<void> {
    const encoded = datagrams.map(({ from, packet }) => ({ from, data: packet.toString('base64') }));
    this.#order({ order: 'send', to, datagrams: encoded });
    await this.#answer();
  }

  /** Resolves as soon as it runs. */
  async flood(flood: Flood): Promise<void> {
    this.#order({ order: 'flood', flood });
    await this.#answer();
  }

  /** Resolves as soon as the file was read once. */
  async watch(watch: Watch): Promise<void> {
    this.#order({ order: 'watch', watch });
    await this.#answer();
  }

  /** Ends the flood; how many it sent. */
  async stopFlood(): Promise<number> {
    this.#order({ order: 'stop' });
    return Number(await this.#answer());
  }

  async stopWatching(): Promise<Sight> {
    this.#order({ order: 'stop' });
    return JSON.parse(await this.#answer()) as Sight;
  }

  #order(order: Order): void {
    this.#child.stdin?.write(`${JSON.stringify(order)}\n`);
  }

  async #answer(): Promise<string> {
    const next = await this.#answers.next();
    if (next.done === true) throw new Error('the traffic process has ended');
    return next.value;
  }
}

// From here on: the other process.

// Safety bounds for the case that the test which should say stop is gone.
const longestMs = 90_000;
const mostPackets = 5_000_000;
const batch = 32;
const junkBytes = 1_400;
const brokenShown = 5;
const nsPerSecond = 1_000_000_000n;

let stopped = false;

async function main(): Promise<void> {
  let running: Promise<void> | undefined;
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line) as Order;
    switch (order.order) {
      case 'send':
        await send(order.to, order.datagrams);
        break;
      case 'flood':
        stopped = false;
        running = flood(order.flood);
        break;
      case 'watch':
        stopped = false;
        running = watch(order.watch);
        break;
      case 'stop':
        stopped = true;
        await running;
    }
  }
  // Whoever gave the orders is gone.
  process.exit();
}

function answer(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function socketFrom(from: string, { host, port }: Target): Promise<Socket> {
  const socket = createSocket(from.includes(':') ? 'udp6' : 'udp4');
  // A receiver that has gone makes the next send fail; that is for the test to notice.
  socket.on('error', () => undefined);
  await new Promise<void>((resolve) => socket.bind(0, from, resolve));
  await new Promise<void>((resolve) => socket.connect(port, host, resolve));
  return socket;
}

async function send(to: Target, datagrams: Datagram[]): Promise<void> {
  for (const { from, data } of datagrams) {
    const socket = await socketFrom(from, to);
    await new Promise((resolve) => socket.send(Buffer.from(data, 'base64'), resolve));
    socket.close();
  }
  answer('sent');
}

async function flood({ to, sources, recipe, least }: Flood): Promise<void> {
  const sockets = await Promise.all(sources.map((from) => socketFrom(from, to)));
  const packets = Array.from({ length: 1_024 }, () => packetOf(recipe));
  answer('flooding');
  const end = performance.now() + longestMs;
  let sent = 0;
  while (sent < mostPackets && performance.now() < end && !(stopped && sent >= least)) {
    const before = sent;
    for (; sent < before + batch; sent += 1) {
      const packet = packets[sent % packets.length];
      if (packet === undefined) continue;
      // Fresh, or the high-water mark would turn it away before its signature is looked at.
      if (recipe.kind === 'bad-signature') packet.writeDoubleBE(Date.now() / 1_000 + sent * 1e-6, keyIdBytes);
      sockets[sent % sockets.length]?.send(packet);
    }
    await turn();
  }
  for (const socket of sockets) socket.close();
  answer(String(sent));
}

function packetOf(recipe: Recipe): Buffer {
  const noise = (): Buffer => randomBytes(packetBytes - keyIdBytes);
  switch (recipe.kind) {
    case 'junk':
      return randomBytes(randomInt(junkBytes));
    case 'unknown-key':
      return buildPacket(randomBytes(21).toString('base64url'), Date.now() / 1_000, noise);
    case 'bad-signature':
      return buildPacket(recipe.keyId, Date.now() / 1_000, noise);
    case 'replay':
      return Buffer.from(recipe.packet, 'base64');
  }
}

async function watch({ file, marker, line }: Watch): Promise<void> {
  const pattern = new RegExp(line);
  const versions = new Set<string>();
  const sight: Sight = { reads: 0, versions: 0, aheadSeconds: -Infinity, broken: [] };
  let lines = 0;
  const end = performance.now() + longestMs;
  while (!stopped && performance.now() < end) {
    const { text, version, seconds } = readOnce(file);
    const content = text.split('\n');
    if (sight.reads === 0) lines = content.length;
    versions.add(version);
    sight.aheadSeconds = Math.max(sight.aheadSeconds, seconds - Math.floor(Date.now() / 1_000));
    const odd = content.slice(0, -1).find((each) => !pattern.test(each));
    const whole = content.length === lines && text.endsWith(`${marker}\n`) && odd === undefined;
    if (!whole && sight.broken.length < brokenShown)
      sight.broken.push(
        `${text.length} characters, ${content.length} of ${lines} lines, odd: ${odd ?? 'the end'}`,
      );
    sight.reads += 1;
    if (sight.reads === 1) answer('watching');
    await turn();
  }
  answer(JSON.stringify({ ...sight, versions: versions.size }));
}

function readOnce(file: string): { text: string; version: string; seconds: number } {
  const fd = openSync(file, 'r');
  try {
    const { ino, mtimeNs } = fstatSync(fd, { bigint: true });
    const chunk = Buffer.alloc(2 ** 20);
    let text = '';
    for (let length = readSync(fd, chunk); length > 0; length = readSync(fd, chunk))
      text += chunk.toString('latin1', 0, length);
    return { text, version: `${ino} ${mtimeNs}`, seconds: Number(mtimeNs / nsPerSecond) };
  } finally {
    closeSync(fd);
  }
}

if (import.meta.main) await main();
