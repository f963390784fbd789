// Goal: who has reached a quota is told of by the admin's program, once, over restarts, and a program that fails is run
// again.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Alert } from '../../daemons/traffic/core/quota.ts';
import { Accounting } from '../support/accounting.ts';
import { root } from '../support/daemon.ts';
import { lacksTracking } from '../support/netns.ts';
import { until } from '../support/wait.ts';

const skip = lacksTracking();
const stream = { firstPort: 30_000, ports: 10, packets: 1, payload: 972, perSecond: 0 };

interface Watching {
  said: () => string;
  reload: () => void;
  stop: () => Promise<number | null>;
}

function watch(t: TestContext, accounting: Accounting): Watching {
  const script = path.join(root, 'test/support/notify-daemon.ts');
  const state = path.join(accounting.folder, 'told-state');
  const argv = [
    '--disable-warning=ExperimentalWarning',
    script,
    accounting.control,
    '--conf',
    accounting.conf,
  ];
  const child = spawn(process.execPath, [...argv, '--state', state, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  return {
    said: () => said,
    reload: () => child.kill('SIGHUP'),
    stop: async () => {
      child.kill('SIGTERM');
      await once(child, 'exit');
      return child.exitCode;
    },
  };
}

test('who has reached a quota is told of once, and a program that fails is run again', {
  skip,
}, async (t) => {
  const accounting = new Accounting(t);
  const told = path.join(accounting.folder, 'told');
  const program = path.join(accounting.folder, 'tell');
  const mends = path.join(accounting.folder, 'mended');
  writeFileSync(
    program,
    `#!/bin/sh\n[ -e '${mends}' ] || { echo not yet >&2; exit 3; }\nexec cat >> '${told}'\n`,
  );
  chmodSync(program, 0o755);
  accounting.configure([
    ...['[Accounting]', 'Interval=1s', '[Notify]', `Program=${program}`],
    ...['[Quota small]', 'Limit=10K', 'Per=day', '[Quota large]', 'Limit=1G'],
  ]);
  await accounting.start();
  await accounting.send({ ...stream, sources: ['8.64.0.1'], ports: 20 });
  await accounting.send({ ...stream, sources: ['8.64.0.2'] });
  await accounting.agrees();
  const first = watch(t, accounting);
  await until('word of the failure', () =>
    /8\.64\.0\.1 has reached quota small.*failed: exit status 3: not yet/.test(first.said()),
  );
  writeFileSync(mends, '');
  first.reload();
  await until('the alert', () => existsSync(told) && readFileSync(told, 'utf8').endsWith('\n'), first.said);
  await until('word of it', () => first.said().includes('8.64.0.1 has reached quota small of'));
  const alert = JSON.parse(readFileSync(told, 'utf8')) as Alert;
  assert.deepEqual(
    [alert.quota, alert.peer, alert.limitBytes, alert.rxBytes, alert.txBytes],
    ['small', '8.64.0.1', 10_240, 0, 20_000],
  );
  assert.match(alert.period, /^\d{4}-\d\d-\d\d$/);
  assert.equal(await first.stop(), 0);
  // The next run knows; another peer that comes to its limit is news.
  await accounting.send({ ...stream, sources: ['8.64.0.2'] });
  await accounting.agrees();
  const second = watch(t, accounting);
  await until('the second alert', () => readFileSync(told, 'utf8').split('\n').length === 3, second.said);
  second.reload();
  await sleep(1_000);
  const peers = readFileSync(told, 'utf8')
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as Alert).peer);
  assert.deepEqual(peers, ['8.64.0.1', '8.64.0.2']);
  assert.equal(await second.stop(), 0);
});
