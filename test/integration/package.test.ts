// Goal: what is installed is what the table says, systemd has nothing to complain of, and no service is more exposed
// than its gate allows.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { installTable, root } from '../../scripts/table.ts';
import { scratch } from '../support/scratch.ts';
import { unitsOf } from '../support/units.ts';

/** systemd-analyze security, the most that a service may have; 0 is best, 10 worst. */
const exposureGates: Record<string, number> = {
  'lares-ddns.service': 1.5,
  'lares-ddns-publish.service': 1.5,
  'lares-ddns-send.service': 1.5,
  'lares-traffic.service': 1.8,
  'lares-traffic-carbon.service': 1.5,
  'lares-traffic-notify.service': 1.5,
  // Root, for it writes the kernel's switches.
  'lares-traffic-sysctl.service': 1.8,
};

const has = (program: string): boolean => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
const built = existsSync(path.join(root, 'dist/lib/lares/native/notify.node'));
const notBuilt = built ? false : 'needs make packaged, for which g++ and libsystemd-dev are missing';
const noSystemd = has('systemd-analyze') ? notBuilt : 'needs systemd';
const noDpkg = has('dpkg-deb') && has('objdump') ? notBuilt : 'needs dpkg and binutils';
const withPackage = { skip: notBuilt };
const withSystemd = { skip: noSystemd };

interface Ended {
  status: number | null;
  stdout: string;
  stderr: string;
}

function run(argv: string[], env: NodeJS.ProcessEnv = {}, cwd = root): Ended {
  const [program = '', ...args] = argv;
  return spawnSync(program, args, { cwd, encoding: 'utf8', env: { PATH: process.env['PATH'], ...env } });
}

function must(argv: string[], env: NodeJS.ProcessEnv = {}, cwd = root): string {
  const { status, stdout, stderr } = run(argv, env, cwd);
  assert.equal(status, 0, `${argv.join(' ')}: ${stderr}`);
  return stdout;
}

/** As `make install` and `make uninstall` call it; the umask of the person must not matter. */
function installer(action: 'install' | 'uninstall', env: NodeJS.ProcessEnv): string {
  const script = path.join(root, 'scripts/install.ts');
  return must(['sh', '-c', 'umask 077; exec "$0" "$@"', process.execPath, script, action], env);
}

/** Regular files below a folder, with their modes. */
function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .map((file) => `${(statSync(file).mode & 0o7777).toString(8)} ${file.slice(folder.length)}`)
    .sort();
}

const tabled = (prefix: string): string[] =>
  installTable({ prefix })
    .map(({ target, mode }) => `${mode.toString(8)} ${target}`)
    .sort();

// The suite, installed for real: units name programs that exist. Made once.
const prefix = path.join(scratch({ after }), 'usr');
const unitFolder = `${prefix}/lib/systemd/system`;
const withUnits = { SYSTEMD_UNIT_PATH: `${unitFolder}:` };
if (built) installer('install', { PREFIX: prefix });

test(
  'an installation is what the table names, twice over, and its removal leaves nothing',
  withPackage,
  (t) => {
    const destdir = scratch(t);
    for (const prefix of ['/usr', '/usr/local']) {
      const env = { DESTDIR: destdir, PREFIX: prefix };
      installer('install', env);
      installer('install', env);
      assert.deepEqual(filesBelow(destdir), tabled(prefix));
      const folders = readdirSync(destdir, { recursive: true, withFileTypes: true }).filter((entry) =>
        entry.isDirectory(),
      );
      for (const { parentPath, name } of folders)
        assert.equal(statSync(path.join(parentPath, name)).mode & 0o777, 0o755, name);
      installer('uninstall', env);
      assert.deepEqual(filesBelow(destdir), []);
      assert.equal(existsSync(path.join(destdir, prefix, 'lib/lares')), false);
      assert.equal(existsSync(path.join(destdir, prefix, 'share/doc/lares')), false);
      // Folders that others use as well are not ours to remove.
      assert.equal(existsSync(path.join(destdir, prefix, 'lib/sysusers.d')), true);
    }
    installer('uninstall', { DESTDIR: destdir });
  },
);

test('a file of somebody else in our folders stays, and keeps its folder', withPackage, (t) => {
  const destdir = scratch(t);
  const env = { DESTDIR: destdir, PREFIX: '/usr' };
  installer('install', env);
  writeFileSync(path.join(destdir, 'usr/lib/lares/theirs'), '');
  installer('uninstall', env);
  assert.deepEqual(
    filesBelow(destdir).map((line) => line.split(' ')[1]),
    ['/usr/lib/lares/theirs'],
  );
});

test('what is installed runs where it lies, and its runtime loads every addon', withPackage, () => {
  assert.match(must([`${prefix}/bin/lares`, '--version']), /^lares \d+\.\d+\.\d+\n$/);
  const node = `${prefix}/lib/lares/node`;
  assert.match(must([node, `${prefix}/lib/lares/ddns.mjs`, '--version']), /^lares-ddns \d/);
  for (const name of readdirSync(`${prefix}/lib/lares/native`)) {
    const load = 'process.dlopen({ exports: {} }, process.argv[1])';
    must([node, '-e', load, `${prefix}/lib/lares/native/${name}`]);
  }
});

test('systemd finds nothing to complain of in any unit', withSystemd, () => {
  for (const name of unitsOf(root).keys()) {
    const { status, stderr } = run(['systemd-analyze', 'verify', '--man=no', name], withUnits);
    // Units of other packages are read along, and may be complained of.
    const ours = stderr.split('\n').filter((line) => !/^(\/usr)?\/lib\/systemd\/system\//.test(line));
    assert.equal(ours.join('\n'), '', name);
    assert.equal(status, 0, name);
  }
});

test('systemd would complain of an unknown key, and of a program that is not there', withSystemd, (t) => {
  const folder = scratch(t);
  const good = unitsOf(root).get('lares-ddns-publish.service') ?? '';
  const bad = {
    key: `${good}NoSuchKey=yes\n`,
    program: good.replace('/usr/lib/lares/', '/nowhere/'),
  };
  for (const [name, text] of Object.entries(bad)) {
    const file = path.join(folder, `${name}.service`);
    writeFileSync(file, text);
    assert.notEqual(run(['systemd-analyze', 'verify', '--man=no', file]).stderr, '', name);
  }
});

test('no service is more exposed than its gate allows, and every service has a gate', withSystemd, (t) => {
  const services = [...unitsOf(root).keys()].filter((name) => name.endsWith('.service'));
  assert.deepEqual(Object.keys(exposureGates).sort(), services.sort());
  for (const [name, gate] of Object.entries(exposureGates))
    assert.ok(exposure(`${unitFolder}/${name}`) <= gate, name);
  const open = path.join(scratch(t), 'open.service');
  writeFileSync(open, '[Service]\nExecStart=/bin/true\n');
  assert.ok(exposure(open) > 9);
});

function exposure(unit: string): number {
  const argv = ['systemd-analyze', 'security', '--offline=true', '--no-pager', '--threshold=100', unit];
  const found = /Overall exposure level for \S+: (\d+\.\d+)/.exec(must(argv))?.[1];
  return Number(found ?? assert.fail(`no figure for ${unit}`));
}

test('users and presets are understood, and enable nothing', withSystemd, (t) => {
  const folder = scratch(t);
  mkdirSync(path.join(folder, 'etc'));
  for (const file of ['passwd', 'group']) writeFileSync(path.join(folder, 'etc', file), '');
  const conf = path.join(root, 'units/sysusers/lares.conf');
  if (process.getuid?.() === 0 && has('systemd-sysusers')) {
    must(['systemd-sysusers', `--root=${folder}`, conf]);
    assert.match(
      readFileSync(path.join(folder, 'etc/passwd'), 'utf8'),
      /^lares-ddns:.*:\/usr\/sbin\/nologin$/m,
    );
    assert.match(readFileSync(path.join(folder, 'etc/group'), 'utf8'), /^lares:/m);
  }
  installer('install', { DESTDIR: folder });
  must(['systemctl', `--root=${folder}`, 'preset-all']);
  const enabled = readdirSync(path.join(folder, 'etc'), { recursive: true, encoding: 'utf8' });
  assert.deepEqual(
    enabled.filter((name) => name.includes('lares')),
    [],
  );
  must(['systemctl', `--root=${folder}`, 'enable', 'lares-ddns.socket', 'lares-ddns-send.timer']);
  assert.equal(existsSync(path.join(folder, 'etc/systemd/system/sockets.target.wants')), true);
});

test('the package holds what the table names, owned by root, and the same bytes each time', {
  skip: noDpkg,
}, (t) => {
  const folder = scratch(t);
  const build = (into: string): string => {
    must(['sh', '-c', 'umask 077; exec "$0" "$@"', process.execPath, 'scripts/deb.ts', into], {
      SOURCE_DATE_EPOCH: '1700000000',
      DEB_COMPRESSION: '-Znone',
    });
    const [name = ''] = readdirSync(into);
    assert.deepEqual(readdirSync(into), [name]);
    return path.join(into, name);
  };
  const deb = build(path.join(folder, 'one'));
  const digest = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');
  assert.equal(digest(build(path.join(folder, 'two'))), digest(deb));

  const tree = path.join(folder, 'tree');
  must(['dpkg-deb', '--raw-extract', deb, tree]);
  const found = filesBelow(tree).filter((line) => !line.includes(' /DEBIAN/'));
  assert.deepEqual(found, tabled('/usr'));
  for (const line of must(['dpkg-deb', '--contents', deb]).trim().split('\n')) {
    assert.match(line, /^(drwxr-xr-x|-rw-r--r--|-rwxr-xr-x) root\/root /, line);
    assert.match(line, / \.\/(usr\/.*)?$/, line);
  }
  const control = must(['dpkg-deb', '--field', deb]);
  const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
    version: string;
  };
  assert.match(control, new RegExp(`^Package: lares\nVersion: ${version}\nArchitecture: (amd64|arm64)\n`));
  assert.match(control, /^Depends: libc6 \(>= 2\.34\), libgcc-s1, libstdc\+\+6, libsystemd0$/m);
  must(['md5sum', '--check', '--quiet', '--strict', 'DEBIAN/md5sums'], {}, tree);
});

test('the package depends on every library that its programs name', { skip: noDpkg }, () => {
  const packages: Record<string, string> = {
    'libstdc++.so.6': 'libstdc++6',
    'libgcc_s.so.1': 'libgcc-s1',
    'libsystemd.so.0': 'libsystemd0',
  };
  const ofGlibc = /^(lib(c|m|dl|rt|pthread)|ld-linux.*)\.so\.\d$/;
  const binaries = installTable({ prefix }).filter(({ target }) => /\.node$|\/node$/.test(target));
  const needed = binaries.flatMap(({ target }) =>
    [...must(['objdump', '-p', target]).matchAll(/NEEDED +(\S+)/g)].map(([, name = '']) => name),
  );
  const known = needed.map((name) =>
    ofGlibc.test(name) ? 'libc6' : (packages[name] ?? `what has ${name}?`),
  );
  const named = /^Depends: (.*)/m.exec(readFileSync(path.join(root, 'scripts/deb.ts'), 'utf8'))?.[1] ?? '';
  const depends = named.split(', ').map((one) => one.replace(/ .*/, ''));
  assert.deepEqual([...new Set(known)].sort(), depends.sort());
  // Debian 12 and Ubuntu 22.04 and later have it.
  const versions = binaries.flatMap(({ target }) =>
    [...must(['objdump', '-p', target]).matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor)),
  );
  assert.equal(Math.max(...versions), 34);
});

test('the scripts of the package say what they do, stop at the first error, and are valid for sh', () => {
  for (const name of ['postinst', 'prerm', 'postrm']) {
    const script = path.join(root, 'scripts/debian', name);
    must(['sh', '-n', script]);
    assert.equal(statSync(script).mode & 0o111, 0o111, name);
    assert.match(readFileSync(script, 'utf8'), /^#!\/bin\/sh\n# \S.*\nset -e\n/s, name);
  }
});
