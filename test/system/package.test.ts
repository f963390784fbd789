// The package's life on a machine: upgraded over itself while packets come, removed, purged; and the client's units.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { Client } from '../support/ddns.ts';
import {
  answerFor,
  blockOf,
  deb,
  lacksPackage,
  machineWithPackage,
  name,
  port,
  serve,
  service,
  socket,
  update,
  zone,
} from '../support/ddns-machine.ts';
import type { Machine } from '../support/machine.ts';

const skip = await lacksPackage();
const ourUnits = (machine: Machine): Promise<string> =>
  machine.must('systemctl', 'list-units', '--all', '--plain', '--no-legend', 'lares*');

test('the life of a package', { skip }, async (t) => {
  const machine = await machineWithPackage(t);
  const client = new Client();
  const crowd = Array.from({ length: 120 }, () => new Client());
  await serve(
    machine,
    [client, ...crowd]
      .map((one, index) => blockOf(one, index === 0 ? name : `c${index}.example.net`))
      .join(''),
  );
  await machine.systemctl('enable', socket);

  await t.test(
    'an upgrade over itself restarts the receiver, stops no socket, and loses no packet',
    async () => {
      await update(machine, client, name, '127.1.0.1');
      const [pid, since] = [
        await machine.show(service, 'MainPID'),
        await machine.show(socket, 'ActiveEnterTimestampMonotonic'),
      ];
      const sending = machine.send(
        port,
        crowd.map((one, index) => ({ bytes: one.packet(), from: `127.2.0.${index + 1}`, pauseMs: 40 })),
      );
      await machine.install(deb);
      await sending;
      assert.equal(await machine.show(socket, 'ActiveEnterTimestampMonotonic'), since);
      assert.notEqual(await machine.show(service, 'MainPID'), pid);
      for (const index of crowd.keys())
        await machine.until(`packet ${index}`, () =>
          machine.read(zone).includes(`+c${index + 1}.example.net:127.2.0.${index + 1}:`),
        );
      assert.deepEqual(await machine.failed(), []);
      assert.equal((await machine.run('systemctl', 'is-enabled', socket)).stdout, 'enabled\n');
    },
  );

  await t.test('an upgrade wakes nothing that sleeps', async () => {
    await machine.systemctl('stop', service);
    await machine.install(deb);
    assert.equal(await machine.show(service, 'ActiveState'), 'inactive');
    await update(machine, client, name, '127.1.0.2');
  });

  await t.test('the client sends by its unit, with a key that only root can read', async () => {
    await machine.must('lares', 'ddns', 'keygen', '-o', '/etc/lares/ddns-client.key');
    const made = await machine.run('sh', '-c', 'stat -c "%a %U" /etc/lares/ddns-client.key');
    assert.equal(made.stdout, '600 root\n');
    machine.write('/etc/lares/ddns-send.env', `DESTINATION=127.0.0.1:${port}\n`);
    await machine.systemctl('start', 'lares-ddns-send.service');
    // The zone does not know this key; that it came is what counts.
    await machine.until(
      'the refusal',
      async () => (await machine.journal({ unit: service, match: ['LARES_REASON=unknown-key'] })).length > 0,
    );
  });

  await t.test('stopping lares.target stops everything, also what was never started with it', async () => {
    await machine.systemctl('start', 'lares-ddns-send.timer', service);
    await machine.systemctl('stop', 'lares.target');
    // The command waits for the target, not for what goes with it.
    await machine.until('an end of all units', async () => !/ active /.test(await ourUnits(machine)));
    await machine.send(port, [Buffer.from('nobody listens')]).catch(() => undefined);
    assert.doesNotMatch(await ourUnits(machine), / active /);
    await machine.systemctl('start', socket);
  });

  await t.test(
    'removed while packets come it leaves nothing running, and state and configuration stay',
    async () => {
      const sending = machine
        .send(
          port,
          Array.from({ length: 100 }, () => ({ bytes: Buffer.from('junk'), pauseMs: 20 })),
        )
        .catch(() => undefined);
      await machine.must('dpkg', '--remove', 'lares');
      await sending;
      assert.doesNotMatch(await ourUnits(machine), / (active|failed) /);
      for (const file of ['/etc/lares/ddns.conf', '/var/lib/lares/ddns/ddns.db', zone])
        assert.ok(existsSync(machine.path(file)), file);
      for (const file of ['/usr/bin/lares', '/usr/lib/lares', '/run/lares/ddns.sock'])
        assert.ok(!existsSync(machine.path(file)), file);
      assert.deepEqual(await machine.failed(), []);
    },
  );

  await t.test('installed again it goes on where it was', async () => {
    await machine.install(deb);
    await machine.systemctl('start', socket);
    await update(machine, client, name, '127.1.0.3');
  });

  await t.test('purged it leaves the zone, and nothing of its own', async () => {
    await machine.must('dpkg', '--purge', 'lares');
    const places = [
      '/etc',
      '/run',
      '/usr/bin',
      '/usr/lib/systemd',
      '/usr/share/man',
      '/usr/share/doc',
      '/var/lib',
    ];
    const found = await machine.must(
      'find',
      ...places,
      '-xdev',
      '-path',
      '/var/lib/dpkg',
      '-prune',
      '-o',
      '-name',
      '*lares*',
      '-print',
    );
    assert.equal(found, '');
    assert.equal(await answerFor(machine, name), '127.1.0.3');
    assert.deepEqual(await machine.failed(), []);
  });
});
