// What a test needs from the machine (root, programs), and two network namespaces joined by a cable: a server with one
// address and clients with as many as one likes, all of them public ones that never leave the namespaces.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import path from 'node:path';
import type { TestContext } from 'node:test';

/** Debian packages of the programs that tests start. */
const packages = {
  busybox: 'busybox',
  'carbon-cache': 'graphite-carbon',
  conntrack: 'conntrack',
  dig: 'bind9-dnsutils',
  getfacl: 'acl',
  getfattr: 'attr',
  ip: 'iproute2',
  nft: 'nftables',
  promtool: 'prometheus',
  setfacl: 'acl',
  setfattr: 'attr',
  strace: 'strace',
  tinydns: 'tinydns',
  'tinydns-data': 'tinydns',
  'whisper-fetch': 'python3-whisper',
} as const;
export type Program = keyof typeof packages;

/** Servers stand in sbin, which the PATH of an ordinary user leaves out. */
export function findProgram(name: Program): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(path.delimiter), '/usr/sbin', '/sbin'];
  return folders.map((folder) => path.join(folder, name)).find(isExecutable);
}

/** Where it lies; for programs that `lacks` has asked for. */
export function program(name: Program): string {
  return findProgram(name) ?? name;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return path.isAbsolute(file);
  } catch {
    return false;
  }
}

/** Why a test cannot run here, in one line; false where it can. For the `skip` of a test. */
export function lacks(programs: Program[], needsRoot = false): string | false {
  const missing = programs.find((name) => findProgram(name) === undefined);
  if (missing !== undefined) return `needs ${missing} (Debian package ${packages[missing]})`;
  return needsRoot && process.getuid?.() !== 0 ? 'needs root' : false;
}

/** The same for strace, which containers often forbid. */
export function lacksTracing(): string | false {
  const reason = lacks(['strace']);
  if (reason !== false) return reason;
  const { status, stderr } = spawnSync(program('strace'), ['-qq', '-e', 'trace=none', 'true'], {
    encoding: 'utf8',
  });
  return status === 0 ? false : `needs ptrace: ${stderr.trim()}`;
}

/** The same for `networkOf`. */
export function lacksNetwork(): string | false {
  const reason = lacks(['ip'], true);
  if (reason !== false) return reason;
  const name = freshName();
  const { status, stderr } = spawnSync(program('ip'), ['netns', 'add', name], { encoding: 'utf8' });
  if (status !== 0) return `needs network namespaces: ${stderr.trim()}`;
  ip('netns', 'del', name);
  return false;
}

/** The same for a network in which the kernel tracks connections. */
export function lacksTracking(programs: Program[] = []): string | false {
  const reason = lacks(['nft', 'conntrack', ...programs]) || lacksNetwork();
  if (reason !== false) return reason;
  const name = freshName();
  ip('netns', 'add', name);
  const { status, stderr } = spawnSync(
    program('ip'),
    ['netns', 'exec', name, program('nft'), 'list', 'ruleset'],
    {
      encoding: 'utf8',
    },
  );
  ip('netns', 'del', name);
  const hasTable = existsSync('/proc/sys/net/netfilter/nf_conntrack_acct');
  return status !== 0 ? `needs nftables: ${stderr.trim()}` : hasTable ? false : 'needs connection tracking';
}

export interface Network {
  /** Words before a command that is to run on the server's side, or on the clients'. */
  server: string[];
  clients: string[];
}

export const serverAddress = { v4: '8.8.0.53', v6: '2a00:1450:53::53' };
/** Every IPv4 address that begins with this, and these of IPv6, are the clients'. */
export const clientPrefix = '8.64.';
export const clientAddresses6 = ['2a00:1450:64::7', '2a00:1450:64::8'];

let count = 0;

function freshName(): string {
  count += 1;
  return `lares-test-${process.pid}-${count}`;
}

/** Two namespaces, gone after the test. */
export function networkOf(t: TestContext): Network {
  const [server, clients] = [freshName(), freshName()];
  for (const name of [server, clients]) {
    ip('netns', 'add', name);
    t.after(() => ip('netns', 'del', name));
    ip('-n', name, 'link', 'set', 'lo', 'up');
  }
  ip('-n', server, 'link', 'add', 'cable', 'type', 'veth', 'peer', 'name', 'cable', 'netns', clients);
  for (const name of [server, clients]) ip('-n', name, 'link', 'set', 'cable', 'up');
  ip('-n', server, 'address', 'add', `${serverAddress.v4}/8`, 'dev', 'cable');
  ip('-n', server, '-6', 'address', 'add', `${serverAddress.v6}/32`, 'dev', 'cable', 'nodad');
  // A local route makes each of its addresses one that a socket may be bound to.
  ip('-n', clients, 'route', 'add', 'local', `${clientPrefix}0.0/16`, 'dev', 'lo');
  ip('-n', clients, 'address', 'add', `${clientPrefix}255.254/8`, 'dev', 'cable');
  for (const address of clientAddresses6)
    ip('-n', clients, '-6', 'address', 'add', `${address}/32`, 'dev', 'cable', 'nodad');
  const into = (name: string): string[] => [program('ip'), 'netns', 'exec', name];
  return { server: into(server), clients: into(clients) };
}

function ip(...args: string[]): void {
  const { status, stderr } = spawnSync(program('ip'), args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr.trim()}`);
}
