// Names of peers, from files and from WireGuard's tool, and the metrics that carry them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { metricsText } from '../../daemons/traffic/core/metrics.ts';
import { Names, parseAllowedIps, parseNames } from '../../daemons/traffic/core/naming.ts';
import type { Series, Sums } from '../../daemons/traffic/core/tally.ts';

const namesOf = (text: string): Names => new Names(parseNames(text).named);
const publicKey = `${'Ab+/'.repeat(10)}xyz=`;
const formatted = (text: string): [string, string][] =>
  parseNames(text).named.map(({ network: [base, bits], name }) => [`${base.toString()}/${bits}`, name]);

test('a line is an address, a network or a public key, and a name', () => {
  const text = `192.0.2.7 laptop\n10.8.0.0/24\tthe whole office \nfd00::/8  six\n${publicKey} phone\n`;
  assert.deepEqual(formatted(text), [
    ['192.0.2.7/32', 'laptop'],
    ['10.8.0.0/24', 'the whole office'],
    ['fd00::/8', 'six'],
  ]);
  const { keys, problems } = parseNames(text);
  assert.deepEqual([...keys], [[publicKey, 'phone']]);
  assert.deepEqual(problems, []);
});

test('comments and blank lines say nothing, and a # within a name is part of it', () => {
  const text = '# all\n\n   \n192.0.2.7 a # the first\n192.0.2.8 b#2\n  # end\n#192.0.2.9 c';
  assert.deepEqual(formatted(text), [
    ['192.0.2.7/32', 'a'],
    ['192.0.2.8/32', 'b#2'],
  ]);
  assert.deepEqual(parseNames(text).problems, []);
});

test('a file with line ends of another system has the same names', () => {
  const text = '# all\n192.0.2.7 a # the first\n192.0.2.8 b\n';
  assert.deepEqual(parseNames(text.replaceAll('\n', '\r\n')), parseNames(text));
});

test('bad lines are problems with their number, and the others hold', () => {
  const lines = [
    '192.0.2.7',
    '192.0.2.8 good',
    '10.0.0.0/33 x',
    `host ${'n'.repeat(80)}`,
    '192.0.2.9 a\u0007b',
  ];
  const text = [...lines, `192.0.2.9 ${'n'.repeat(81)}`].join('\n');
  assert.deepEqual(formatted(text), [['192.0.2.8/32', 'good']]);
  assert.deepEqual(
    parseNames(text).problems.map(({ line, message }) => `${line} ${message}`),
    [
      "1 '192.0.2.7' is no 'ADDRESS NAME', ignored",
      "3 '10.0.0.0/33' is no network; write for example 192.168.0.0/16 or fd00::/8, ignored",
      "4 'host' is no network; write for example 192.168.0.0/16 or fd00::/8, ignored",
      '5 a name has at most 80 characters and no control characters, ignored',
      '6 a name has at most 80 characters and no control characters, ignored',
    ],
  );
});

test('any text gives names and problems, one of them for each line that is not blank', () => {
  const piece = fc.constantFrom(
    '10.0.0.1',
    '10.0.0.0/8',
    'fd00::/8',
    publicKey,
    ' ',
    '\t',
    '\n',
    '#',
    'a',
    '\0',
    '/',
  );
  const text = fc.array(fc.oneof(piece, fc.string({ unit: 'binary', maxLength: 3 })), { maxLength: 30 });
  fc.assert(
    fc.property(text, (pieces) => {
      const whole = pieces.join('');
      const { named, keys, problems } = parseNames(whole);
      const lines = whole.split('\n');
      assert.ok(named.length + keys.size + problems.length <= lines.length);
      assert.ok(problems.every(({ line }) => (lines[line - 1] ?? '').trim() !== ''));
      assert.ok(
        [...named.map(({ name }) => name), ...keys.values()].every((name) => /^[^\p{Cc}]{1,80}$/u.test(name)),
      );
    }),
  );
});

test('of more names than there may be the rest is one problem', () => {
  const text = Array.from(
    { length: 100_002 },
    (_, index) => `10.${index >> 16}.${(index >> 8) & 255}.${index & 255} n`,
  );
  const { named, problems } = parseNames(text.join('\n'));
  assert.equal(named.length, 100_000);
  assert.deepEqual(problems, [{ line: 100_001, message: 'more than 100000 names, the rest is ignored' }]);
});

test('the longest network that an address lies in has its name, in whatever order they stand', () => {
  const lines = ['10.0.0.0/8 wide', '10.8.0.0/16 middle', '10.8.0.5 host', '0.0.0.0/0 rest', 'fd00::/8 six'];
  for (const text of [lines, lines.toReversed()]) {
    const names = namesOf(text.join('\n'));
    assert.deepEqual(
      ['10.8.0.5', '10.8.0.6', '10.9.0.5', '192.0.2.1', 'fd12::1', '2001:db8::1', 'other'].map((peer) =>
        names.nameOf(peer),
      ),
      ['host', 'middle', 'wide', 'rest', 'six', '2001:db8::1', 'other'],
    );
  }
});

test('of two names for one network the first has it', () => {
  assert.equal(namesOf('10.0.0.1 a\n10.0.0.1/32 b').nameOf('10.0.0.1'), 'a');
});

test('a group has the name of a network that it lies in as a whole', () => {
  const names = namesOf('10.8.0.5 host\n10.8.0.0/24 office\n10.0.0.0/8 wide\nfd00:1::/32 six');
  assert.deepEqual(
    [
      '10.8.0.0/24',
      '10.8.0.0/16',
      '10.9.0.0/24',
      '10.0.0.0/7',
      'fd00:1::/64',
      'fd00:1::/32',
      'fd00::/16',
    ].map((peer) => names.nameOf(peer)),
    ['office', 'wide', 'wide', '10.0.0.0/7', 'six', 'six', 'fd00::/16'],
  );
});

test('names stay right when more peers were asked for than are remembered', () => {
  const names = namesOf('10.0.0.0/8 wide\n10.0.0.1 first');
  for (let index = 0; index < 20_000; index += 1)
    assert.equal(names.nameOf(`10.1.${index >> 8}.${index & 255}`), 'wide');
  assert.equal(names.nameOf('10.0.0.1'), 'first');
});

test('what wg prints names the networks of its peers, by their names or their keys', () => {
  const text = `${publicKey}\t10.8.0.2/32 fd00::2/128\nUnknown=\t10.8.0.3/32\nNobody=\t(none)\n`;
  assert.deepEqual(
    parseAllowedIps(text, new Map([[publicKey, 'phone']])).map(({ network: [base, bits], name }) => [
      `${base.toString()}/${bits}`,
      name,
    ]),
    [
      ['10.8.0.2/32', 'phone'],
      ['fd00::2/128', 'phone'],
      ['10.8.0.3/32', 'Unknown='],
    ],
  );
  assert.deepEqual(parseAllowedIps('', new Map()), []);
});

const row = (peer: string, total: Sums, more: Partial<Series> = {}): Series & { total: Sums } => ({
  className: 'all',
  peer,
  family: 4,
  protocol: 6,
  ...more,
  total,
});
const health = { flows: 3, drops: 4, crashes: 1, lostFlows: 2, lostBytes: 500 };
const lines = (text: string, name: string): string[] =>
  text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));

test('metrics are the four sums of each series, sorted, and the health of the whole', () => {
  const rows = [
    row('192.0.2.9', [1, 2, 3, 4]),
    row('2001:db8::1', [5, 6, 7, 8], { family: 6, protocol: 17, className: 'web' }),
  ];
  const text = metricsText(rows.toReversed(), new Names([]), health);
  const first = 'class="all",family="ipv4",peer="192.0.2.9",protocol="tcp"';
  const second = 'class="web",family="ipv6",peer="2001:db8::1",protocol="udp"';
  const kinds = ['receive_bytes', 'transmit_bytes', 'receive_packets', 'transmit_packets'];
  for (const [index, kind] of kinds.entries()) {
    const name = `lares_traffic_${kind}_total`;
    assert.deepEqual(lines(text, name), [
      `${name}{${first}} ${index + 1}`,
      `${name}{${second}} ${index + 5}`,
    ]);
    assert.ok(text.includes(`# TYPE ${name} counter\n`));
  }
  const singles = [
    'flows 3',
    'dropped_events_total 4',
    'crashes_total 1',
    'lost_tail_flows 2',
    'lost_tail_bytes 500',
  ];
  for (const single of singles) assert.ok(text.includes(`\nlares_traffic_${single}\n`), single);
});

test('every line of the metrics is a HELP, a TYPE or a sample, and the last one ends', () => {
  const text = metricsText([row('192.0.2.9', [1, 2, 3, 4])], namesOf('192.0.2.9 a "b" \\ c'), health);
  assert.ok(text.endsWith('\n'));
  const sample = /^\w+(\{(\w+="([^"\\]|\\["\\n])*",?)+\})? \d+$/;
  const kinds = text.trimEnd().split('\n');
  assert.deepEqual(
    kinds.filter((line) => !/^# (HELP \w+ .+|TYPE \w+ (counter|gauge))$/.test(line) && !sample.test(line)),
    [],
  );
  const typed = kinds.flatMap((line) => /^# TYPE (\w+)/.exec(line)?.[1] ?? []);
  assert.equal(new Set(typed).size, typed.length);
});

test('a label quotes backslash, quote and line end', () => {
  const { network } = parseNames('192.0.2.9 x').named[0] ?? assert.fail();
  const names = new Names([{ network, name: 'a\\b"c\nd' }]);
  const text = metricsText([row('192.0.2.9', [1, 2, 3, 4])], names, health);
  assert.ok(text.includes(',peer="a\\\\b\\"c\\nd",'), text);
});

test('two peers with one name are one series, unless they differ in another label', () => {
  const names = namesOf('10.8.0.0/24 office');
  const rows = [
    row('10.8.0.1', [1, 2, 3, 4]),
    row('10.8.0.2', [10, 20, 30, 40]),
    row('10.8.0.2', [5, 5, 5, 5], { protocol: 17 }),
  ];
  assert.deepEqual(lines(metricsText(rows, names, health), 'lares_traffic_transmit_packets_total'), [
    'lares_traffic_transmit_packets_total{class="all",family="ipv4",peer="office",protocol="tcp"} 44',
    'lares_traffic_transmit_packets_total{class="all",family="ipv4",peer="office",protocol="udp"} 5',
  ]);
});
