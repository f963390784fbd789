// Networks as a person writes them, and which addresses lie in them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { isInside, type Network, parseNetwork, parseNetworks } from '../../lib/networks.ts';

const written = ([base, bits]: Network): string => `${base.toString()}/${bits}`;

for (const [text, wanted] of [
  ['10.0.0.0/8', '10.0.0.0/8'],
  ['0.0.0.0/0', '0.0.0.0/0'],
  ['192.0.2.1', '192.0.2.1/32'],
  ['192.0.2.1/32', '192.0.2.1/32'],
  ['fd00::/8', 'fd00::/8'],
  ['::/0', '::/0'],
  ['2001:DB8::A', '2001:db8::a/128'],
  ['::ffff:192.0.2.1', '192.0.2.1/32'],
] as const) {
  test(`'${text}' is the network ${wanted}`, () => {
    assert.equal(written(parseNetwork(text)), wanted);
  });
}

for (const text of [
  '',
  '10',
  '10.0/16',
  '0x0a000001',
  '010.0.0.1',
  '1.2.3.256',
  '10.0.0.0/',
  '10.0.0.0/33',
  '10.0.0.0/8/8',
  '10.0.0.0/+8',
  '10.0.0.0/8.0',
  '10.0.0.0/255.0.0.0',
  'fd00::/129',
  'fd00:::/8',
  'fe80::1%eth0',
  'fe80::%1/64',
  '[::1]',
  'example.net',
  '/8',
  ' 10.0.0.1',
]) {
  test(`'${text}' is no network`, () => {
    assert.throws(() => parseNetwork(text), {
      name: 'LaresError',
      code: 'E_NETWORK',
      message: /write for example/,
    });
  });
}

test('a list has blanks or commas between, and one bad part spoils it', () => {
  assert.deepEqual(parseNetworks(' 10.0.0.0/8,fd00::/8 ,\t192.0.2.1\n').map(written), [
    '10.0.0.0/8',
    'fd00::/8',
    '192.0.2.1/32',
  ]);
  assert.deepEqual(parseNetworks(' , '), []);
  assert.throws(() => parseNetworks('10.0.0.0/8 x'), { code: 'E_NETWORK' });
});

test('an address lies in a network of its own family alone', () => {
  const all = parseNetworks('0.0.0.0/0 ::/0');
  const inside = (text: string): boolean[] => all.map((one) => isInside(ipaddr.parse(text), one));
  assert.deepEqual(inside('192.0.2.1'), [true, false]);
  assert.deepEqual(inside('2001:db8::1'), [false, true]);
});

test('an address lies in a network when their first bits are the same', () => {
  const pair = (length: number) =>
    fc.tuple(
      fc.uint8Array({ minLength: length, maxLength: length }),
      fc.nat(length * 8),
      fc.nat(length * 8 - 1),
      fc.boolean(),
    );
  fc.assert(
    fc.property(fc.oneof(pair(4), pair(16)), ([bytes, bits, flipped, flips]) => {
      // Mapped addresses are of the other family.
      fc.pre(
        bytes.length === 4 || bytes.some((byte, index) => byte !== (index < 10 ? 0 : 255) && index < 12),
      );
      const other = Uint8Array.from(bytes);
      if (flips) other[flipped >> 3] = (other[flipped >> 3] ?? 0) ^ (0x80 >> (flipped & 7));
      const network = parseNetwork(`${ipaddr.fromByteArray([...bytes]).toString()}/${bits}`);
      assert.equal(isInside(ipaddr.fromByteArray([...other]), network), !flips || flipped >= bits);
    }),
    { numRuns: 500 },
  );
});
