// What a machine of the system tier stands on: the launcher that mounts this machine's own root as a throw-away one and
// boots it, and the control groups around it. The mounts live in a namespace of the launcher's own, so that they vanish
// with it; nothing here may touch the root below, a mount outside, or the control group of anybody else.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const prefix = 'lares-machine-';
/** Room for what a machine writes: the runtime alone takes 110 MB. */
const upperBytes = 1 << 30;
const folders = '/tmp';
const bootMs = 30_000;

/** Where each hierarchy is mounted: all of version 2, or systemd's two beside the controllers of version 1. */
function hierarchies(): string[] {
  const pure = '/sys/fs/cgroup';
  if (existsSync(path.join(pure, 'cgroup.controllers'))) return [pure];
  return ['systemd', 'unified'].map((name) => path.join(pure, name)).filter((folder) => existsSync(folder));
}

export const nameOf = (count: number): string => `${prefix}${process.pid}-${count}`;
export const folderOf = (name: string): string => path.join(folders, name);
export const groupsOf = (name: string): string[] => hierarchies().map((folder) => path.join(folder, name));

/** Every control group below and at `group`, the deepest first. */
function inside(group: string): string[] {
  try {
    const below = readdirSync(group, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    return [...below.flatMap(({ name }) => inside(path.join(group, name))), group];
  } catch {
    return []; // Gone meanwhile, or never made.
  }
}

/** The processes of a machine, its launcher among them. */
export function processesOf(name: string): number[] {
  const found = groupsOf(name)
    .flatMap(inside)
    .flatMap((group) => readIfThere(path.join(group, 'cgroup.procs')).split('\n'))
    .map(Number)
    // A process that this namespace cannot name reads as 0, and a signal to 0 would be one to this test.
    .filter((pid) => pid > 0);
  return [...new Set(found)];
}

/** Groups and processes go away at any time, also between two looks. */
function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** The machine's PID 1, as it is called outside; 0 before there is one. */
export function leaderOf(name: string): number {
  const leads = /^Name:\tsystemd\n[^]*^NSpid:.*\t1$/m;
  return processesOf(name).find((pid) => leads.test(readIfThere(`/proc/${pid}/status`))) ?? 0;
}

/** Ends what is left of a machine and removes its groups and its folder. @throws Error when something stays */
export async function removeMachine(name: string): Promise<void> {
  const end = performance.now() + bootMs;
  for (;;) {
    for (const pid of processesOf(name)) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // Gone by itself.
      }
    }
    try {
      for (const group of groupsOf(name).flatMap(inside)) rmdirSync(group);
      break;
    } catch (error) {
      // Busy until its last process has been reaped.
      if (performance.now() > end) throw error;
      await sleep(20);
    }
  }
  rmSync(folderOf(name), { recursive: true, force: true });
}

/** Machines whose test was killed: nobody else removes their groups and folders. */
export async function removeLeftovers(): Promise<void> {
  const places = [folders, ...hierarchies()];
  const names = places.flatMap((place) => readdirSync(place)).filter((name) => name.startsWith(prefix));
  for (const name of new Set(names)) {
    const owner = Number(name.slice(prefix.length).split('-')[0]);
    if (!existsSync(`/proc/${owner}`)) await removeMachine(name);
  }
}

/** Units that a container cannot use, or that only cost time. */
const masked = [
  'console-getty.service',
  'dev-hugepages.mount',
  'getty.target',
  'systemd-logind.service',
  'systemd-update-utmp.service',
  'systemd-update-utmp-runlevel.service',
  'systemd-tmpfiles-clean.timer',
];

/** What this machine has enabled, mounts, remembers, is called, and keeps from packages is its own affair. */
const forgotten = [
  '/etc/systemd/system',
  '/etc/systemd/network',
  '/etc/systemd/journald.conf.d',
  '/etc/fstab',
  '/etc/hostname',
  '/etc/localtime',
  '/etc/locale.conf',
  '/etc/default/locale',
  '/etc/machine-id',
  '/etc/dpkg/dpkg.cfg.d',
  '/usr/sbin/policy-rc.d',
  '/var/log/journal',
  '/etc/lares',
  '/var/lib/lares',
];

// $1 the folder, $2 the machine's name, the rest the command of the container.
const launch = `set -eu
folder=$1 name=$2
shift 2
for group in $GROUPS_OF; do echo $$ > "$group/cgroup.procs"; done
# What systemd-nspawn leaves in /run when it is killed, locks and folders, is left in this one.
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o size=${upperBytes},mode=755 tmpfs "$folder/disk"
cd "$folder/disk"
mkdir upper work root
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work,index=on,nfs_export=on root
for file in ${forgotten.join(' ')}; do rm -rf "root$file"; done
mkdir -p root/etc/systemd/system root/etc/systemd/journald.conf.d root/etc/systemd/system-generators \\
    root/etc/dpkg/dpkg.cfg.d
for unit in ${masked.join(' ')}; do ln -s /dev/null root/etc/systemd/system/$unit; done
ln -s /lib/systemd/system/multi-user.target root/etc/systemd/system/default.target
ln -sf /dev/null root/etc/systemd/system-generators/systemd-sysv-generator
: > root/etc/fstab
: > root/etc/machine-id
printf '[Journal]\\nStorage=volatile\\nRateLimitBurst=0\\nForwardToConsole=no\\n' \\
    > root/etc/systemd/journald.conf.d/test.conf
cp -a "$folder/files/." root/
systemd-nspawn -q -D root --register=no --keep-unit --private-network --machine="$name" \\
    --console=pipe --system-call-filter=bpf --capability=CAP_BPF,CAP_SYSLOG --link-journal=no \\
    --resolv-conf=off --timezone=off "$@"
`;

/** The command that starts a machine, with the environment that it wants; the folder and the groups exist after it. */
export function launcher(name: string, container: string[]): { argv: string[]; env: NodeJS.ProcessEnv } {
  const folder = folderOf(name);
  for (const made of [path.join(folder, 'disk'), path.join(folder, 'files'), ...groupsOf(name)])
    mkdirSync(made, { recursive: true });
  writeFileSync(path.join(folder, 'launch.sh'), launch);
  // The kernel ends the first of these with the test, the second with the first, and everything in the process
  // namespace with its first process: systemd-nspawn alone would leave the container behind when it is killed.
  const bound = 'setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc'.split(' ');
  return {
    argv: [
      ...bound,
      '--propagation',
      'private',
      'sh',
      path.join(folder, 'launch.sh'),
      folder,
      name,
      ...container,
    ],
    env: {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      UNIFIED_CGROUP_HIERARCHY: '1',
      GROUPS_OF: groupsOf(name).join(' '),
    },
  };
}

let verdict: Promise<string | false> | undefined;

/** Why no machine can be booted here, in one line; false where it can. For the `skip` of a test. */
export function lacksMachines(): Promise<string | false> {
  verdict ??= probe();
  return verdict;
}

async function probe(): Promise<string | false> {
  if (process.getuid?.() !== 0) return 'needs root';
  if (!existsSync('/usr/bin/systemd-nspawn'))
    return 'needs systemd-nspawn (Debian package systemd-container)';
  if (!existsSync('/lib/systemd/systemd')) return 'needs systemd (Debian package systemd)';
  await removeLeftovers();
  const name = nameOf(0);
  try {
    const { argv, env } = launcher(name, ['/bin/true']);
    const [program = '', ...args] = argv;
    const { status, stderr } = spawnSync(program, args, { env, encoding: 'utf8', timeout: bootMs });
    return status === 0
      ? false
      : `needs containers: ${stderr.trim().split('\n').at(-1) || `systemd-nspawn ended with ${status}`}`;
  } catch (error) {
    return `needs control groups of its own: ${error instanceof Error ? error.message : String(error)}`;
  } finally {
    await removeMachine(name).catch(() => undefined);
  }
}
