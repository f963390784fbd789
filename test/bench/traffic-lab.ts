// Where traffic is made and counted: two network namespaces joined by a cable. The clients' has as many addresses as
// one likes; the server's tracks connections, and an nft counter there says what really came. Nothing answers.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Stream } from '../support/flows.ts';
import type { Owner } from '../support/scratch.ts';
import { Skip } from './figure.ts';
import { findProgram } from './peers/process.ts';

const server = '10.98.0.2';
const serverMac = '02:00:00:98:00:02';
const ipAndUdp = 28;
const program = path.join(import.meta.dirname, '../support/flows.ts');
/** In the table at once, with some to spare. */
const flowsAtMost = 120_000;
const quietLimitMs = 120_000;

export const markedPorts = { firstPort: 60_000, ports: 100 };
export const mark = '0x10/0x10';

// Without a socket at the other end the kernel would answer each datagram with an error.
const ruleset = `table ip lares {
  counter seen { }
  chain marking {
    type filter hook prerouting priority mangle;
    udp dport 60000-60099 ct mark set 0x10
  }
  chain input {
    type filter hook input priority 0;
    ct state new,established counter name seen accept
  }
  chain output {
    type filter hook output priority 0;
    icmp type destination-unreachable drop
  }
}`;

export interface Amount {
  packets: number;
  bytes: number;
}

/** The addresses of the clients, as far as `count` goes. */
export function clients(count: number): string[] {
  return Array.from(
    { length: count },
    (_, index) => `10.98.${16 + Math.floor(index / 250)}.${1 + (index % 250)}`,
  );
}

let labs = 0;

export class Lab {
  /** Words before a command that is to run on the server's side. */
  readonly inServer: string[];
  readonly #inClients: string[];
  /** Made by `send`, by source. */
  readonly sent = new Map<string, Amount>();

  private constructor(name: string) {
    this.inServer = ['ip', 'netns', 'exec', `${name}-server`];
    this.#inClients = ['ip', 'netns', 'exec', `${name}-clients`];
  }

  /** Gone after the measurement. `timeoutSeconds`: how long a flow lives after its last packet. @throws Skip */
  static make(t: Owner, timeoutSeconds: number): Lab {
    if (process.getuid?.() !== 0) throw new Skip('traffic: network namespaces need root');
    for (const name of ['ip', 'nft', 'conntrack', 'sysctl'])
      if (findProgram(name) === undefined) throw new Skip(`traffic: ${name} is not installed`);
    labs += 1;
    const name = `lares-bench-${process.pid}-${labs}`;
    const lab = new Lab(name);
    const [a, b] = [`${name}-clients`, `${name}-server`];
    for (const namespace of [a, b]) {
      const { status, stderr } = spawnSync('ip', ['netns', 'add', namespace], { encoding: 'utf8' });
      if (status !== 0) throw new Skip(`traffic: no network namespaces here: ${stderr.trim()}`);
      t.after(() => must('ip', 'netns', 'del', namespace));
      must('ip', 'netns', 'exec', namespace, 'sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1');
    }
    must(
      ...['ip', '-n', b, 'link', 'add', 'cable', 'address', serverMac, 'type', 'veth'],
      ...['peer', 'cable', 'netns', a],
    );
    for (const namespace of [a, b])
      for (const device of ['lo', 'cable']) must('ip', '-n', namespace, 'link', 'set', device, 'up');
    must('ip', '-n', b, 'address', 'add', `${server}/16`, 'dev', 'cable');
    must('ip', '-n', a, 'address', 'add', '10.98.0.1/16', 'dev', 'cable');
    // A local route makes each of its addresses one that a socket may be bound to.
    must('ip', '-n', a, 'route', 'add', 'local', '10.98.16.0/20', 'dev', 'lo');
    must('ip', '-n', a, 'neigh', 'add', server, 'lladdr', serverMac, 'dev', 'cable');
    const set = ['acct=1', 'timestamp=1', 'events=1', `udp_timeout=${timeoutSeconds}`];
    spawnMust([...lab.inServer, 'nft', '-f', '-'], ruleset);
    try {
      must(...lab.inServer, 'sysctl', '-qw', ...set.map((pair) => `net.netfilter.nf_conntrack_${pair}`));
    } catch (error) {
      throw new Skip(`traffic: connection tracking cannot be set here: ${String(error)}`);
    }
    const most = Number(must(...lab.inServer, 'sysctl', '-n', 'net.netfilter.nf_conntrack_max'));
    if (most < flowsAtMost)
      throw new Skip(`traffic: nf_conntrack_max is ${most}, not ${flowsAtMost} or more`);
    // The table is the whole machine's, and a namespace gives back its share only some time after its end.
    t.after(() => must(...lab.inServer, 'conntrack', '-F'));
    return lab;
  }

  /** Makes flows, and checks that every packet came. */
  async send(stream: Omit<Stream, 'to'>): Promise<void> {
    const before = this.seen();
    const each = stream.ports * stream.packets;
    const order = JSON.stringify({ ...stream, to: server } satisfies Stream);
    const argv = [...this.#inClients, process.execPath, program, order];
    const child = spawn(argv[0] ?? '', argv.slice(1), { stdio: ['ignore', 'inherit', 'inherit'] });
    const [code] = (await once(child, 'exit')) as [number | null];
    const came = this.seen().packets - before.packets;
    if (code !== 0 || came !== each * stream.sources.length)
      throw new Error(
        `of ${each * stream.sources.length} packets ${came} came, the sender ended with ${code}`,
      );
    for (const source of stream.sources) {
      const { packets, bytes } = this.sent.get(source) ?? { packets: 0, bytes: 0 };
      const more = each * (stream.payload + ipAndUdp);
      this.sent.set(source, { packets: packets + each, bytes: bytes + more });
    }
  }

  /** What nft has counted, IP headers included. */
  seen(): Amount {
    const text = must(...this.inServer, 'nft', 'list', 'counter', 'ip', 'lares', 'seen');
    const [, packets, bytes] = /packets (\d+) bytes (\d+)/.exec(text) ?? [];
    return { packets: Number(packets), bytes: Number(bytes) };
  }

  /** Ends all flows at once. */
  async flush(): Promise<void> {
    await this.#conntrack('-F');
  }

  /** Ends flows that are overdue, which the kernel itself comes round to once a minute; listing them does. */
  async sweep(): Promise<void> {
    await this.#conntrack('-L');
  }

  async #conntrack(option: string): Promise<void> {
    const argv = [...this.inServer.slice(1), 'conntrack', option];
    const [code] = (await once(spawn('ip', argv, { stdio: 'ignore' }), 'exit')) as [number | null];
    if (code !== 0) throw new Error(`conntrack ${option} ended with ${code}`);
  }

  /** Waits until every flow has timed out. */
  async quiet(): Promise<void> {
    const end = performance.now() + quietLimitMs;
    while (Number(must(...this.inServer, 'conntrack', '-C')) > 0) {
      if (performance.now() > end) throw new Error('flows live on');
      await this.sweep();
      await sleep(500);
    }
  }
}

/** Runs it to its end. @returns what it printed */
export function must(...argv: string[]): string {
  return spawnMust(argv, '');
}

function spawnMust([first = '', ...rest]: string[], input: string): string {
  const options = { input, encoding: 'utf8', maxBuffer: 1 << 28 } as const;
  const { status, stdout, stderr } = spawnSync(first, rest, options);
  if (status !== 0) throw new Error(`${[first, ...rest].join(' ')}: ${stderr.trim()}`);
  return stdout;
}
