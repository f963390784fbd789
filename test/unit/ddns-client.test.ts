// What the client reads from its arguments: pauses and hosts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseDelay } from '../../daemons/ddns/core/delay.ts';
import { parseHosts } from '../../daemons/ddns/core/destination.ts';

const take = (text: string, count: number): number[] => {
  const pauses = parseDelay(text);
  return Array.from({ length: count }, () => pauses.next().value);
};

test('pauses follow the notation of the old client', () => {
  assert.deepEqual(take('2.5', 3), [2.5, 2.5, 2.5]);
  assert.deepEqual(take('1:mul:2', 5), [1, 2, 4, 8, 16]);
  assert.deepEqual(take('1:add:5', 4), [1, 6, 11, 16]);
  assert.deepEqual(take('10:sub:1', 3), [10, 9, 8]);
  assert.deepEqual(take('16:truediv:2', 3), [16, 8, 4]);
  assert.deepEqual(take('2:pow:2', 4), [2, 4, 16, 256]);
});

test('pauses are never negative, never longer than a day, and always numbers', () => {
  assert.deepEqual(take('1:sub:1', 3), [1, 0, 0]);
  assert.deepEqual(take('1:div:0', 2), [1, 86_400]);
  assert.deepEqual(take('0:div:0', 2), [0, 0]);
  assert.equal(take('10:pow:10', 9).at(-1), 86_400);
});

test('what is no delay is refused with the operators that there are', () => {
  for (const text of [
    '',
    'x',
    '1:',
    '1:mul',
    '1:mul:',
    '1:mul:x',
    '1:xor:2',
    '1:mul:2:3',
    '1e3',
    ':mul:2',
    '__class__',
  ]) {
    assert.throws(() => parseDelay(text), /mul/, text);
  }
});

test('destinations are read as the old client read them', () => {
  assert.deepEqual(parseHosts('ns.example', 5533), [{ host: 'ns.example', port: 5533 }]);
  assert.deepEqual(parseHosts('ns.example:99', 5533), [{ host: 'ns.example', port: 99 }]);
  assert.deepEqual(parseHosts('192.0.2.1/198.51.100.1:7', 5533), [
    { host: '192.0.2.1', port: 5533 },
    { host: '198.51.100.1', port: 7 },
  ]);
  assert.deepEqual(parseHosts('[2a02:6b8::3]/213.180.204.3', 0), [
    { host: '2a02:6b8::3', port: 0 },
    { host: '213.180.204.3', port: 0 },
  ]);
  assert.deepEqual(parseHosts('[::1]:5534', 5533), [{ host: '::1', port: 5534 }]);
  assert.deepEqual(parseHosts('::1:5533', 9), [{ host: '::1', port: 5533 }]);
  assert.deepEqual(parseHosts('2001:db8::1:beef', 9), [{ host: '2001:db8::1:beef', port: 9 }]);
  assert.deepEqual(parseHosts('2001:db8:1:2:3:4:5:6', 9), [{ host: '2001:db8:1:2:3:4:5:6', port: 9 }]);
});

test('what is no host is refused', () => {
  for (const text of [
    '',
    '/',
    'a/',
    'a:',
    'a:x',
    'a:65536',
    '[::1',
    '[::1]x',
    '[::1]:',
    'a b',
    ':53',
    'key=',
  ]) {
    assert.throws(() => parseHosts(text, 5533), { code: 'E_DDNS_HOST' }, text);
  }
});

test('any text gives hosts or an error of ours', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('a', 'b', '.', ':', '/', '[', ']', '0', '1', '9', ' ') }),
      (text) => {
        try {
          for (const { host, port } of parseHosts(text, 1))
            assert.ok(host !== '' && port >= 0 && port <= 65_535);
        } catch (error) {
          assert.equal((error as { code: string }).code, 'E_DDNS_HOST');
        }
      },
    ),
  );
});
