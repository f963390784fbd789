// `lares ddns setup ZONE`: what the receiver needs to rewrite a zone under systemd. Writes drop-ins (the zone's name,
// the hole in the sandbox for its folder, what the publishing unit runs) and asks the kernel whether the daemon's user
// has the rights. It changes no owner and no mode: those are the admin's, so it prints the commands.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import { writeFileAtomic } from '../../../lib/atomic.ts';
import type { Io } from '../../../lib/command.ts';
import { configFiles, loadConfig } from '../../../lib/config.ts';
import { explain, LaresError } from '../../../lib/errors.ts';
import { config } from '../config.ts';
import { readZone } from '../readzone.ts';
import { publishProgram } from '../spool.ts';

interface SetupOptions {
  user: string;
  root: string;
  hook?: string;
  dryRun?: boolean;
  json?: boolean;
}

interface Plan {
  zone: string;
  folder: string;
  files: { file: string; text: string }[];
  /** What keeps the receiver from working, each with the command that mends it. */
  missing: { text: string; command: string }[];
}

export function registerSetup(program: Command, io: Io): void {
  program
    .command('setup')
    .description('let the receiver rewrite a zone under systemd: write its drop-ins, check the rights')
    .argument('<zone>', 'the file with the "# dynamic:" blocks')
    .option('--hook <command>', 'set Hook=: what to run after a change, such as /usr/sbin/tinydns-data')
    .option('--user <name>', 'the user that the receiver runs as', 'lares-ddns')
    .option('--root <dir>', 'write below this folder instead of /', '/')
    .option('--dry-run', 'only say what would be done')
    .option('--json', 'print JSON')
    .action((zone: string, options: SetupOptions) => {
      const plan = planFor(zone, options);
      if (options.dryRun !== true) plan.files.forEach(write);
      if (options.json === true) io.out(`${JSON.stringify(plan)}\n`);
      else io.out(render(plan, options));
      if (plan.missing.length > 0) io.exit(1);
    });
}

/** What `setup` would write and what it would find missing. Without `hook` that of the configuration stays. */
export function planFor(
  given: string,
  { user, root, hook }: Pick<SetupOptions, 'user' | 'root' | 'hook'>,
): Plan {
  const zone = path.resolve(given);
  if (/\p{Cc}/u.test(zone + (hook ?? '')) || zone.includes('\\/'))
    throw new LaresError(
      'E_DDNS_SETUP',
      'a control character, or a folder that ends in a backslash, cannot stand in a unit file',
    );
  const { target } = readZone(zone);
  const folder = path.dirname(target);
  const own = path.join(root, 'etc/lares/ddns.conf.d/50-zone.conf');
  const setHere = hook ?? loadConfig(config, [own]).texts.hook;
  // What is set elsewhere may outrank what was set here; of another root only the latter is known.
  const inForce = loadConfig(config, root === '/' ? configFiles('ddns') : [own]).values.hook;
  const argv = hook === undefined ? inForce : hookOf(hook);
  const dropIn = (file: string, lines: string[]): Plan['files'][number] => ({
    file,
    text: ['# Written by lares ddns setup.', ...lines, ''].join('\n'),
  });
  const folders = [...new Set([path.dirname(zone), folder])].map(unitWord).join(' ');
  const unit = (name: string, lines: string[]): Plan['files'][number] =>
    dropIn(path.join(root, `etc/systemd/system/${name}.d/50-zone.conf`), [
      '[Unit]',
      `RequiresMountsFor=${folders}`,
      '[Service]',
      `ReadWritePaths=${folders}`,
      ...lines,
    ]);
  return {
    zone,
    folder,
    files: [
      dropIn(own, ['[Receiver]', `Zone=${zone}`, ...(setHere === '' ? [] : [`Hook=${setHere}`])]),
      unit('lares-ddns.service', []),
      unit('lares-ddns-publish.service', publishing(zone, argv)),
    ],
    missing: [
      ...missingRights(target, folder, user),
      ...(root === '/' ? [path.dirname(zone), folder].flatMap(hidden).slice(0, 1) : []),
    ],
  };
}

// ProtectHome= and PrivateTmp= of the units.
function hidden(folder: string): Plan['missing'] {
  const place = ['/home', '/root', '/run/user', '/tmp', '/var/tmp'].find((one) =>
    `${folder}/`.startsWith(`${one}/`),
  );
  if (place === undefined) return [];
  return [
    {
      text: `the sandbox of the units shows them nothing of ${place}`,
      command: `mv ${quote(folder)} /srv/`,
    },
  ];
}

/** @throws LaresError E_DDNS_SETUP */
function hookOf(text: string): string[] {
  try {
    return config.hook.parse(text);
  } catch (cause) {
    throw new LaresError('E_DDNS_SETUP', `'${text}' cannot be a hook: ${explain(cause)}`, { cause });
  }
}

/** The hook runs beside the name that the zone is known by, which may be a link to another folder. */
function publishing(zone: string, hook: string[]): string[] {
  const beside = path.dirname(zone);
  const command = [publishProgram, '/var/lib/lares/ddns/publish', ...hook].map(commandWord);
  return [
    `WorkingDirectory=${beside.replaceAll('%', '%%')}`,
    `Environment=${unitWord(`LARES_ZONE=${zone}`)}`,
    'ExecStart=',
    `ExecStart=${command.join(' ')}`,
  ];
}

function missingRights(target: string, folder: string, user: string): Plan['missing'] {
  const ids = idsOf(user);
  if (ids === undefined)
    return [
      {
        text: `there is no user ${user}`,
        command: `useradd --system --user-group --shell /usr/sbin/nologin ${user}`,
      },
    ];
  const missing: Plan['missing'] = [];
  const { uid, gid } = statSync(target);
  if (uid !== ids.uid || !ids.groups.includes(gid)) {
    missing.push({
      text: `${target} belongs to uid ${uid}, gid ${gid}, and a rewrite by ${user} could not keep that`,
      command: `chown ${user}: ${quote(target)}`,
    });
  }
  if (!mayWrite(folder, ids))
    missing.push({
      text: `${user} may not write in ${folder}`,
      command: `setfacl -m u:${user}:rwx ${quote(folder)}`,
    });
  return missing;
}

interface Ids {
  uid: number;
  gid: number;
  groups: number[];
}

function idsOf(user: string): Ids | undefined {
  const [, , uid, gid] = spawnSync('getent', ['passwd', '--', user], { encoding: 'utf8' }).stdout.split(':');
  if (uid === undefined) return undefined;
  const groups = spawnSync('id', ['-G', '--', user], { encoding: 'utf8' }).stdout.trim().split(' ');
  return { uid: Number(uid), gid: Number(gid), groups: groups.map(Number) };
}

// The kernel knows about modes, groups, access lists and mounts; asked as the user itself where that is allowed.
function mayWrite(folder: string, { uid, gid }: Ids): boolean {
  const asUser = ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--init-groups'];
  const [program = '', ...rest] = [
    ...(process.getuid?.() === 0 ? asUser : []),
    ...['test', '-w', folder, '-a', '-x', folder],
  ];
  const { error, status } = spawnSync(program, rest);
  if (error !== undefined)
    throw new LaresError('E_DDNS_SETUP', `cannot check the rights on ${folder}: ${error.message}`, {
      cause: error,
    });
  return status === 0;
}

function write({ file, text }: Plan['files'][number]): void {
  try {
    makeFolder(path.dirname(file));
    writeFileAtomic(file, text, 0o644);
  } catch (cause) {
    throw new LaresError('E_DDNS_SETUP', `cannot write ${file}: ${explain(cause)}; run it as root`, {
      cause,
    });
  }
}

/** For everybody to read, whatever the umask. */
function makeFolder(folder: string): void {
  const first = mkdirSync(folder, { recursive: true });
  if (first === undefined) return;
  for (let made = folder; made.length >= first.length; made = path.dirname(made)) chmodSync(made, 0o755);
}

function render({ zone, files, missing }: Plan, { dryRun }: SetupOptions): string {
  const done = files.map(
    ({ file, text }) =>
      `${dryRun === true ? 'would write' : 'wrote'} ${file}\n${text.replaceAll(/^/gm, '    ').trimEnd()}\n`,
  );
  const todo = missing.map(({ text, command }) => `missing: ${text}\n    ${command}\n`);
  const last =
    missing.length === 0
      ? `${zone} is ready. Then: systemctl daemon-reload; systemctl enable --now lares-ddns.socket\n`
      : 'Run these commands, then lares ddns setup again.\n';
  return [...done, ...todo, last].join('');
}

/** A word as a unit file takes it: % doubled, quoted where it has blanks. */
function unitWord(word: string): string {
  const escaped = word.replaceAll('%', '%%');
  return word === '' || /[\s"'\\;]/.test(escaped) ? `"${escaped.replaceAll(/["\\]/g, '\\$&')}"` : escaped;
}

/** The same in a command, where systemd would put in variables. */
function commandWord(word: string): string {
  return unitWord(word.replaceAll('$', '$$$$'));
}

function quote(word: string): string {
  return /^[\w./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
