// The grammar of dynamic blocks, and what is said of lines that do not fit it.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeKey, SigningKey } from '../../daemons/ddns/core/keys.ts';
import { parseZone, type Zone } from '../../daemons/ddns/core/zone.ts';

const one = new SigningKey(randomBytes(32));
const two = new SigningKey(randomBytes(32));
const keyOne = encodeKey(one.publicKey);
const keyTwo = encodeKey(two.publicKey);
const octal = '\\040\\001\\015\\270'.padEnd(16 * 4, '\\000');

const parse = (text: string): Zone => parseZone(Buffer.from(text, 'latin1'));
const field = (zone: Zone, index: number, record: number): string => {
  const block = zone.blocks[index];
  const { start = 0, end = 0 } = block?.records[record] ?? {};
  return block?.text.toString('latin1', start, end) ?? '';
};
const problems = (text: string): string[] =>
  parse(text).problems.map(({ line, severity, message }) => `${line} ${severity} ${message}`);

test('the example of the old tool is read', () => {
  const zone = parse(`+some.static.name:213.180.193.3

# dynamic: 0 ${keyOne}
+some.random.name:37.98.242.143
+extra.random.name:37.98.242.143:86400::ex
6some.random.name:2a00145040100c080000000000000066

+another.static.name:93.158.134.3
`);
  assert.equal(zone.blocks.length, 1);
  assert.deepEqual([...zone.keys.keys()], [one.keyId]);
  const [block] = zone.blocks;
  assert.deepEqual(
    block?.records.map(({ kind, name, family, line, address }) => [kind, name, family, line, address]),
    [
      ['+', 'some.random.name', 4, 4, '37.98.242.143'],
      ['+', 'extra.random.name', 4, 5, '37.98.242.143'],
      ['6', 'some.random.name', 6, 6, '2a00:1450:4010:c08::66'],
    ],
  );
  assert.equal(field(zone, 0, 1), '37.98.242.143');
  assert.equal(block.text.toString('latin1', block.stampStart, block.stampEnd), '0');
});

test('all five kinds of address lines are found, and no others', () => {
  const zone = parse(`# dynamic: 12.5 ${keyOne}
+a:192.0.2.1
=b:192.0.2.2:300
6c:${'0'.repeat(32)}
3d:${'f'.repeat(32)}:300
:e:28:${octal}:300
:f:16:\\005hello
-g:192.0.2.3
'h:text
Ci:a
&j::ns.example
.k::ns.example
@l::mx.example
Zm:a:b:1
%in:192.0.2
+n:192.0.2.4`);
  assert.deepEqual(
    zone.blocks[0]?.records.map(({ kind, name }) => kind + name),
    ['+a', '=b', '6c', '3d', ':e', '+n'],
  );
  assert.equal(zone.blocks[0].stamp, 12.5);
  assert.equal(field(zone, 0, 4), octal);
  assert.equal(zone.blocks[0].records[4]?.address, '2001:db8::');
});

test('a block ends at a blank line, at a line of blanks, and at any comment', () => {
  for (const end of ['', ' \t ', '# a word', '#', '  # dynamic', '\r']) {
    const zone = parse(`# dynamic: 0 ${keyOne}\n+a:192.0.2.1\n${end}\n+b:192.0.2.2\n`);
    assert.deepEqual(
      zone.blocks[0]?.records.map(({ name }) => name),
      ['a'],
      JSON.stringify(end),
    );
  }
});

test('the next dynamic comment opens the next block, without a blank line between', () => {
  const zone = parse(`# dynamic: 1 ${keyOne}\n+a:192.0.2.1\n  #dynamic:2 ${keyTwo}\n+b:192.0.2.2`);
  assert.deepEqual(
    zone.blocks.map(({ stamp, keyIds, records }) => [stamp, keyIds, records.map(({ name }) => name)]),
    [
      [1, [one.keyId], ['a']],
      [2, [two.keyId], ['b']],
    ],
  );
});

test('a key may stand in several blocks and a block may hold several keys', () => {
  const zone = parse(
    `# dynamic: 1 ${keyOne} ${keyTwo}\n+a:192.0.2.1\n\n# dynamic: 2 ${keyOne}\n+b:192.0.2.2\n`,
  );
  assert.deepEqual(zone.keys.get(one.keyId)?.blocks, [0, 1]);
  assert.deepEqual(zone.keys.get(two.keyId)?.blocks, [0]);
});

test('CRLF, trailing blanks and a missing last newline are fine', () => {
  const zone = parse(`# dynamic: 0 ${keyOne}\r\n+a:192.0.2.1 \t\r\n+b:192.0.2.2:300\r\n+c:192.0.2.3`);
  assert.deepEqual(
    [0, 1, 2].map((index) => field(zone, 0, index)),
    ['192.0.2.1', '192.0.2.2', '192.0.2.3'],
  );
  assert.deepEqual(zone.problems, []);
});

test('an empty address field waits for its first address', () => {
  const zone = parse(`# dynamic: 0 ${keyOne}\n+a:\n+b::300\n:c:28::300\n`);
  assert.deepEqual(
    zone.blocks[0]?.records.map(({ address }) => address),
    ['', '', ''],
  );
});

test('a byte above 127 at the end of a line belongs to the name, not to the white space', () => {
  const zone = parse(`# dynamic: 0 ${keyOne}\n+caf\u00c3\u00a0:192.0.2.1\n`);
  assert.equal(zone.blocks[0]?.records[0]?.name, 'caf\u00c3\u00a0');
  assert.equal(parse(`# dynamic: 0 ${keyOne}\n\u00a0\n+a:192.0.2.1\n`).blocks[0]?.records.length, 1);
});

test('a bad block is named by its line and left out, and the others stay in force', () => {
  const zone = parse(
    `# dynamic: 0 ${keyOne.slice(1)}\n+a:192.0.2.1\n\n# dynamic: 0 ${keyTwo}\n+b:192.0.2.2\n`,
  );
  assert.deepEqual([...zone.keys.keys()], [two.keyId]);
  assert.match(zone.problems[0]?.message ?? '', /not a key/);
  assert.equal(zone.problems[0]?.line, 1);
});

test('every way to spoil a block is found at its line', () => {
  const weak = Buffer.alloc(32).toString('base64url');
  const cases: [string, RegExp][] = [
    [`# dynamic: 0 ${weak}=\n+a:192.0.2.1`, /^1 bad .*small order/],
    [`# dynamic: 0 ${keyOne} ${keyOne}\n+a:192.0.2.1`, /^1 bad .*twice/],
    ['# dynamic: 0 \n+a:192.0.2.1', /^1 bad not understood/],
    [`# dynamic: ${keyOne}\n+a:192.0.2.1`, /^1 bad not understood/],
    [`# dynamic 0 ${keyOne}\n+a:192.0.2.1`, /^1 bad not understood/],
    [`# dynamic: -1 ${keyOne}`, /^1 bad not understood/],
    [`# dynamic: 1e9 ${keyOne}`, /^1 bad not understood/],
    [
      `# dynamic: 0 ${keyOne}\n\n\n# dynamic: 0 ${keyTwo}\n+a:192.0.2.256`,
      /^5 bad a: '192.0.2.256' is no IPv4 address/,
    ],
    [`# dynamic: 0 ${keyOne}\n+a:1.2.3`, /^2 bad /],
    [`# dynamic: 0 ${keyOne}\n+a`, /^2 bad a: no address field/],
    [`# dynamic: 0 ${keyOne}\n+:192.0.2.1`, /^2 bad no name/],
    [`# dynamic: 0 ${keyOne}\n6a:2001`, /^2 bad /],
    [`# dynamic: 0 ${keyOne}\n:a:28:\\000`, /^2 bad /],
    [`# dynamic: 0 ${keyOne}\n:a:28:${octal.replace('\\040', '\\400')}`, /^2 bad /],
  ];
  for (const [text, wanted] of cases) {
    const found = problems(text);
    assert.ok(
      found.some((problem) => wanted.test(problem)),
      `${text}\n${found.join('\n')}`,
    );
  }
});

test('a comment that only speaks of dynamic things is no mistake', () => {
  assert.deepEqual(problems('# dynamic entries below\n#dynamic\n# dynamically\n'), []);
});

test('notes point at what tinydns-data would refuse, and spoil nothing', () => {
  const zone = parse(
    `# dynamic: 0 ${keyOne}\n +a:192.0.2.1\n6b:${'0'.repeat(32)}\n\n# dynamic: 0 ${keyTwo}\n`,
  );
  assert.deepEqual(
    zone.problems.map(({ line, severity }) => [line, severity]),
    [
      [2, 'note'],
      [3, 'note'],
      [5, 'note'],
    ],
  );
  assert.equal(zone.blocks.length, 2);
});

test('any bytes give a zone whose offsets lie in it', () => {
  const line = fc.oneof(
    fc.constantFrom(
      `# dynamic: 0 ${keyOne}`,
      `# dynamic: 17.25 ${keyTwo} ${keyOne}`,
      '+a:192.0.2.1',
      '=b:192.0.2.2:300',
      `:c:28:${octal}`,
      '',
      '# x',
      ' +d:192.0.2.9',
    ),
    fc.string({ unit: 'binary', maxLength: 40 }),
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 12 }), fc.constantFrom('\n', '\r\n'), (lines, newline) => {
      const zone = parse(lines.join(newline));
      for (const block of zone.blocks) {
        assert.ok(block.start >= 0 && block.end <= zone.source.length && block.start < block.end);
        const head = block.text.toString('latin1', block.stampStart, block.stampEnd);
        assert.equal(Number(head), block.stamp);
        for (const { start, end, line: at } of block.records) {
          assert.ok(start <= end && end <= block.text.length);
          assert.ok(at > block.line);
        }
      }
    }),
  );
});

test('keys of the zone before are taken over without another look', () => {
  const before = parse(`# dynamic: 0 ${keyOne}\n+a:192.0.2.1\n`);
  const after = parseZone(
    Buffer.from(`# dynamic: 0 ${keyTwo}\n+x:192.0.2.1\n\n# dynamic: 0 ${keyOne}\n+a:192.0.2.1\n`),
    before,
  );
  assert.equal(after.keys.get(one.keyId)?.object, before.keys.get(one.keyId)?.object);
  assert.deepEqual(after.keys.get(one.keyId)?.blocks, [1]);
  assert.deepEqual(before.keys.get(one.keyId)?.blocks, [0]);
});

test('no line, however long, holds the parser up or makes it large', () => {
  const blanks = ' '.repeat(2_000_000);
  const zone = parse(
    `${blanks}x\n# dynamic: 0 ${keyOne}\n+a:192.0.2.1${blanks}\n:b:28:${'A'.repeat(4_000_000)}\n`,
  );
  assert.ok(zone.problems.some(({ severity }) => severity === 'bad'));
  const many = parse(`# dynamic: 0 ${keyOne}\n${' x\n'.repeat(50_000)}`);
  assert.ok(many.problems.length <= 1_001);
});

test('a file full of notes does not hide what is bad in it', () => {
  const notes = ' +leading.blank.example:192.0.2.1\n'.repeat(1_500);
  const { problems: told } = parse(
    `# dynamic: 0 ${keyOne}\n+good.example:192.0.2.1\n${notes}+bad.example:192.0.2.300\n`,
  );
  assert.equal(told.filter(({ severity }) => severity === 'note').length, 1_000);
  assert.deepEqual(
    told.filter(({ severity }) => severity === 'bad').map(({ line }) => line),
    [1, 1_503],
  );
});
