// What runDaemon promises, each shown by a real process: test/support/example-daemon.ts.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { chmodSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { loadConfig } from '../../lib/config.ts';
import { LaresError } from '../../lib/errors.ts';
import { exitCodeOf } from '../../lib/exit.ts';
import { version } from '../../lib/version.ts';
import { Example, exampleConfig } from '../support/example-daemon.ts';
import { scratch } from '../support/scratch.ts';

const good = '[Example]\nGreeting=hello\n';
const stranger = 65_534;

interface Setup {
  conf: string;
  state: string;
  run: (...args: string[]) => Example;
}

/** A scratch configuration; `run` starts the daemon on it, on a port of the kernel's choice. */
function setup(t: TestContext, text = good): Setup {
  const folder = scratch(t);
  const conf = path.join(folder, 'example.conf');
  const state = path.join(folder, 'state');
  writeFileSync(conf, text);
  const args = ['--conf', conf, '--state', state];
  return { conf, state, run: (...more) => new Example(t, { args: [...args, ...more] }) };
}

async function send(port: number, text: string): Promise<void> {
  const socket = createSocket('udp6');
  await new Promise<void>((resolve, reject) => {
    socket.send(text, port, '::1', (error) => (error === null ? resolve() : reject(error)));
  });
  socket.close();
}

/** Runs the daemon to its end with `args` alone: what it printed and its exit code. */
async function finished(t: TestContext, ...args: string[]) {
  const daemon = new Example(t, { args, plain: true });
  const code = await daemon.end();
  return { code, stdout: daemon.stdout, stderr: daemon.stderr };
}

test('--check of a good configuration says so and exits 0, without touching the state folder', async (t) => {
  const { conf, state } = setup(t);
  const result = await finished(t, '--check', '--conf', conf, '--state', state);
  assert.deepEqual(result, { code: 0, stdout: 'configuration OK\n', stderr: '' });
  assert.equal(existsSync(state), false);
});

for (const [what, text, expected] of [
  ['an unknown key', `${good}Geering=5\n`, 'CONF:3: unknown key Geering= in [Example], ignored\n'],
  ['a broken line', `${good}Period\n`, "CONF:3: 'Period' is not an assignment; write Key=Value\n"],
  ['a required key that is missing', '', 'missing: Greeting= in [Example] must be set\n'],
] as const) {
  test(`--check of a configuration with ${what} says it and exits 6`, async (t) => {
    const { conf } = setup(t, text);
    const result = await finished(t, '--check', '--conf', conf);
    assert.deepEqual(result, { code: 6, stdout: expected.replace('CONF', conf), stderr: '' });
  });
}

test('--check of a file that is not there exits 6 and names it', async (t) => {
  const { conf } = setup(t);
  const { code, stdout } = await finished(t, '--check', '--conf', `${conf}.absent`);
  assert.equal(code, 6);
  assert.ok(stdout.startsWith(`${conf}.absent: cannot be read`), stdout);
});

test('--show-config prints the file it came from and a configuration that reads back the same', async (t) => {
  const { conf } = setup(t, `${good}Period=1h\nSlowStop=bad\n`);
  const { code, stdout, stderr } = await finished(t, '--show-config', '--conf', conf);
  assert.equal(code, 0);
  assert.equal(stderr, '');
  assert.ok(stdout.startsWith(`# ${conf}\n[Example]\nGreeting=hello\nPeriod=1h\n`), stdout);
  writeFileSync(`${conf}.again`, stdout);
  const [first, again] = [conf, `${conf}.again`].map((file) => loadConfig(exampleConfig, [file]));
  assert.deepEqual(again?.values, first?.values);
  assert.deepEqual(again?.problems, []);
});

test('--version prints the name and the release, --help the flags', async (t) => {
  assert.deepEqual(await finished(t, '--version'), {
    code: 0,
    stdout: `lares-example ${version}\n`,
    stderr: '',
  });
  const help = await finished(t, '--help');
  assert.equal(help.code, 0);
  for (const flag of ['--conf', '--state', '--listen', '--json', '--check', '--show-config', '--version']) {
    assert.ok(help.stdout.includes(`  ${flag} `) || help.stdout.includes(`  ${flag}\n`), flag);
  }
});

for (const args of [['--frobnicate'], ['word'], ['--conf'], ['--check=yes'], ['-x'], ['--no-json']]) {
  test(`the arguments '${args.join(' ')}' exit 2 with a hint`, async (t) => {
    const { code, stdout, stderr } = await finished(t, ...args);
    assert.equal(code, 2);
    assert.equal(stdout, '');
    assert.match(stderr, /^lares-example: .+\nTry --help\.\n$/s);
  });
}

test('a bad --listen exits 2 and says what would be right', async (t) => {
  const daemon = setup(t).run('--listen', 'localhost:53');
  assert.equal(await daemon.end(), 2);
  assert.match(daemon.messages.at(-1) ?? '', /^failed: E_LISTEN_ADDRESS: 'localhost:53' .*write 5533/);
});

test('--listen may be repeated: the daemon listens on each', async (t) => {
  const daemon = setup(t).run('--listen', '[::1]:0', '--listen', '127.0.0.1:0');
  const { MESSAGE } = await daemon.record(/^ready: /);
  assert.match(MESSAGE, /listening on \[::1\]:\d+, 127\.0\.0\.1:\d+; hello/);
});

test('a port in use exits 1 and names the address', async (t) => {
  const { run } = setup(t);
  const port = await run().ready();
  const second = run('--state', scratch(t), '--listen', `[::1]:${port}`);
  assert.equal(await second.end(), 1);
  assert.match(
    second.messages.at(-1) ?? '',
    new RegExp(`E_LISTEN_BIND: cannot listen on \\[::1\\]:${port}: .*EADDRINUSE`),
  );
});

test('a missing required key exits 6, says which, and nothing is started', async (t) => {
  const { run, state } = setup(t, '[Example]\nGreeting=\n');
  const daemon = run();
  assert.equal(await daemon.end(), 6);
  assert.deepEqual(daemon.messages, [
    'failed: E_NOT_CONFIGURED: Greeting= in [Example] must be set in /etc/lares/example.conf',
  ]);
  assert.equal(existsSync(state), false);
});

test('a bad line is a warning with file and line, and the daemon runs on the default', async (t) => {
  const { conf, run } = setup(t, `${good}Period=often\n`);
  const daemon = run();
  const { MESSAGE } = await daemon.record(/^ready: /);
  assert.match(MESSAGE, /hello, 600000$/);
  const warnings = daemon.records.filter(({ PRIORITY }) => PRIORITY === 4);
  assert.equal(warnings.length, 1);
  assert.ok(warnings[0]?.MESSAGE.startsWith(`${conf}:3: Period=often: `), warnings[0]?.MESSAGE);
});

test('without --json the records go to standard error, with their priority', async (t) => {
  const { conf, state } = setup(t);
  const args = ['--conf', conf, '--state', state];
  const daemon = new Example(t, { args: [...args, '--listen', 'bad'], plain: true });
  assert.equal(await daemon.end(), 2);
  assert.equal(daemon.stdout, '');
  assert.match(daemon.stderr, /^(<5>.*\n)*<2>failed: E_LISTEN_ADDRESS: .*\n$/);
});

test('the state folder is made for the daemon alone; STATE_DIRECTORY stands in for --state', async (t) => {
  const { conf, state, run } = setup(t);
  const flagged = run();
  await flagged.ready();
  assert.equal(statSync(state).mode & 0o777, 0o700);
  const other = path.join(scratch(t), 'a', 'b');
  const daemon = new Example(t, { args: ['--conf', conf], env: { STATE_DIRECTORY: `${other}:/elsewhere` } });
  await daemon.ready();
  assert.ok(existsSync(other));
});

/** Starts the daemon as somebody who is not root, with its state in `state`. */
function asStranger(t: TestContext, conf: string, state: string): Example | undefined {
  chmodSync(path.dirname(conf), 0o755);
  const args = ['--conf', conf, '--state', state, '--listen', '[::1]:0'];
  if (process.getuid?.() !== 0) return new Example(t, { args });
  const program = path.join(import.meta.dirname, '../support/example-daemon.ts');
  const trial = spawnSync(process.execPath, [program, '--version'], { uid: stranger, gid: stranger });
  if (trial.status === 0) return new Example(t, { args, uid: stranger });
  t.skip('uid 65534 cannot read this checkout');
  return undefined;
}

for (const [what, settings, place] of [
  ['cannot be made', '', 'closed/state'],
  ['exists and cannot be written', '', 'closed'],
  ['cannot take the database', 'Database=yes\n', 'closed'],
] as const) {
  test(`a state folder that ${what} exits 4 and names it`, async (t) => {
    const { conf } = setup(t, good + settings);
    const closed = path.join(path.dirname(conf), 'closed');
    mkdirSync(closed);
    chmodSync(closed, 0o555);
    const state = path.join(path.dirname(conf), place);
    const daemon = asStranger(t, conf, state);
    if (daemon === undefined) return;
    assert.equal(await daemon.outcome(), 4, daemon.messages.join('\n'));
    assert.ok(daemon.messages.at(-1)?.includes(state), daemon.messages.join('\n'));
  });
}

test('SIGTERM undoes the steps in reverse order and exits 0', async (t) => {
  const daemon = setup(t).run('--listen', '[::1]:0');
  await daemon.ready();
  assert.equal(await daemon.end('SIGTERM'), 0);
  assert.deepEqual(daemon.messages.slice(2), [
    'undo the third step',
    'undo the second step',
    'undone the second step',
    'undo the first step',
    'stopped (SIGTERM)',
  ]);
});

test('SIGINT stops as SIGTERM does', async (t) => {
  const daemon = setup(t).run('--listen', '[::1]:0');
  await daemon.ready();
  assert.equal(await daemon.end('SIGINT'), 0);
  assert.equal(daemon.messages.at(-1), 'stopped (SIGINT)');
});

test('more signals while it stops do no harm: the stop runs once, to its end', async (t) => {
  const daemon = setup(t, `${good}SlowStop=100ms\n`).run('--listen', '[::1]:0');
  await daemon.ready();
  daemon.process.kill('SIGTERM');
  await daemon.record(/^undo the second step$/);
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) daemon.process.kill(signal);
  assert.equal(await daemon.end(), 0);
  assert.equal(daemon.messages.filter((text) => text.startsWith('undo the')).length, 3);
  assert.equal(daemon.messages.filter((text) => text.startsWith('stopped')).length, 1);
  assert.ok(!daemon.messages.some((text) => text.includes('reloaded')));
});

test('SIGTERM during a slow start undoes the steps that were made, as any stop does', async (t) => {
  const daemon = setup(t, `${good}SlowStart=200ms\n`).run('--listen', '[::1]:0');
  await daemon.record(/^starting$/);
  assert.equal(await daemon.end('SIGTERM'), 0);
  assert.ok(daemon.messages.includes('undo the first step'), daemon.messages.join('\n'));
});

test('SIGHUP during a slow start does not end the daemon', async (t) => {
  const daemon = setup(t, `${good}SlowStart=200ms\n`).run('--listen', '[::1]:0');
  await daemon.record(/^starting$/);
  daemon.process.kill('SIGHUP');
  assert.equal(await daemon.outcome(), 'ready');
  assert.equal(await daemon.end('SIGTERM'), 0);
});

test('SIGHUP takes up new values and reports new problems', async (t) => {
  const { conf, run } = setup(t);
  const daemon = run('--listen', '[::1]:0');
  await daemon.ready();
  writeFileSync(conf, '[Example]\nGreeting=good evening\nPeriod=1s\nColour=blue\n');
  daemon.process.kill('SIGHUP');
  assert.equal((await daemon.record(/reloaded/)).MESSAGE, 'reloaded: good evening, 1000');
  const { PRIORITY } = await daemon.record(new RegExp(`^${conf}:4: unknown key Colour=`));
  assert.equal(PRIORITY, 4);
  assert.equal(await daemon.end('SIGTERM'), 0);
});

test('SIGHUP keeps the old values where a required key vanished, and serves on', async (t) => {
  const { conf, run } = setup(t);
  const daemon = run('--listen', '[::1]:0');
  const port = await daemon.ready();
  writeFileSync(conf, '[Example]\nPeriod=1s\n');
  daemon.process.kill('SIGHUP');
  const { MESSAGE } = await daemon.record(/reloaded/);
  assert.match(
    MESSAGE,
    /^not reloaded: Greeting= in \[Example\] must be set .*; the old configuration stays in force$/,
  );
  await send(port, 'still here');
  await daemon.record(/^received still here, said hello$/);
  writeFileSync(conf, `${good}Period=2s\n`);
  daemon.process.kill('SIGHUP');
  assert.equal((await daemon.record(/^reloaded: /)).MESSAGE, 'reloaded: hello, 2000');
  assert.equal(await daemon.end('SIGTERM'), 0);
});

for (const [word, text] of [
  ['throw', /^failed: Error: thrown in a callback\n.*example-daemon\.ts/s],
  ['reject', /^failed: Error: rejected in a callback\n.*example-daemon\.ts/s],
  ['fail', /^failed: E_EXAMPLE: given to fail$/],
] as const) {
  test(`an error in a callback (${word}) is logged once and exits 1`, async (t) => {
    const daemon = setup(t).run('--listen', '[::1]:0');
    await send(await daemon.ready(), word);
    assert.equal(await daemon.end(), 1);
    const critical = daemon.records.filter(({ PRIORITY }) => PRIORITY === 2);
    assert.equal(critical.length, 1);
    assert.match(critical[0]?.MESSAGE ?? '', text);
    assert.equal(daemon.stderr, '');
  });
}

test('errors are told apart by their chain of causes', () => {
  const denied = Object.assign(new Error('no'), { code: 'EACCES' });
  for (const [error, code] of [
    [new LaresError('E_LISTEN_ADDRESS', 'bad'), 2],
    [denied, 4],
    [new LaresError('E_ANY', 'bad', { cause: new Error('why', { cause: denied }) }), 4],
    [Object.assign(new Error('no'), { code: 'EROFS' }), 4],
    [Object.assign(new Error('no'), { code: 'ENOSPC' }), 1],
    [new LaresError('E_ANY', 'bad'), 1],
    ['text', 1],
    [undefined, 1],
  ] as const) {
    assert.equal(exitCodeOf(error), code, String(error));
  }
});
