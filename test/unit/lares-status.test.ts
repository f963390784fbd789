// `lares status` and `lares doctor`: facts of systemd in, rows and advice out. The adapter asks tools of ours that
// speak as systemctl and journalctl do; the real ones are asked in the system tier.
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import test from 'node:test';
import { examineSetup } from '../../daemons/ddns/examine.ts';
import { planFor } from '../../daemons/ddns/verbs/setup.ts';
import { examineUnits, rowOf } from '../../daemons/lares/core/verdict.ts';
import { doctor } from '../../daemons/lares/doctor.ts';
import { status } from '../../daemons/lares/status.ts';
import type { Finding, Io } from '../../lib/command.ts';
import { examineControl } from '../../lib/examine.ts';
import {
  factsOf,
  lastRecordOf,
  parseRecord,
  type Systemd,
  type UnitFacts,
  versionOf,
} from '../../lib/systemd.ts';
import { type Owner, scratch } from '../support/scratch.ts';

const unit = (name: string, more: Partial<UnitFacts> = {}): UnitFacts => ({
  name,
  load: 'loaded',
  active: 'inactive',
  sub: 'dead',
  enabled: 'disabled',
  result: 'success',
  status: '',
  ...more,
});
const listening = unit('x.socket', { active: 'active', sub: 'listening', enabled: 'enabled' });
const running = unit('x.service', {
  active: 'active',
  sub: 'running',
  enabled: 'static',
  status: 'all well',
});
const failed = unit('x.socket', { active: 'failed', sub: 'failed', result: 'trigger-limit-hit' });

test('a running service is awake and says its status', () => {
  const { state, status: said } = rowOf('x', [listening, running], undefined);
  assert.deepEqual([state, said], ['awake', 'all well']);
});

test('a daemon that is starting is awake', () => {
  assert.equal(rowOf('x', [unit('x.service', { active: 'activating' })], undefined).state, 'awake');
});

test('a service that fails and is started again and again has failed', () => {
  const failing = unit('x.service', { active: 'activating', sub: 'auto-restart', result: 'exit-code' });
  const { state, status: said } = rowOf('x', [failing], undefined);
  assert.deepEqual([state, said], ['failed', 'x.service failed (exit-code)']);
});

test('with its socket open and no process it is asleep, and an old status is not its status', () => {
  const { state, status: said } = rowOf('x', [listening, unit('x.service', { status: 'old' })], undefined);
  assert.deepEqual([state, said], ['asleep', '']);
});

test('one failed unit makes the daemon failed, whatever the others do, and is named', () => {
  const { state, status: said } = rowOf('x', [failed, running], undefined);
  assert.deepEqual([state, said], ['failed', 'x.socket failed (trigger-limit-hit); all well']);
});

test('what nothing would wake is off, what has no units is not installed', () => {
  assert.equal(rowOf('x', [unit('x.socket'), unit('x.service')], undefined).state, 'off');
  assert.equal(rowOf('x', [unit('x.socket', { load: 'not-found' })], undefined).state, 'not installed');
});

const troubles = (findings: Finding[]): string[] =>
  findings.filter(({ health }) => health !== 'ok').map(({ text, advice }) => `${text} → ${advice ?? ''}`);

test('units that are well need no advice', () => {
  assert.deepEqual(troubles(examineUnits([listening, running])), []);
});

test('each trouble of units says what to type', () => {
  assert.deepEqual(troubles(examineUnits([unit('x.socket', { load: 'not-found' })])), [
    'not installed → make install',
  ]);
  assert.deepEqual(troubles(examineUnits([unit('x.socket'), running])), [
    'x.socket is off → systemctl enable --now x.socket',
  ]);
  assert.deepEqual(troubles(examineUnits([unit('x.socket', { enabled: 'enabled' })])), [
    'x.socket is enabled but off → systemctl start x.socket',
  ]);
  assert.deepEqual(troubles(examineUnits([failed])), [
    'x.socket failed (trigger-limit-hit) → journalctl -e -u x.socket, then systemctl restart x.socket',
  ]);
  assert.deepEqual(troubles(examineUnits([listening, unit('x.path', { load: 'not-found' })])), [
    'missing: x.path → install the package again',
  ]);
  assert.deepEqual(troubles(examineUnits([{ ...listening, enabled: 'disabled' }])), [
    'x.socket: listening, but not after the next boot → systemctl enable x.socket',
  ]);
});

test('a record of the journal may be text, bytes, or too long to be shown', () => {
  const line = (message: unknown): string =>
    JSON.stringify({ MESSAGE: message, __REALTIME_TIMESTAMP: '1700000000123456' });
  assert.deepEqual(parseRecord(line('x=y')), { atMs: 1_700_000_000_123.456, text: 'x=y' });
  assert.equal(parseRecord(line([104, 105]))?.text, 'hi');
  assert.equal(parseRecord(line(null))?.text, '');
  for (const broken of ['', '{', 'null', '{}', '[]']) assert.equal(parseRecord(broken), undefined, broken);
});

/** Tools that answer with `show` and `record`; without `show` systemctl fails. */
function fake(t: Owner, show: string | undefined, record = ''): Systemd {
  const folder = scratch(t);
  const tool = (name: string, body: string): void => {
    writeFileSync(path.join(folder, name), `#!/bin/sh\n${body}\n`);
    chmodSync(path.join(folder, name), 0o755);
  };
  writeFileSync(path.join(folder, 'show'), show ?? '');
  writeFileSync(path.join(folder, 'record'), record);
  const answer = show === undefined ? 'exit 1' : `cat ${folder}/show`;
  tool('systemctl', `[ "$1" = --version ] && echo 'systemd 252 (252.39-1)' && exit\n${answer}`);
  tool('journalctl', `cat ${folder}/record`);
  mkdirSync(path.join(folder, 'booted'));
  return { tools: folder, booted: path.join(folder, 'booted') };
}

const show = `Result=success
Id=lares-ddns.socket
LoadState=loaded
ActiveState=active
SubState=listening
UnitFileState=enabled

Result=success
StatusText=1 name; a=b
Id=lares-ddns.service
LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=static
`;

test('facts keep the order that was asked for, and what systemd does not name is not found', (t) => {
  const at = fake(t, show);
  const facts = factsOf(at, ['lares-ddns.service', 'lares-ddns.socket', 'other.path']);
  assert.deepEqual(
    facts?.map(({ name, load, status: said }) => [name, load, said]),
    [
      ['lares-ddns.service', 'loaded', '1 name; a=b'],
      ['lares-ddns.socket', 'loaded', ''],
      ['other.path', 'not-found', ''],
    ],
  );
  assert.equal(versionOf(at), 252);
});

test('tools that fail or are not there are no answer, and no crash', (t) => {
  assert.equal(factsOf(fake(t, undefined), ['x']), undefined);
  const nowhere = { tools: '/nonexistent', booted: '/nonexistent' };
  assert.equal(lastRecordOf(nowhere, ['x']), undefined);
  assert.equal(versionOf(nowhere), undefined);
});

function listen(): { io: Io; heard: () => string } {
  let text = '';
  const out = (part: string): void => void (text += part);
  return { io: { out, err: out, exit: () => undefined, stdout: process.stderr }, heard: () => text };
}

const record = JSON.stringify({ MESSAGE: 'updated\u001b[31m a', __REALTIME_TIMESTAMP: '1700000000000000' });

test('status is a table, and what others wrote does not drive the terminal', async (t) => {
  const { io, heard } = listen();
  await status(false, io, fake(t, show, record));
  const [head, row] = heard().split('\n');
  assert.match(head ?? '', /NAME +STATE +LAST +STATUS/);
  assert.match(row ?? '', /^ddns .*awake.* 2023-11-14 22:13:20Z updated \[31m a +1 name; a=b$/);
});

test('status for scripts has the same facts', async (t) => {
  const { io, heard } = listen();
  await status(true, io, fake(t, show, record));
  const last = { atMs: 1_700_000_000_000, text: 'updated\u001b[31m a' };
  const found = JSON.parse(heard()) as { systemd: boolean; daemons: unknown[] };
  assert.equal(found.systemd, true);
  assert.deepEqual(found.daemons[0], { name: 'ddns', state: 'awake', last, status: '1 name; a=b' });
});

test('without systemd status is one line, and a systemd that does not answer is an error', async (t) => {
  const { io, heard } = listen();
  await status(false, io, { tools: '/nonexistent', booted: '/nonexistent' });
  assert.equal(heard(), 'systemd does not run here: run a daemon with lares run NOUN\n');
  await assert.rejects(status(false, io, fake(t, undefined)), { code: 'E_SYSTEMD' });
});

test('doctor speaks of units where systemd runs, and of systemd once where it does not', async (t) => {
  const booted = listen();
  await doctor(true, booted.io, fake(t, show));
  const { lares, ddns } = JSON.parse(booted.heard()) as Record<string, Finding[]>;
  assert.ok(lares?.some(({ subject, text }) => subject === 'systemd' && text === '252'));
  assert.ok(ddns?.some(({ text }) => text.startsWith('missing: lares-ddns-control.socket')));
  const bare = listen();
  await doctor(false, bare.io, { tools: '/nonexistent', booted: '/nonexistent' });
  assert.equal(bare.heard().split('does not run here').length, 2);
  assert.ok(!bare.heard().includes('units'));
});

test('drop-ins that setup would write otherwise are found, and none once they are as it writes them', (t) => {
  const folder = scratch(t);
  const zone = path.join(folder, 'data');
  writeFileSync(zone, '');
  const at = { user: 'no-such-user', root: path.join(folder, 'root') };
  const stale = (): number => examineSetup(zone, at).filter(({ subject }) => subject === 'sandbox').length;
  const { files } = planFor(zone, at);
  const dropIns = files.filter(({ file }) => file.includes('/systemd/'));
  assert.equal(stale(), dropIns.length);
  for (const { file, text } of files) {
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  assert.equal(stale(), 0);
  assert.match(examineSetup(zone, at).find(({ subject }) => subject === 'rights')?.advice ?? '', /useradd/);
});

test('a control socket that is open to everybody is found', async (t) => {
  const file = path.join(scratch(t), 's');
  assert.deepEqual(examineControl('ddns', file), []);
  const server = net.createServer().listen(file);
  t.after(() => server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  chmodSync(file, 0o660);
  assert.deepEqual(troubles(examineControl('ddns', file)), []);
  chmodSync(file, 0o666);
  assert.match(
    troubles(examineControl('ddns', file))[0] ?? '',
    /open to everybody: mode 0666 .*SocketMode=0660/,
  );
});
