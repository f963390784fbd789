// What an admin has to mend, under systemd: full disks, bad zones, hooks that fail. The receiver says it where one
// looks (journal, systemctl status), its socket lives, and when it is mended nothing is missing.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { Client } from '../support/ddns.ts';
import {
  answerFor,
  blockOf,
  hook,
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

const skip = await lacksPackage();
const state = '/var/lib/lares/ddns';

test('what an admin has to mend', { skip }, async (t) => {
  const machine = await machineWithPackage(t);
  const client = new Client();
  await serve(machine, blockOf(client, name));
  await update(machine, client, name, '127.1.0.1');

  await t.test('a bad block is named by file and line, and the others stay in force', async () => {
    const text = machine.read(zone);
    machine.write(zone, `# dynamic: 0 nonsense\n+other.example.net:192.0.2.1:60\n\n${text}`);
    await update(machine, client, name, '127.1.0.2');
    const problems = await machine.journal({
      unit: service,
      match: ['MESSAGE_ID=f54dd3c58ca548238b54884188926541'],
    });
    assert.match(problems.map(({ MESSAGE }) => MESSAGE).join('\n'), new RegExp(`^${zone}:1: `, 'm'));
    machine.write(zone, machine.read(zone).split('\n').slice(3).join('\n'));
  });

  await t.test('a zone that is away is said in systemctl status, and taken up when it is back', async () => {
    await machine.must('mv', zone, `${zone}.away`);
    await machine.until('the trouble in the status', async () =>
      /E?no such file|ENOENT/i.test(await statusText(machine)),
    );
    const { stdout } = await machine.run('systemctl', 'status', service);
    assert.match(stdout, /Status: ".*\/srv\/dns\/data/);
    await machine.must('mv', `${zone}.away`, zone);
    await update(machine, client, name, '127.1.0.3');
    await machine.until('a status without trouble', async () =>
      /^\d+ address line/.test(await statusText(machine)),
    );
  });

  await t.test(
    'a full disk below the state stops nothing, and what came meanwhile is taken in when there is room',
    async () => {
      await machine.systemctl('stop', service);
      await machine.must('mount', '-t', 'tmpfs', '-o', 'size=256k,mode=700,uid=lares-ddns', 'tmpfs', state);
      // It watches what lies below.
      await machine.systemctl('restart', 'lares-ddns-publish.path');
      await machine.run('sh', '-c', `head -c 1M /dev/zero > ${state}/fill`);
      await machine.send(port, [{ bytes: client.packet(), from: '127.1.0.4' }]);
      await machine.until('the degraded start', async () => /^cannot work: /.test(await statusText(machine)));
      assert.equal(await machine.show(socket, 'ActiveState'), 'active');
      await machine.must('rm', `${state}/fill`);
      await machine.systemctl('reload', service);
      await machine.until('work', async () => /^\d+ address line/.test(await statusText(machine)));
      await update(machine, client, name, '127.1.0.5');

      // It fills up while the receiver runs.
      await machine.run('sh', '-c', `head -c 1M /dev/zero > ${state}/fill`);
      await machine.send(port, [{ bytes: client.packet(), from: '127.1.0.6' }]);
      await machine.until('the trouble in the status', async () =>
        /cannot write the state|lay out/.test(await statusText(machine)),
      );
      await machine.must('rm', `${state}/fill`);
      await machine.until('the update', async () => (await answerFor(machine, name)) === '127.1.0.6');
      await machine.systemctl('stop', service, 'lares-ddns-publish.path', publish);
      await machine.must('umount', state);
      await machine.systemctl('start', 'lares-ddns-publish.path');
    },
  );

  await t.test('a hook that fails is run again until it succeeds, and hears all that changed', async () => {
    const script = `#!/bin/sh\ncat >> ${state}/heard\n[ -e /srv/dns/well ] && exec ${hook}\necho no luck >&2\nexit 7\n`;
    machine.write('/srv/dns/hook', script, 0o755);
    await machine.must('lares', 'ddns', 'setup', '--hook', '/srv/dns/hook', zone);
    await machine.writeUnits({ [`${publish}.d/90-test.conf`]: '[Service]\nRestartSec=1s\n' });
    await machine.systemctl('restart', service);
    await machine.send(port, [{ bytes: client.packet(), from: '127.1.0.7' }]);
    await machine.until('a second run', async () => Number(await machine.show(publish, 'NRestarts')) > 1);
    const said = await machine.journal({ unit: publish, match: ['SYSLOG_IDENTIFIER=lares-ddns-publish'] });
    assert.ok(said.some(({ MESSAGE }) => MESSAGE === 'no luck'));
    const asked = JSON.parse(await machine.must('lares', 'ddns', 'status', '--json')) as {
      unpublished: number;
    };
    assert.equal(asked.unpublished, 1);
    await machine.must('touch', '/srv/dns/well');
    await machine.until('the answer', async () => (await answerFor(machine, name)) === '127.1.0.7');
    await machine.until('an empty spool', () => !existsSync(machine.path(`${state}/publish/running`)));
    assert.match(
      machine.read(`${state}/heard`),
      new RegExp(`"name":"${name}","type":"A","from":"[0-9.]+","to":"127.1.0.7"`),
    );
  });

  await t.test('changes that a power cut left with the hook are published when the units start', async () => {
    await machine.systemctl('stop', 'lares.target', 'lares-ddns-publish.path', socket, service);
    await machine.must('rm', '-f', '/srv/dns/data.cdb', `${state}/heard`);
    machine.write(
      `${state}/publish/running`,
      `{"keyId":"k","name":"${name}","type":"A","from":"","to":"127.1.0.7"}\n`,
    );
    await machine.must('chown', '-R', 'lares-ddns:', `${state}/publish`);
    await machine.systemctl('start', socket);
    await machine.until('the answer', async () => (await answerFor(machine, name)) === '127.1.0.7');
    assert.equal(
      await machine.show(service, 'ActiveState'),
      'inactive',
      'the receiver was not needed for it',
    );
  });

  await t.test('without a hook changes do not wait for one', async () => {
    await machine.must('rm', '/etc/lares/ddns.conf.d/50-zone.conf');
    machine.write('/etc/lares/ddns.conf', `[Receiver]\nAllowAddresses=127.0.0.0/8\nZone=${zone}\n`);
    await machine.send(port, [{ bytes: client.packet(), from: '127.1.0.8' }]);
    await machine.until('the update', () => machine.read(zone).includes(':127.1.0.8:'));
    await machine.until('nothing to publish', async () => {
      const asked = JSON.parse(await machine.must('lares', 'ddns', 'status', '--json')) as {
        unpublished: number;
      };
      return asked.unpublished === 0;
    });
    assert.equal(await answerFor(machine, name), '127.1.0.7');
  });

  assert.deepEqual(await machine.failed(), []);
});
