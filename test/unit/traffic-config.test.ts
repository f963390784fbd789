// The keys of traffic.conf: what each takes and what it refuses, and the classes that its sections make.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { classesOf, config, quotasOf } from '../../daemons/traffic/config.ts';
import { loadConfig, renderConfig, renderSample } from '../../lib/config.ts';
import { scratch } from '../support/scratch.ts';

type Field = keyof typeof config;
const day = 86_400_000;

function load(t: TestContext, text: string) {
  const file = path.join(scratch(t), 'traffic.conf');
  writeFileSync(file, text);
  const loaded = loadConfig(config, [file]);
  return {
    ...loaded,
    problems: loaded.problems.map(({ place, message }) => `${place.slice(file.length + 1)}: ${message}`),
  };
}

test('without a file every flow is counted, as class all', () => {
  const { values, problems, missing } = loadConfig(config, []);
  assert.deepEqual([problems, missing], [[], []]);
  assert.deepEqual(classesOf(values), [
    { name: 'all', mark: undefined, protocols: undefined, ports: undefined },
  ]);
  assert.equal(values.intervalMs, 10_000);
  assert.equal(values.reliable, false);
  assert.equal(values.maxPeers, 4_096);
  assert.deepEqual([values.groupPrefix4, values.groupPrefix6], [32, 128]);
  assert.deepEqual([values.names, values.local], [[], []]);
  assert.deepEqual(
    [values.keepIntervalsMs, values.keepHoursMs, values.keepDaysMs],
    [2 * day, 62 * day, 3_660 * day],
  );
  assert.equal(values.carbonAddress, undefined);
  assert.deepEqual([values.carbonPrefix, values.textfile], ['lares.traffic', '']);
});

const good: [Field, string, unknown][] = [
  ['intervalMs', '1s', 1_000],
  ['intervalMs', '60', 60_000],
  ['intervalMs', '1h', 3_600_000],
  ['reliable', 'yes', true],
  ['reliable', 'ON', true],
  ['reliable', '1', true],
  ['reliable', 'false', false],
  ['reliable', 'Off', false],
  ['maxPeers', '1', 1],
  ['maxPeers', '1000000', 1_000_000],
  ['groupPrefix4', '0', 0],
  ['groupPrefix4', '24', 24],
  ['groupPrefix6', '128', 128],
  ['names', '/etc/lares/names, wireguard:wg0  /b', ['/etc/lares/names', 'wireguard:wg0', '/b']],
  ['keepIntervalsMs', '1h', 3_600_000],
  ['keepIntervalsMs', '366d', 366 * day],
  ['keepHoursMs', '1d', day],
  ['keepDaysMs', '36600d', 36_600 * day],
  ['classMark', '', undefined],
  ['classMark', '0x10/0x30', { value: 0x10, mask: 0x30 }],
  ['classMark', '0X1f', { value: 0x1f, mask: 0xffff_ffff }],
  ['classMark', '16/16', { value: 16, mask: 16 }],
  ['classMark', '0xffffffff/0xffffffff', { value: 0xffff_ffff, mask: 0xffff_ffff }],
  ['classMark', '4294967295', { value: 0xffff_ffff, mask: 0xffff_ffff }],
  ['classMark', '0/0x10', { value: 0, mask: 0x10 }],
  ['classProtocol', '', undefined],
  ['classProtocol', 'tcp, UDP 47', [6, 17, 47]],
  ['classPort', '', undefined],
  ['classPort', '1194', [{ first: 1_194, last: 1_194 }]],
  [
    'classPort',
    '1, 5000-5010 65535',
    [
      { first: 1, last: 1 },
      { first: 5_000, last: 5_010 },
      { first: 65_535, last: 65_535 },
    ],
  ],
  ['carbonAddress', '', undefined],
  ['carbonAddress', 'graphite.example.net:2003', { host: 'graphite.example.net', port: 2_003 }],
  ['carbonAddress', '192.0.2.1:1', { host: '192.0.2.1', port: 1 }],
  ['carbonAddress', '[2001:db8::1]:65535', { host: '2001:db8::1', port: 65_535 }],
  ['carbonPrefix', 'a', 'a'],
  ['carbonPrefix', 'host-1.lares_x.y', 'host-1.lares_x.y'],
  ['textfile', '', ''],
  ['textfile', '/run/lares-traffic/traffic.prom', '/run/lares-traffic/traffic.prom'],
];

const bad: [Field, string[], RegExp][] = [
  ['intervalMs', ['0', '999ms', '1500ms', '3601s', '2h'], /^not a whole number of seconds from 1s to 1h$/],
  ['intervalMs', ['', 'soon', '-1s'], /is not a time span/],
  ['reliable', ['', 'maybe', '2', 'yess'], /^not yes or no$/],
  [
    'maxPeers',
    ['', '0', '1000001', '1e3', '-1', '1.5', '9'.repeat(20)],
    /^not a whole number from 1 to 1000000$/,
  ],
  ['groupPrefix4', ['33', '/24'], /^not a whole number from 0 to 32$/],
  ['groupPrefix6', ['129'], /^not a whole number from 0 to 128$/],
  [
    'names',
    ['names', './names', 'wireguard:', 'wireguard:a/b', `wireguard:${'w'.repeat(16)}`],
    /neither an absolute/,
  ],
  ['names', ['/good bad'], /^'bad' is neither an absolute path nor wireguard:INTERFACE$/],
  ['local', ['10.0.0.0/33', 'host', '10.0.0.0/8 x'], /is no network/],
  ['keepIntervalsMs', ['59min', '367d'], /^not from 1h to 366d$/],
  ['keepHoursMs', ['23h', '3661d'], /^not from 1d to 3660d$/],
  ['keepDaysMs', ['23h', '36601d'], /^not from 1d to 36600d$/],
  [
    'classMark',
    ['x', '0x', '0x10/', '/0x10', '0x10/0x10/0x10', '0x100000000', '4294967296', '-1'],
    /^not a mark/,
  ],
  ['classMark', ['0x11/0x10', '0x80000000/1', '1/0'], /^the value has bits outside its mask/],
  ['classProtocol', ['http', '256', 'tcp http'], /is no protocol; write tcp, udp, icmp or a number to 255$/],
  [
    'classPort',
    ['0', '65536', '5010-5000', '1-', '-1', '0-5', 'ssh', '1-65536', '22 x'],
    /is no port; write/,
  ],
  [
    'carbonAddress',
    ['host', 'host:', 'host:0', 'host:65536', ':2003', '::1:2003', '[::1]', 'a b:1'],
    /^not HOST:PORT/,
  ],
  ['carbonPrefix', ['', '.', 'a.', '.a', 'a..b', 'a b', 'a/b', 'ä'], /^not words of letters/],
  ['textfile', ['traffic.prom', './a'], /^not an absolute path$/],
];

for (const [field, text, value] of good) {
  test(`${config[field].key}=${text} is taken`, () => {
    assert.deepEqual(config[field].parse(text), value);
  });
}

for (const [field, texts, message] of bad) {
  test(`${config[field].key}= takes none of: ${texts
    .map((text) => `'${text}'`)
    .join(', ')
    .slice(0, 60)}`, () => {
    for (const text of texts) assert.throws(() => config[field].parse(text), { message }, text);
  });
}

test('networks that are ours are a list', () => {
  assert.deepEqual(
    config.local.parse('10.0.0.0/8, fd00::/8 192.0.2.1').map(([base, bits]) => `${base.toString()}/${bits}`),
    ['10.0.0.0/8', 'fd00::/8', '192.0.2.1/32'],
  );
});

test('each [Class NAME] is a class, in the order of the file, with what it does not say left open', (t) => {
  const text = [
    '[Class vpn]\nPort=1194\nProtocol=udp tcp',
    '[Accounting]\nInterval=30s',
    '[Class guests]\nMark=0x10/0x10',
    '[Class a.b-c_1]\nProtocol=icmp',
    '[Class rest]\nMark=',
  ];
  const { values, problems } = load(t, text.join('\n'));
  assert.deepEqual(problems, []);
  assert.equal(values.intervalMs, 30_000);
  assert.deepEqual(classesOf(values), [
    { name: 'vpn', mark: undefined, protocols: [17, 6], ports: [{ first: 1_194, last: 1_194 }] },
    { name: 'guests', mark: { value: 0x10, mask: 0x10 }, protocols: undefined, ports: undefined },
    { name: 'a.b-c_1', mark: undefined, protocols: [1], ports: undefined },
    { name: 'rest', mark: undefined, protocols: undefined, ports: undefined },
  ]);
});

test('a class with a bad value counts nothing, the others stay as they are', (t) => {
  const { values, problems } = load(t, '[Class vpn]\nPort=1194\nMark=many\n[Class web]\nPort=443\n');
  assert.deepEqual(
    classesOf(values).map(({ name }) => name),
    ['web'],
  );
  assert.deepEqual(problems, [
    '3: Mark=many: not a mark; write for example 0x10/0x10; [Class vpn] is left out',
  ]);
});

test('the sample as it stands changes nothing and has no problem', (t) => {
  const { values, problems } = load(t, renderSample(config, 'traffic'));
  assert.deepEqual(problems, []);
  assert.deepEqual(values, loadConfig(config, []).values);
});

test('the sample with its keys uncommented is the default, with a class that has everything', (t) => {
  const sample = renderSample(config, 'traffic').replace(/^#(?=\w+=)/gm, '');
  const assigned = sample.split('\n').filter((line) => /^\w+=/.test(line));
  assert.equal(assigned.length, Object.keys(config).length);
  const { values, problems } = load(t, sample.replaceAll(/\[(Class|Quota) NAME\]/g, '[$1 one]'));
  assert.deepEqual(problems, []);
  const { classMark, classProtocol, classPort, ...others } = loadConfig(config, []).values;
  assert.deepEqual([classMark.size, classProtocol.size, classPort.size], [0, 0, 0]);
  for (const [field, value] of Object.entries(others))
    if (!field.startsWith('quota')) assert.deepEqual(values[field as Field], value, field);
  assert.deepEqual(quotasOf(values), []);
  assert.deepEqual(classesOf(values), [
    { name: 'one', mark: undefined, protocols: undefined, ports: undefined },
  ]);
});

test('what is printed of a configuration reads back to the same', (t) => {
  const first = load(
    t,
    '[Class b]\nPort=1-5\n[Accounting]\nNames=/a wireguard:wg0\nLocal=10.0.0.0/8\nReliable=yes\n' +
      '[Carbon]\nAddress=[::1]:2003\n[Class a]\nMark=0x1/0x3\nProtocol=tcp\n',
  );
  const second = load(t, renderConfig(config, first.texts, first.named));
  assert.deepEqual([...first.problems, ...second.problems], []);
  assert.deepEqual(second.values, first.values);
  assert.deepEqual(classesOf(second.values), classesOf(first.values));
});

test('quotas have a size and a period, and one without a limit is none', (t) => {
  const text =
    '[Quota month]\nLimit=1.5G\n[Quota ben]\nLimit=10 K\nPer=day\nPeer=phone of ben\n[Quota none]\nPer=day\n';
  const { values, problems } = load(t, text);
  assert.deepEqual(problems, []);
  assert.deepEqual(quotasOf(values), [
    { name: 'month', limit: 1.5 * 2 ** 30, per: 'month', peer: '' },
    { name: 'ben', limit: 10_240, per: 'day', peer: 'phone of ben' },
  ]);
  for (const bad of ['Limit=0', 'Limit=-1', 'Limit=5X', 'Limit=9999999P', 'Per=week']) {
    const { values, problems, missing } = load(t, `[Quota a]\nLimit=5\n${bad}\n`);
    assert.equal(problems.length, 1, bad);
    assert.deepEqual(quotasOf(values), []);
    // The accounting does not stand still for it.
    assert.deepEqual(missing, []);
  }
});
