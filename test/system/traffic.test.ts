// Goal: the accounting under systemd, as an admin has it from the package: one unit to enable, the sandbox, restarts
// and crashes under load with the socket alive and nothing lost, and carbon as a unit of its own.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { deb } from '../support/ddns-machine.ts';
import { lacksTracking } from '../support/netns.ts';
import { clientAddress, lacksPackage, service, socket, TrafficMachine } from '../support/traffic-machine.ts';

const skip = (await lacksPackage()) || lacksTracking();
const burst = { firstPort: 10_000, ports: 500, packets: 2, payload: 100, perSecond: 0 };

async function socketLives({ machine }: TrafficMachine): Promise<void> {
  assert.equal(await machine.show(socket, 'ActiveState'), 'active');
  assert.equal(await machine.show(socket, 'Result'), 'success');
}

test('from the package to the first peer', { skip }, async (t) => {
  const one = await TrafficMachine.boot(t);
  const { machine } = one;
  await t.test('enabling the socket switches the kernel on and starts the rest', async () => {
    await machine.systemctl('enable', '--now', socket);
    for (const unit of [socket, 'lares-traffic-control.socket', 'lares-traffic-sysctl.service'])
      await machine.untilShows(unit, 'ActiveState', 'active');
    await machine.untilShows(service, 'ActiveState', 'active');
    const values = await machine.must(
      'sh',
      '-c',
      'cd /proc/sys/net/netfilter; cat nf_conntrack_acct nf_conntrack_events nf_conntrack_timestamp',
    );
    assert.equal(values, '1\n1\n1\n');
    // As the next boot would order it.
    const { stderr } = await machine.run('systemd-analyze', 'verify', '--man=no', 'default.target');
    assert.doesNotMatch(stderr, /cycle|lares/);
    await socketLives(one);
    assert.deepEqual(await machine.failed(), []);
  });

  await t.test('the client is counted while its flows live', async () => {
    await one.send(burst);
    await one.agrees();
    assert.match(await machine.must('lares', 'traffic', 'top'), new RegExp(`^${clientAddress} `, 'm'));
    assert.match(await machine.must('lares', 'status'), /^traffic +awake/m);
    const { stdout } = await machine.run('lares', 'doctor');
    assert.match(stdout, /conntrack +accounting, events and times are switched on/);
    assert.match(stdout, /control +\/run\/lares\/traffic\.sock, mode 0660/);
  });

  await t.test('it runs as nobody of importance', async () => {
    const pid = await machine.show(service, 'MainPID');
    const text = await machine.must('cat', `/proc/${pid}/status`);
    assert.match(text, /^CapEff:\t0{12}1000$/m);
    assert.match(text, /^CapBnd:\t0{12}1000$/m);
    assert.doesNotMatch(text, /^Uid:\t0\t/m);
    const exposure = await machine.run('systemd-analyze', 'security', '--no-pager', service);
    const found = Number(/Overall exposure level for \S+: (\d+\.\d+)/.exec(exposure.stdout)?.[1]);
    assert.ok(found <= 1.8, `exposure ${found}`);
  });

  await t.test('names of peers come from the WireGuard tool, within the sandbox', async () => {
    // No kernel here has WireGuard to test with: what wg(8) prints, from another program of that name.
    const key = 'xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=';
    machine.write(
      '/usr/local/bin/wg',
      `#!/bin/sh\n[ "$*" = 'show wg0 allowed-ips' ] && printf '${key}\\t${clientAddress}/32 2001:db8::7/128\\n'\n`,
      0o755,
    );
    machine.write('/etc/lares/peers', `${key} laptop of anna\n`);
    machine.write('/etc/lares/traffic.conf', '[Accounting]\nNames=wireguard:wg0 /etc/lares/peers\n');
    await machine.systemctl('reload', service);
    await machine.until('the name', async () =>
      (await machine.must('lares', 'traffic', 'report')).includes('laptop of anna'),
    );
  });

  await t.test('what is stopped stays stopped, and the switches stay on', async () => {
    await machine.systemctl('stop', socket);
    await machine.untilShows(service, 'ActiveState', 'inactive');
    assert.equal(await machine.must('cat', '/proc/sys/net/netfilter/nf_conntrack_acct'), '1\n');
    assert.deepEqual(await machine.failed(), []);
  });
});

test('no event is lost over restarts under load, and none over reload', { skip }, async (t) => {
  const one = await TrafficMachine.boot(t);
  const { machine } = one;
  await machine.systemctl('start', socket);
  await machine.must('sh', '-c', 'echo 1 > /proc/sys/net/netfilter/nf_conntrack_udp_timeout');
  const sending = one.send({ ...burst, ports: 40_000, packets: 1, perSecond: 4_000 });
  for (let round = 0; round < 3; round += 1) {
    await sleep(1_500);
    await machine.systemctl('restart', service);
  }
  await machine.systemctl('reload', service);
  await sending;
  await one.quiet();
  await one.agrees();
  const { drops, crashes } = await one.status();
  assert.deepEqual([drops, crashes, (await one.received()).packets], [0, 0, 40_000]);
  await socketLives(one);
});

test('an overrun and SIGKILL leave the socket alive, and are told', { skip }, async (t) => {
  const one = await TrafficMachine.boot(t);
  const { machine } = one;
  await machine.writeUnits({ [`${socket}.d/small.conf`]: '[Socket]\nReceiveBuffer=64K\n' });
  await machine.systemctl('start', socket);
  await machine.untilShows(service, 'ActiveState', 'active');
  await one.send({ ...burst, ports: 5_000 });
  await one.agrees();
  const pid = await machine.show(service, 'MainPID');
  await machine.must('kill', '-STOP', pid);
  await machine.must('conntrack', '-F');
  await machine.must('kill', '-KILL', pid);
  await machine.until('the next run', async () => {
    const next = await machine.show(service, 'MainPID');
    return next !== pid && next !== '0' && (await machine.show(service, 'ActiveState')) === 'active';
  });
  await socketLives(one);
  const { drops, crashes, lostTail } = await one.status();
  assert.equal(crashes, 1);
  assert.ok(Number(drops) > 4_000, `${String(drops)} drops`);
  // All of them were seen before: their sums are whole.
  assert.deepEqual(lostTail, { flows: 0, bytes: 0 });
  await one.agrees();
  // With so small a buffer only what was looked at is sure.
  await one.send({ ...burst, firstPort: 40_000 });
  await one.agrees();
  await machine.must('conntrack', '-F');
  await one.agrees();
});

test('carbon gets its lines from a unit without rights, and an address is wanted', { skip }, async (t) => {
  const one = await TrafficMachine.boot(t);
  const { machine } = one;
  const carbon = 'lares-traffic-carbon.service';
  await machine.systemctl('start', socket);
  await machine.run('systemctl', 'start', carbon);
  await machine.untilShows(carbon, 'ExecMainStatus', '6');
  machine.write('/etc/lares/traffic.conf', '[Accounting]\nInterval=1s\n[Carbon]\nAddress=127.0.0.1:2003\n');
  await machine.systemctl('reload', service);
  await machine.must(
    ...['systemd-run', '--quiet', '--unit=test-sink', '/usr/lib/lares/node', '-e'],
    `const { createServer } = require('node:net');
     const { appendFileSync } = require('node:fs');
     createServer((socket) => socket.on('data', (text) => appendFileSync('/root/lines', text))).listen(2003);`,
  );
  machine.write('/root/lines', '');
  await machine.systemctl('reset-failed', carbon);
  await machine.systemctl('start', carbon);
  await one.send(burst);
  const line = `lares.traffic.all.${clientAddress.replaceAll('.', '_')}.txBytes`;
  await machine.until('the bytes at the sink', () => {
    const lines = machine
      .read('/root/lines')
      .split('\n')
      .filter((text) => text.startsWith(`${line} `));
    // The last word on an interval counts.
    const values = new Map(lines.map((text) => text.split(' ').slice(1).reverse() as [string, string]));
    const sum = [...values.values()].reduce((total, value) => total + Number(value), 0);
    return sum === 2 * burst.ports * 128;
  });
  assert.deepEqual(await machine.failed(), []);
  const text = await machine.must('cat', `/proc/${await machine.show(carbon, 'MainPID')}/status`);
  assert.match(text, /^CapBnd:\t0{16}$/m);
});

test('an upgrade under load loses no byte, and a purge leaves nothing', { skip }, async (t) => {
  const one = await TrafficMachine.boot(t);
  const { machine } = one;
  await machine.systemctl('enable', '--now', socket);
  await machine.must('sh', '-c', 'echo 1 > /proc/sys/net/netfilter/nf_conntrack_udp_timeout');
  const sending = one.send({ ...burst, ports: 30_000, packets: 1, perSecond: 3_000 });
  await sleep(1_000);
  const pid = await machine.show(service, 'MainPID');
  await machine.install(deb);
  assert.notEqual(await machine.show(service, 'MainPID'), pid);
  await sending;
  await one.quiet();
  await one.agrees();
  await socketLives(one);
  await machine.must('dpkg', '--remove', 'lares');
  assert.doesNotMatch(
    await machine.must('systemctl', 'list-units', '--all', '--plain', '--no-legend', 'lares*'),
    / (active|failed) /,
  );
  assert.match(await machine.must('ls', '/var/lib/lares/traffic/'), /^traffic\.db$/m);
  await machine.must('dpkg', '--purge', 'lares');
  const { stdout } = await machine.run(
    'sh',
    '-c',
    'find /etc /var/lib /run -name "*lares*" ! -path "/etc/host*"',
  );
  assert.deepEqual(
    stdout
      .split('\n')
      .filter((file) => file !== '' && !/dpkg|systemd\/(generator|transient|units)/.test(file)),
    [],
  );
});

test('a quota is told by a program in a unit without rights', { skip }, async (t) => {
  const one = await TrafficMachine.boot(t);
  const { machine } = one;
  const notify = 'lares-traffic-notify.service';
  machine.write('/usr/local/bin/tell-quota', '#!/bin/sh\nexec cat > told.json\n', 0o755);
  machine.write(
    '/etc/lares/traffic.conf',
    '[Accounting]\nInterval=1s\n[Quota month]\nLimit=100K\n[Notify]\nProgram=/usr/local/bin/tell-quota\n',
  );
  await machine.systemctl('start', socket);
  await one.send(burst);
  await one.agrees();
  await machine.systemctl('start', notify);
  await machine.until('the record', async () =>
    (await machine.journal({ unit: notify })).some(({ MESSAGE = '' }) =>
      MESSAGE.includes(`${clientAddress} has reached quota month`),
    ),
  );
  const told = await machine.must('cat', '/var/lib/lares/traffic-notify/told.json');
  assert.match(told, new RegExp(`"peer":"${clientAddress}".*"txBytes":128000`));
  assert.deepEqual(await machine.failed(), []);
});
