// Goal: what others read of the accounting is right: Debian's own carbon and whisper have every byte, also after an
// outage; Prometheus' own checker takes the textfile; the commands show what is there.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Accounting } from '../support/accounting.ts';
import { root } from '../support/daemon.ts';
import { lares } from '../support/lares.ts';
import { lacks, lacksTracking, program } from '../support/netns.ts';
import { until } from '../support/wait.ts';

const skip = lacksTracking();
const peer = '8.64.0.7';
const stream = { sources: [peer], firstPort: 30_000, ports: 50, packets: 2, payload: 100, perSecond: 0 };
const port = 23_003;

/** Debian's carbon-cache on files of its own. */
class Carbon {
  readonly #folder: string;
  readonly #data: string;
  #child: ChildProcess | undefined;

  constructor(t: TestContext, folder: string) {
    this.#folder = path.join(folder, 'carbon');
    this.#data = path.join(this.#folder, 'whisper');
    mkdirSync(this.#data, { recursive: true });
    const lines = [
      ...[
        '[cache]',
        `STORAGE_DIR=${this.#folder}`,
        `LOCAL_DATA_DIR=${this.#data}`,
        `CONF_DIR=${this.#folder}`,
      ],
      ...[`LOG_DIR=${this.#folder}`, `PID_DIR=${this.#folder}`, 'USER=', 'ENABLE_UDP_LISTENER=False'],
      ...[
        'LINE_RECEIVER_INTERFACE=127.0.0.1',
        `LINE_RECEIVER_PORT=${port}`,
        `PICKLE_RECEIVER_PORT=${port + 1}`,
      ],
      ...[`CACHE_QUERY_PORT=${port + 2}`, 'MAX_UPDATES_PER_SECOND=1000', 'MAX_CREATES_PER_MINUTE=inf'],
      ...['LOG_UPDATES=False', 'WHISPER_AUTOFLUSH=True', ''],
    ];
    writeFileSync(path.join(this.#folder, 'carbon.conf'), lines.join('\n'));
    writeFileSync(
      path.join(this.#folder, 'storage-schemas.conf'),
      '[all]\npattern = .*\nretentions = 1s:1h\n',
    );
    t.after(() => this.stop());
  }

  async start(): Promise<void> {
    const conf = path.join(this.#folder, 'carbon.conf');
    this.#child = spawn(program('carbon-cache'), [`--config=${conf}`, '--nodaemon', 'start'], {
      stdio: 'ignore',
    });
    await until('carbon', async () => {
      const socket = createConnection(port, '127.0.0.1');
      const isOpen = await once(socket, 'connect').then(
        () => true,
        () => false,
      );
      socket.destroy();
      return isOpen;
    });
  }

  /** In order: it writes what it has in memory. */
  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  }

  /** The sum of all points of a metric, as whisper's own tool reads them. */
  sum(metric: string): number {
    const file = path.join(this.#data, `${metric.replaceAll('.', '/')}.wsp`);
    if (!existsSync(file)) return 0;
    const { status, stdout, stderr } = spawnSync(program('whisper-fetch'), ['--json', file], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
    const { values } = JSON.parse(stdout) as { values: (number | null)[] };
    return values.reduce<number>((total, value) => total + (value ?? 0), 0);
  }
}

const lacksCarbon = skip || lacks(['carbon-cache', 'whisper-fetch']);

test('carbon has every byte, also of the time when it was away', { skip: lacksCarbon }, async (t) => {
  const accounting = new Accounting(t, {
    settings: ['[Accounting]', 'Interval=1s', '[Carbon]', `Address=127.0.0.1:${port}`, 'Prefix=test.net'],
  });
  await accounting.start();
  const carbon = new Carbon(t, accounting.folder);
  await carbon.start();
  const script = path.join(root, 'test/support/carbon-daemon.ts');
  const state = path.join(accounting.folder, 'cursor-state');
  const argv = [
    '--disable-warning=ExperimentalWarning',
    script,
    accounting.control,
    '--conf',
    accounting.conf,
  ];
  const sink = spawn(process.execPath, [...argv, '--state', state, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => sink.kill('SIGKILL'));
  let said = '';
  sink.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));

  const metric = 'test.net.all.8_64_0_7.txBytes';
  const has = (packets: number): Promise<true> =>
    until(
      `${packets} packets at carbon`,
      () => carbon.sum(metric) === packets * 128 || undefined,
      () => `${carbon.sum(metric)} bytes\n${said}`,
    ).then(() => true as const);
  await accounting.send(stream);
  await has(100);
  // A flow that goes on changes no interval that is past; its end may.
  await accounting.send(stream);
  accounting.flush();
  await has(200);

  await carbon.stop();
  for (let round = 0; round < 3; round += 1) {
    await accounting.send(stream);
    await sleep(1_100);
  }
  await until('word of the outage', () => said.includes('the ledger keeps what is to be sent'));
  await carbon.start();
  await until('word of its end', () => said.includes('takes what was kept for it'));
  await has(500);
  assert.equal(carbon.sum('test.net.all.8_64_0_7.rxBytes'), 0);
  assert.equal(carbon.sum('test.net.all.8_64_0_7.txPackets'), 500);

  // Stopped and started, it goes on where it was.
  sink.kill('SIGTERM');
  await once(sink, 'exit');
  assert.equal(sink.exitCode, 0);
  const again = spawn(process.execPath, [...argv, '--state', state, '--json'], { stdio: 'ignore' });
  t.after(() => again.kill('SIGKILL'));
  await accounting.send(stream);
  accounting.flush();
  await has(600);
});

test('the textfile has what nft has, and promtool nothing to complain of', {
  skip: skip || lacks(['promtool']),
}, async (t) => {
  const accounting = new Accounting(t);
  const file = path.join(accounting.folder, 'traffic.prom');
  const names = path.join(accounting.folder, 'names');
  writeFileSync(names, `${peer} the "laptop" of ü\n`);
  accounting.configure(['[Accounting]', 'Interval=1s', `Names=${names}`, '[Textfile]', `Path=${file}`]);
  await accounting.start();
  await accounting.send(stream);
  const labels = 'class="all",family="ipv4",peer="the \\"laptop\\" of ü",protocol="udp"';
  const line = `lares_traffic_transmit_bytes_total{${labels}} 12800\n`;
  await until('the line', () => existsSync(file) && readFileSync(file, 'utf8').includes(line));
  const { status, stdout, stderr } = spawnSync(program('promtool'), ['check', 'metrics'], {
    input: readFileSync(file, 'utf8'),
    encoding: 'utf8',
  });
  assert.deepEqual([status, stdout + stderr], [0, '']);
});

test('the commands show the same from the daemon and from its state folder', { skip }, async (t) => {
  const accounting = new Accounting(t, { settings: ['[Accounting]', 'Interval=1s'] });
  await accounting.start();
  await accounting.send(stream);
  await accounting.agrees();
  const daemon = ['--socket', accounting.control];
  const folder = ['--state', accounting.state, '--conf', accounting.conf];
  const json = async (...args: string[]): Promise<unknown> => {
    const { code, out, err } = await lares(['traffic', ...args, '--json']);
    assert.deepEqual([code, err], [0, '']);
    return JSON.parse(out);
  };
  const [row] = (await json('report', ...daemon)) as Record<string, number>[];
  assert.deepEqual(
    [row?.['peer'], row?.['txBytes'], row?.['rxBytes'], row?.['txPackets']],
    [peer, 12_800, 0, 100],
  );
  for (const by of ['peer', 'family', 'class', 'protocol', 'day', 'hour'])
    assert.deepEqual(
      strip(await json('report', '--by', by, '--since', '1h', ...daemon)),
      strip(await json('report', '--by', by, '--since', '1h', ...folder)),
      by,
    );
  assert.equal(((await json('flows', ...daemon)) as unknown[]).length, 50);
  assert.equal(((await json('flows', ...folder, '--peer', 'nobody')) as unknown[]).length, 0);
  for (const where of [daemon, folder])
    assert.equal(((await json('status', ...where)) as { flows: number }).flows, 50);
  const csv = await lares(['traffic', 'report', '--csv', ...daemon]);
  assert.match(
    csv.out,
    /^peer,rxBytes,txBytes,rxPackets,txPackets,firstSeen,lastSeen\r\n8\.64\.0\.7,0,12800,0,100,\d+,\d+\r\n$/,
  );
  const text = await lares(['traffic', 'report', ...folder]);
  assert.match(
    text.out,
    /^PEER +RX +TX +SUM +LAST \w+ +LAST SEEN\n8\.64\.0\.7 +0 B +12\.5 KiB +12\.5 KiB +\S{24} +\d{4}-/,
  );
  const top = await lares(['traffic', 'top', '--interval', '1s', ...daemon]);
  assert.match(top.out, /^peers 1 {2}flows 50 {2}rx 0 B\/s {2}tx \d/);
  assert.ok(top.out.split('\n').every((line) => line.length <= 80));
  const wrong = await lares(['traffic', 'report', '--state', '/nonexistent']);
  assert.deepEqual([wrong.code, wrong.out], [1, '']);
  assert.match(wrong.err, /there is no \/nonexistent\/traffic\.db/);
  assert.equal((await lares(['traffic', 'report', '--since', 'yesterday', ...daemon])).code, 2);
});

/** Times of two questions differ, and so does what is cut into cells by them. */
function strip(rows: unknown): unknown {
  const isOpen = (key: string): boolean => key === 'course';
  return JSON.parse(JSON.stringify(rows), (key, value: unknown) => (isOpen(key) ? undefined : value));
}

test('on a terminal top draws, sorts, and gives the screen back', {
  skip: skip || (spawnSync('script', ['--version']).error === undefined ? false : 'needs script (bsdutils)'),
}, async (t) => {
  const accounting = new Accounting(t, { settings: ['[Accounting]', 'Interval=1s'] });
  await accounting.start();
  await accounting.send({ ...stream, sources: [peer, '8.64.0.8'] });
  const command = `stty rows 12 cols 80; '${process.execPath}' --disable-warning=ExperimentalWarning \
    daemons/lares/main.ts traffic top --interval 1s --socket '${accounting.control}'; stty -a`;
  const child = spawn('script', ['-qec', command, '/dev/null'], {
    cwd: root,
    env: { ...process.env, TERM: 'xterm', SHELL: '/bin/sh' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  let screen = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (screen += text));
  await until(
    'a picture',
    () => screen.includes('by rate'),
    () => screen,
  );
  for (const order of ['rx', 'tx', 'total', 'name']) {
    child.stdin.write('s');
    await until(
      `order ${order}`,
      () => screen.includes(`by ${order}`),
      () => screen,
    );
  }
  child.stdin.write('q');
  await once(child, 'exit');
  assert.equal(child.exitCode, 0);
  assert.ok(screen.startsWith('\u001b[?1049h\u001b[?25l'));
  assert.match(screen, /8\.64\.0\.8/);
  const after = screen.split('\u001b[?25h\u001b[?1049l')[1] ?? '';
  // The terminal is as it was: lines again, with an echo.
  assert.match(after, / icanon /);
  assert.match(after, / echo /);
});
