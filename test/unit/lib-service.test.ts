// What goes to the service manager and to the journal, byte for byte.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeRecord, isJournal } from '../../lib/journald.ts';
import { statusLine, supervisorOf } from '../../lib/notify.ts';

test('whatever a status says, it is one line of one message', () => {
  assert.equal(statusLine('a\nREADY=1'), 'STATUS=a READY=1');
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const line = statusLine(text);
      assert.doesNotMatch(line, /[\0\n]/);
      assert.ok(line.length <= 1_007);
    }),
  );
});

test('without a service manager nothing is loaded and everything may be said', () => {
  const supervisor = supervisorOf({});
  assert.equal(supervisor.listens, false);
  assert.equal(supervisor.watchdogMs, 0);
  supervisor.ready('x');
  supervisor.failed('x', 1, 5);
});

/** As the journal reads a record. */
function decode(bytes: Buffer): [string, string][] {
  const fields: [string, string][] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(0x0a, at);
    const head = bytes.toString('utf8', at, end);
    const equals = head.indexOf('=');
    if (equals >= 0) {
      fields.push([head.slice(0, equals), head.slice(equals + 1)]);
      at = end + 1;
    } else {
      const size = Number(bytes.readBigUInt64LE(end + 1));
      fields.push([head, bytes.toString('utf8', end + 9, end + 9 + size)]);
      assert.equal(bytes[end + 9 + size], 0x0a);
      at = end + 10 + size;
    }
  }
  return fields;
}

test('a value with newlines is one value, and smuggles no field in', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const fields = { MESSAGE: text, PRIORITY: 5, LARES_NAME: `${text}\nPRIORITY=0` };
      const expected = Object.entries(fields).map(([name, value]) => [name, String(value)]);
      assert.deepEqual(decode(encodeRecord(fields)), expected);
    }),
  );
});

test('a very long value is cut, and the record stays well-formed', () => {
  const [message, name] = decode(encodeRecord({ MESSAGE: 'x'.repeat(100_000), LARES_NAME: 'a' }));
  assert.equal(message?.[1].length, 16_384);
  assert.deepEqual(name, ['LARES_NAME', 'a']);
});

test('only the very stream that the journal gave is the journal', () => {
  const at = { dev: 12, ino: 345 };
  assert.equal(isJournal('12:345', at), true);
  for (const other of [undefined, '', '12:3456', '1:2345', '345:12'])
    assert.equal(isJournal(other, at), false);
});
