// The traffic daemon on a network of its own: two namespaces joined by a cable, connection tracking in the server's,
// and nftables there, whose counters are what the daemon's sums are held against. Its sockets belong to the test, as
// the service manager's do, so that they outlive it.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { ask } from '../../lib/control.ts';
import { allocate, bind, check } from '../../lib/sys/libc.ts';
import { openNetfilter, setReceiveBuffer } from '../../lib/sys/netlink.ts';
import { Daemon, root } from './daemon.ts';
import type { Stream } from './flows.ts';
import { type Network, networkOf, program, serverAddress } from './netns.ts';
import { scratch } from './scratch.ts';
import { until } from './wait.ts';

export interface Amount {
  packets: number;
  bytes: number;
}

/** As `lares traffic report --json` has it. */
export interface PeerRow {
  peer: string;
  rxBytes: number;
  txBytes: number;
  rxPackets: number;
  txPackets: number;
  firstSeen: number;
  lastSeen: number;
}

export interface Status {
  status: string;
  peers: number;
  flows: number;
  drops: number;
  lostTail: { flows: number; bytes: number };
  unseenAtMost: number;
  crashes: number;
  uncounted: number;
  dumpTrouble: string | null;
}

// What is untracked, such as neighbour discovery, is nobody's flow; errors of closed ports would be.
const ruleset = (extra: string): string => `table inet lares {
  counter received { }
  counter sent { }
  chain input {
    type filter hook input priority 0;
    ct state new,established counter name received
  }
  chain output {
    type filter hook output priority 0;
    icmp type destination-unreachable drop
    icmpv6 type destination-unreachable drop
    ct state new,established counter name sent
  }
  ${extra}
}`;

const destroyed = 4;
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const CLONE_NEWNET = 0x4000_0000;
const setns = bind('int setns(int fd, int type)');
const socket = bind('int socket(int domain, int type, int protocol)');
const bindTo = bind('int bind(int fd, const uint8_t *address, uint32_t length)');
const listen = bind('int listen(int fd, int backlog)');

/** Runs `act` with this thread in the network of a namespace. */
export function inNamespace<T>(name: string, act: () => T): T {
  const own = openSync('/proc/thread-self/ns/net', 'r');
  const other = openSync(`/run/netns/${name}`, 'r');
  try {
    check(setns(other, CLONE_NEWNET), 'setns', name);
    try {
      return act();
    } finally {
      check(setns(own, CLONE_NEWNET), 'setns');
    }
  } finally {
    closeSync(own);
    closeSync(other);
  }
}

/** A listening socket that Node does not accept from. */
function listening(file: string): number {
  const fd = check(socket(AF_UNIX, SOCK_STREAM, 0), 'socket');
  const address = allocate(110).bytes;
  address.writeUInt16LE(AF_UNIX, 0);
  address.write(file, 2);
  check(bindTo(fd, address, address.length), 'bind', file);
  check(listen(fd, 16), 'listen', file);
  return fd;
}

export interface Options {
  /** Lines of traffic.conf. */
  settings?: string[];
  /** The event socket's; 0: what the machine gives to everybody. */
  bufferBytes?: number;
  /** More chains of the firewall. */
  rules?: string;
  /** Seconds that a flow lives after its last packet. */
  timeoutSeconds?: number;
}

export class Accounting {
  readonly network: Network;
  readonly folder: string;
  readonly state: string;
  readonly control: string;
  readonly conf: string;
  readonly fds: [events: number, control: number];
  readonly #t: TestContext;
  daemon: Daemon | undefined;

  constructor(t: TestContext, options: Options = {}) {
    const { settings = [], bufferBytes = 32 << 20, rules = '', timeoutSeconds = 60 } = options;
    this.#t = t;
    // Before the hooks that take the rest away. The table is the whole machine's, and a namespace gives back its share
    // only some time after its end.
    t.after(() => this.flush());
    this.network = networkOf(t);
    this.folder = scratch(t);
    this.state = path.join(this.folder, 'state');
    this.control = path.join(this.folder, 'control');
    this.conf = path.join(this.folder, 'traffic.conf');
    mkdirSync(this.state);
    this.configure(settings);
    this.inServer(['nft', '-f', '-'], ruleset(rules));
    this.set('acct', 1);
    this.set('timestamp', 1);
    this.set('events', 1);
    this.set('udp_timeout', timeoutSeconds);
    this.set('icmp_timeout', timeoutSeconds);
    this.set('icmpv6_timeout', timeoutSeconds);
    const events = inNamespace(this.#serverName, () => openNetfilter(destroyed));
    if (bufferBytes > 0) setReceiveBuffer(events, bufferBytes);
    this.fds = [events, listening(this.control)];
    t.after(() => this.fds.forEach((fd) => closeSync(fd)));
  }

  get #serverName(): string {
    return this.network.server.at(-1) ?? '';
  }

  configure(settings: string[]): void {
    writeFileSync(this.conf, `${settings.join('\n')}\n`);
  }

  /** A switch of connection tracking. */
  set(name: string, value: number): void {
    this.inServer(['sh', '-c', `echo ${value} > /proc/sys/net/netfilter/nf_conntrack_${name}`]);
  }

  /** Starts it on the same sockets as before; `ids`: as another user. */
  async start(ids: { uid?: number; gid?: number } = {}): Promise<Daemon> {
    const daemon = Daemon.start(this.#t, {
      noun: 'traffic',
      args: ['--conf', this.conf, '--state', this.state],
      env: { LISTEN_FDS: '2', LISTEN_FDNAMES: 'events:control' },
      fds: this.fds,
      // A user of its own comes after the namespace, which is root's to enter.
      wrapper:
        ids.uid === undefined
          ? this.network.server
          : [
              ...this.network.server,
              'setpriv',
              `--reuid=${ids.uid}`,
              `--regid=${ids.gid ?? ids.uid}`,
              '--clear-groups',
            ],
    });
    this.daemon = daemon;
    await daemon.ready();
    return daemon;
  }

  async restart(): Promise<void> {
    const code = await this.daemon?.stop();
    if (code !== 0) throw new Error(`it ended with ${code ?? 'a signal'}: ${this.daemon?.text ?? ''}`);
    await this.start();
  }

  /** Runs a command on the server's side to its end. @returns what it printed */
  inServer(argv: string[], input = ''): string {
    return run([...this.network.server, ...argv], input);
  }

  inClients(argv: string[], input = ''): string {
    return run([...this.network.clients, ...argv], input);
  }

  /** Makes flows from the clients' side. */
  async send(stream: Omit<Stream, 'to'>): Promise<void> {
    const order = JSON.stringify({ ...stream, to: serverAddress.v4 } satisfies Stream);
    const file = path.join(root, 'test/support/flows.ts');
    const [first, ...rest] = [...this.network.clients, process.execPath, file, order];
    const child = spawn(first, rest, { stdio: ['ignore', 'inherit', 'inherit'] });
    const [code] = (await once(child, 'exit')) as [number | null];
    if (code !== 0) throw new Error(`the sender ended with ${code}`);
  }

  /** Ends all flows at once. */
  flush(): void {
    this.inServer([program('conntrack'), '-F']);
  }

  /** Ends flows that are overdue, which the kernel comes round to once a minute; listing them does. */
  async quiet(): Promise<void> {
    await until('end of all flows', () => {
      this.inServer([program('conntrack'), '-L']);
      return Number(this.inServer([program('conntrack'), '-C'])) === 0;
    });
  }

  /** What nft has counted, in packets that the server received and sent. */
  counted(): { received: Amount; sent: Amount } {
    const text = this.inServer(['nft', 'list', 'counters', 'table', 'inet', 'lares']);
    const one = (name: string): Amount => {
      const [, packets, bytes] =
        new RegExp(`counter ${name} \\{\\s+packets (\\d+) bytes (\\d+)`).exec(text) ?? [];
      return { packets: Number(packets), bytes: Number(bytes) };
    };
    return { received: one('received'), sent: one('sent') };
  }

  async peers(since?: number): Promise<PeerRow[]> {
    const parameters = since === undefined ? {} : { since };
    return (await ask(this.control, 'Report', parameters))['rows'] as PeerRow[];
  }

  async sums(): Promise<{ received: Amount; sent: Amount }> {
    const rows = await this.peers();
    const sum = (name: 'rxBytes' | 'txBytes' | 'rxPackets' | 'txPackets'): number =>
      rows.reduce((total, row) => total + row[name], 0);
    // What the peers have sent is what the server received.
    return {
      received: { packets: sum('txPackets'), bytes: sum('txBytes') },
      sent: { packets: sum('rxPackets'), bytes: sum('rxBytes') },
    };
  }

  async status(): Promise<Status> {
    return (await ask(this.control, 'Status')) as unknown as Status;
  }

  /** Waits until the sums are nft's, or shows how far they are off. */
  async agrees(): Promise<void> {
    let seen = '';
    await until(
      'agreement with nft',
      async () => {
        const [ours, theirs] = [JSON.stringify(await this.sums()), JSON.stringify(this.counted())];
        seen = `here ${ours}\nnft  ${theirs}`;
        return ours === theirs;
      },
      () => `${seen}\n${this.daemon?.text ?? ''}`,
    );
  }
}

function run([first = '', ...rest]: string[], input: string): string {
  const { status, stdout, stderr } = spawnSync(first, rest, { input, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (status !== 0) throw new Error(`${[first, ...rest].join(' ')}: ${stderr.trim()}`);
  return stdout;
}
