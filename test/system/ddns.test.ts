// The receiver under systemd, as an admin has it from the package: woken by packets, restarted, reloaded, hung, idle,
// on full disks and bad zones, always with the socket alive and nothing lost.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '../support/ddns.ts';
import {
  answerFor,
  blockOf,
  lacksPackage,
  machineWithPackage,
  name,
  port,
  publish,
  serve,
  service,
  socket,
  statusText,
  update,
  zone,
} from '../support/ddns-machine.ts';
import type { Machine } from '../support/machine.ts';

const skip = await lacksPackage();
const junk = Buffer.from('no packet of ours');

const messages = async (machine: Machine, ...match: string[]): Promise<string[]> =>
  (await machine.journal({ unit: service, match })).map(({ MESSAGE = '' }) => MESSAGE);
const mainPid = (machine: Machine): Promise<string> => machine.show(service, 'MainPID');

async function socketLives(machine: Machine): Promise<void> {
  assert.equal(await machine.show(socket, 'ActiveState'), 'active');
  assert.equal(await machine.show(socket, 'Result'), 'success');
}

/** Stops the receiver; what wakes it stays. */
async function putToSleep(machine: Machine): Promise<void> {
  await machine.systemctl('stop', service);
  await machine.untilShows(service, 'ActiveState', 'inactive');
}

test('from the package to the first answer', { skip }, async (t) => {
  const machine = await machineWithPackage(t);
  const client = new Client();

  await t.test('installing enables, starts and fails nothing', async () => {
    assert.deepEqual(await machine.failed(), []);
    const { stdout } = await machine.run(
      'systemctl',
      'list-units',
      '--all',
      '--plain',
      '--no-legend',
      'lares*',
    );
    assert.doesNotMatch(stdout, /lares\S+ +loaded +active/);
    assert.equal((await machine.run('systemctl', 'is-enabled', socket)).stdout, 'disabled\n');
  });

  await t.test(
    'junk to a receiver without a configuration is dropped and counted, and the socket lives',
    async () => {
      await machine.systemctl('start', socket);
      await machine.send(
        port,
        Array.from({ length: 60 }, () => ({ bytes: junk, pauseMs: 20 })),
      );
      await machine.until('all of it in the status', async () =>
        (await statusText(machine)).endsWith('; 60 datagrams dropped'),
      );
      assert.match(
        await statusText(machine),
        /^cannot work: Zone= in \[Receiver\] must be set in \/etc\/lares\/ddns\.conf;/,
      );
      assert.equal(await machine.show(service, 'ActiveState'), 'active');
      assert.equal(await machine.show(service, 'NRestarts'), '0');
      await socketLives(machine);
      const explained = await machine.must(
        'journalctl',
        '-x',
        '-u',
        service,
        'MESSAGE_ID=b6d0f8c1a4e94b1f8b6c0d7c2f5e9a31',
      );
      assert.match(explained, /cannot work: Zone= .*\n.*lares-ddns runs, but cannot work/);
      assert.match(explained, /Something keeps the daemon from its work/);
      const status = JSON.parse(await machine.must('lares', 'ddns', 'status', '--json')) as {
        degraded: boolean;
      };
      assert.equal(status.degraded, true);
    },
  );

  await t.test('once it is configured a restart is enough, and the first packet is in tinydns', async () => {
    await serve(machine, blockOf(client, name));
    await machine.systemctl('restart', service);
    await update(machine, client, name, '127.1.0.1');
    assert.deepEqual(await machine.failed(), []);
  });
});

test('the receiver at work', { skip }, async (t) => {
  const machine = await machineWithPackage(t);
  const client = new Client();
  const crowd = Array.from({ length: 100 }, () => new Client());
  const crowdName = (index: number): string => `c${index}.example.net`;
  const text = blockOf(client, name) + crowd.map((one, index) => blockOf(one, crowdName(index))).join('');
  await serve(machine, text, ['IdleExit=1min']);

  await t.test('asleep, it is started by the first datagram, which counts', async () => {
    assert.equal(await machine.show(service, 'ActiveState'), 'inactive');
    await update(machine, client, name, '127.1.0.1');
    await machine.untilShows(service, 'ActiveState', 'active');
    assert.match(await statusText(machine), /^102 address lines|^101 address lines/);
  });

  await t.test('the journal has fields, and explains the record', async () => {
    const [record = {}] = await machine.journal({ unit: service, match: [`LARES_NAME=${name}`] });
    const {
      MESSAGE,
      MESSAGE_ID = '',
      LARES_KEY_ID,
      LARES_SOURCE,
      PRIORITY,
      SYSLOG_IDENTIFIER,
      _TRANSPORT,
    } = record;
    assert.equal(MESSAGE, `updated ${name} A 192.0.2.1 -> 127.1.0.1`);
    assert.deepEqual([LARES_KEY_ID, LARES_SOURCE, PRIORITY], [client.key.keyId, '127.1.0.1', '6']);
    assert.deepEqual([SYSLOG_IDENTIFIER, _TRANSPORT], ['lares-ddns', 'journal']);
    const explained = await machine.must('journalctl', '-x', '-t', 'lares-ddns', `MESSAGE_ID=${MESSAGE_ID}`);
    assert.match(explained, /Documentation: man:lares-ddns\.service\(8\)/);
  });

  await t.test('restarts lose no datagram', async () => {
    const sending = machine.send(
      port,
      crowd.map((one, index) => ({ bytes: one.packet(), from: `127.2.0.${index + 1}`, pauseMs: 25 })),
    );
    for (let round = 0; round < 3; round += 1) {
      await machine.systemctl('restart', service);
      await sleep(300);
    }
    await sending;
    for (const index of crowd.keys()) {
      const place = `127.2.0.${index + 1}`;
      await machine.until(`${place} in the zone`, () =>
        machine.read(zone).includes(`+${crowdName(index)}:${place}:`),
      );
    }
    await machine.until(
      'the last in tinydns',
      async () => (await answerFor(machine, crowdName(99))) === '127.2.0.100',
    );
    await socketLives(machine);
  });

  await t.test('a packet from before a restart is refused after it', async () => {
    const packet = client.packet();
    await machine.send(port, [{ bytes: packet, from: '127.1.0.2' }]);
    await machine.until('the update', () => machine.read(zone).includes(`+${name}:127.1.0.2:`));
    await machine.systemctl('restart', service);
    await machine.send(port, [{ bytes: packet, from: '127.6.6.6' }]);
    await machine.until('the refusal', async () =>
      (await messages(machine, 'LARES_SOURCE=127.6.6.6')).some((line) =>
        line.startsWith('refused: replayed from 127.6.6.6'),
      ),
    );
    assert.ok(!machine.read(zone).includes('127.6.6.6'));
  });

  await t.test('a reload brings another configuration into force, in the same process', async () => {
    await machine.send(port, [{ bytes: client.packet(), from: '127.1.0.3' }]);
    await machine.until('the update', () => machine.read(zone).includes(':127.1.0.3:'));
    const pid = await mainPid(machine);
    machine.write('/etc/lares/ddns.conf.d/90-test.conf', '[Receiver]\nMaxClockSkew=3min\nNonsense=1\n');
    await machine.systemctl('reload', service);
    await machine.until('the new status', async () => (await statusText(machine)).includes('+3min'));
    assert.equal(await mainPid(machine), pid);
    const problems = await messages(machine, 'MESSAGE_ID=7691e6d48cf94692ab4060a02550cea6');
    assert.match(
      problems.join('\n'),
      /^\/etc\/lares\/ddns\.conf\.d\/90-test\.conf:3: unknown key Nonsense=/m,
    );
    await machine.must('rm', '/etc/lares/ddns.conf.d/90-test.conf');
    await machine.systemctl('reload', service);
    await update(machine, client, name, '127.1.0.4');
  });

  await t.test('its status asks the running receiver: root and the group may, others may not', async () => {
    const asked = JSON.parse(await machine.must('lares', 'ddns', 'status', '--json')) as {
      names: { name: string; address: string }[];
    };
    assert.equal(asked.names.find((row) => row.name === name)?.address, '127.1.0.4');
    const as = (...groups: string[]): string[] => [
      'setpriv',
      '--reuid=65534',
      '--regid=65534',
      ...groups,
      'lares',
      'ddns',
      'status',
    ];
    const member = await machine.must(...as('--groups', 'lares'));
    assert.match(member, new RegExp(`^${name} .*127\\.1\\.0\\.4`, 'm'));
    const stranger = await machine.run(...as('--clear-groups'));
    assert.equal(stranger.code, 1);
    assert.match(stranger.stderr, /needs root or membership in the group lares/);
  });

  await t.test('asleep, it is woken by the question for its status', async () => {
    await putToSleep(machine);
    assert.match(
      await machine.must('lares', 'ddns', 'status'),
      new RegExp(`^${name} .*127\\.1\\.0\\.4`, 'm'),
    );
    await machine.untilShows(service, 'ActiveState', 'active');
  });

  await t.test('the sandbox is in force in the process, not only in the unit', async () => {
    const pid = await mainPid(machine);
    const status = machine.read(`/proc/${pid}/status`);
    for (const line of [/^CapBnd:\t0+$/m, /^CapEff:\t0+$/m, /^NoNewPrivs:\t1$/m, /^Seccomp:\t2$/m])
      assert.match(status, line);
    const uid = (await machine.must('id', '-u', 'lares-ddns')).trim();
    assert.match(status, new RegExp(`^Uid:\\t${uid}\\t${uid}\\t`, 'm'));
    const inside = (...argv: string[]) =>
      machine.run(
        'nsenter',
        '-t',
        pid,
        '-m',
        '--',
        'setpriv',
        '--reuid=lares-ddns',
        '--regid=lares-ddns',
        '--clear-groups',
        ...argv,
      );
    machine.write('/home/secret', 'x', 0o644);
    const refusals = [
      [['cat', '/home/secret'], 'Permission denied'],
      [['touch', '/usr/x'], 'Read-only file system'],
      [['touch', '/etc/lares/x'], 'Read-only file system'],
      [['touch', '/srv/x'], 'Read-only file system'],
      [['cat', '/dev/kmsg'], 'No such file'],
    ] as const;
    for (const [argv, why] of refusals) {
      const { code, stderr } = await inside(...argv);
      assert.deepEqual([code, stderr.includes(why)], [1, true], `${argv.join(' ')}: ${stderr}`);
    }
    assert.equal((await inside('touch', `${zone}.probe`)).code, 0);
    await machine.must('rm', `${zone}.probe`);
    assert.equal(machine.read(`/proc/${pid}/comm`), 'lares-ddns\n');
    assert.doesNotMatch(machine.read(`/proc/${pid}/maps`), / rwx/, 'no memory is writable and executable');
    const net = await machine.must('nsenter', '-t', pid, '-n', '--', 'ip', '-o', 'link');
    assert.equal(net.trim().split('\n').length, 1, 'nothing but its own lo');
  });

  await t.test('hung, it is killed by the watchdog and works again', async () => {
    await machine.writeUnits({ [`${service}.d/90-test.conf`]: '[Service]\nWatchdogSec=2s\n' });
    await machine.systemctl('restart', service);
    const pid = await mainPid(machine);
    await machine.must('kill', '-STOP', pid);
    await machine.until('another process', async () => !['0', pid].includes(await mainPid(machine)));
    const said = (await machine.journal({ match: [`UNIT=${service}`] }))
      .map(({ MESSAGE }) => MESSAGE)
      .join('\n');
    assert.match(said, /Watchdog timeout/);
    await update(machine, client, name, '127.1.0.5');
    await socketLives(machine);
    // Fed, it lives on.
    const next = await mainPid(machine);
    await sleep(3_000);
    assert.equal(await mainPid(machine), next);
    await machine.writeUnits({ [`${service}.d/90-test.conf`]: '[Service]\n' });
  });

  await t.test('idle, it leaves; the next packet wakes it', async () => {
    machine.write('/etc/lares/ddns.conf.d/90-test.conf', '[Receiver]\nIdleExit=1s\n');
    await machine.systemctl('restart', service);
    await machine.untilShows(service, 'ActiveState', 'inactive');
    assert.equal(await machine.show(service, 'Result'), 'success');
    assert.equal((await messages(machine, 'SYSLOG_IDENTIFIER=lares-ddns')).at(-1), 'stopped (idle)');
    for (const place of ['127.1.0.6', '127.1.0.7', '127.1.0.8']) {
      await update(machine, client, name, place);
      await machine.untilShows(service, 'ActiveState', 'inactive');
    }
    await socketLives(machine);
    await machine.must('rm', '/etc/lares/ddns.conf.d/90-test.conf');
  });

  await t.test('killed at any time, it comes again and has what it had accepted', async () => {
    await machine.send(port, [{ bytes: client.packet(), from: '127.1.0.9' }]);
    await machine.untilShows(service, 'ActiveState', 'active');
    await machine.systemctl('kill', '--signal=KILL', service);
    await machine.until('the update', async () => (await answerFor(machine, name)) === '127.1.0.9');
    await socketLives(machine);
  });

  await t.test(
    'a journal that takes nothing stops nobody, and is told what it missed',
    async (inner: TestContext) => {
      const many = new Client();
      const names = Array.from({ length: 2_000 }, (_, index) => `m${index}.example.net`);
      await machine.systemctl('stop', service);
      machine.write(zone, machine.read(zone) + blockOf(many, ...names));
      await update(machine, client, name, '127.1.0.10');
      const journald = await machine.show('systemd-journald.service', 'MainPID');
      await machine.must('kill', '-STOP', journald);
      inner.after(() => machine.run('kill', '-CONT', journald));
      await machine.send(port, [{ bytes: many.packet(), from: '127.3.0.1' }]);
      await machine.until('the update', () => machine.read(zone).includes('+m1999.example.net:127.3.0.1:'));
      await machine.send(port, [{ bytes: client.packet(), from: '127.1.0.11' }]);
      await machine.until('the next', () => machine.read(zone).includes(`+${name}:127.1.0.11:`));
      await machine.must('kill', '-CONT', journald);
      await machine.until('the number of lost records', async () =>
        (await messages(machine, 'MESSAGE_ID=705441e7926341f5aa6421147f4d594b')).some((line) =>
          /^\d+ records dropped$/.test(line),
        ),
      );
    },
  );

  assert.deepEqual(await machine.failed(), []);
  assert.equal(await machine.show(publish, 'Result'), 'success');
});
