// Rewriting a zone in memory: only address fields and stamps change, however often it is done.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Address, parseAddress } from '../../daemons/ddns/core/address.ts';
import { encodeKey, SigningKey } from '../../daemons/ddns/core/keys.ts';
import { restate, rewrite, type Update, wouldChange } from '../../daemons/ddns/core/rewrite.ts';
import { parseZone, piecesOf, type Zone } from '../../daemons/ddns/core/zone.ts';

const keys = [0, 1, 2].map(() => new SigningKey(randomBytes(32)));
const idOf = (index: number): string => keys[index]?.keyId ?? '';
const textOf = (index: number): string => encodeKey(keys[index]?.publicKey ?? Buffer.alloc(0));
const stamping = { always: false, latest: 2_000_000_000 };
const address = (text: string): Address => parseAddress(text) ?? assert.fail(text);
const update = (key: number, text: string, stamp: number): Update => ({
  keyId: idOf(key),
  address: address(text),
  stamp,
});
const textAfter = (zone: Zone): string => Buffer.concat(piecesOf(zone)).toString('latin1');
const said = ({ blocks }: Zone): object[] =>
  blocks.map((block) => ({ ...block, start: 0, end: 0, edited: false }));

const zoneText = `# first lines stay as they are \xff
+static:192.0.2.200

# dynamic: 0 ${textOf(0)}
+a.example:192.0.2.1
=b.example:192.0.2.2:300::ex
6c.example:20010db8000000000000000000000001
:d.example:28:${'\\000'.repeat(16)}:300\r
-e.example:192.0.2.3

#dynamic: 1500000000.25 ${textOf(1)} ${textOf(2)}
+f.example:192.0.2.4:
`;
const zone = parseZone(Buffer.from(zoneText, 'latin1'));

test('a packet over IPv4 changes the A lines of its block, the stamp, and no other byte', () => {
  const { zone: after, changes, dirty } = rewrite(zone, [update(0, '192.0.2.77', 1405421249.89)], stamping);
  assert.ok(dirty);
  const wanted = zoneText
    .replace('# dynamic: 0 ', '# dynamic: 1405421249.89 ')
    .replace('+a.example:192.0.2.1', '+a.example:192.0.2.77')
    .replace('=b.example:192.0.2.2:', '=b.example:192.0.2.77:');
  assert.equal(textAfter(after), wanted);
  assert.deepEqual(
    changes.map(({ name, type, from, to }) => [name, type, from, to]),
    [
      ['a.example', 'A', '192.0.2.1', '192.0.2.77'],
      ['b.example', 'A', '192.0.2.2', '192.0.2.77'],
    ],
  );
});

test('a packet over IPv6 changes the AAAA lines, each in its own notation', () => {
  const { zone: after } = rewrite(zone, [update(0, '2001:db8::ff', 1405421249)], stamping);
  assert.match(textAfter(after), /^6c\.example:20010db80000000000000000000000ff$/m);
  assert.match(textAfter(after), /^:d\.example:28:\\040\\001\\015\\270(\\000){11}\\377:300\r$/m);
  assert.match(textAfter(after), /^\+a\.example:192\.0\.2\.1$/m);
});

test('an address that the zone has already changes nothing', () => {
  const result = rewrite(zone, [update(1, '192.0.2.4', 1600000000)], stamping);
  assert.ok(!result.dirty);
  assert.equal(result.zone, zone);
  assert.ok(!wouldChange(zone, update(1, '192.0.2.4', 1600000000)));
  assert.ok(wouldChange(zone, update(1, '192.0.2.5', 1600000000)));
});

test('with stamps always, an unchanged address still moves the stamp', () => {
  const { zone: after, changes } = rewrite(zone, [update(1, '192.0.2.4', 1600000000.5)], {
    ...stamping,
    always: true,
  });
  assert.deepEqual(changes, []);
  assert.equal(textAfter(after), zoneText.replace('1500000000.25', '1600000000.5'));
});

test('a stamp never goes back, except from beyond the clock', () => {
  const older = rewrite(zone, [update(1, '192.0.2.9', 1400000000)], stamping).zone;
  assert.match(textAfter(older), /#dynamic: 1500000000\.25 /);
  const locked = parseZone(Buffer.from(`# dynamic: ${'9'.repeat(18)} ${textOf(0)}\n+a:192.0.2.1\n`));
  assert.match(
    textAfter(rewrite(locked, [update(0, '192.0.2.2', 1400000000)], stamping).zone),
    /^# dynamic: 1400000000 /,
  );
});

test('of several updates in one go the last of each family wins', () => {
  const all = [
    update(0, '192.0.2.50', 1.5e9),
    update(0, '2001:db8::5', 1.5e9),
    update(0, '192.0.2.51', 1.5e9 + 1),
  ];
  const { zone: after } = rewrite(zone, all, stamping);
  assert.match(textAfter(after), /^\+a\.example:192\.0\.2\.51$/m);
  assert.match(textAfter(after), /^6c\.example:20010db8000000000000000000000005$/m);
  assert.match(textAfter(after), /^# dynamic: 1500000001 /m);
});

test('a key that the zone no longer names changes nothing', () => {
  assert.ok(
    !rewrite(zone, [{ keyId: 'x'.repeat(28), address: address('192.0.2.5'), stamp: 1.5e9 }], stamping).dirty,
  );
});

test('restating names the lines that hold an address already', () => {
  assert.deepEqual(
    restate(zone, [update(2, '192.0.2.4', 1), update(0, '192.0.2.99', 1)]).map(({ name, from, to }) => [
      name,
      from,
      to,
    ]),
    [['f.example', '192.0.2.4', '192.0.2.4']],
  );
});

test('after any series of rewrites the zone in memory is what a fresh reading of its bytes gives', () => {
  const step = fc.record({
    key: fc.integer({ min: 0, max: 2 }),
    text: fc.oneof(fc.ipV4(), fc.ipV6()).filter((text) => parseAddress(text) !== undefined),
    stamp: fc.double({ min: 1, max: 1.9e9, noNaN: true }),
  });
  fc.assert(
    fc.property(
      fc.array(fc.array(step, { maxLength: 4 }), { maxLength: 6 }),
      fc.boolean(),
      (rounds, always) => {
        let current = zone;
        for (const round of rounds) {
          const updates = round.map(({ key, text, stamp }) => update(key, text, stamp));
          current = rewrite(current, updates, { ...stamping, always }).zone;
          const fresh = parseZone(Buffer.concat(piecesOf(current)));
          assert.deepEqual(said(current), said(fresh));
          const rest = (text: string): string[] =>
            text.split('\n').filter((line) => !/^(#? *#?dynamic|# dynamic|[+=6:][a-d f])/.test(line));
          assert.deepEqual(rest(textAfter(current)), rest(zoneText));
        }
      },
    ),
  );
});
