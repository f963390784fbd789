// Time spans in systemd's notation: the examples of systemd.time(7) that are bounded, round trips, and what is refused.
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { formatSpan, parseSpan, roughSpan } from '../../lib/span.ts';

const hour = 3_600_000;

for (const [text, ms] of [
  ['2 h', 2 * hour],
  ['2hours', 2 * hour],
  ['48hr', 48 * hour],
  ['55s500ms', 55_500],
  ['300ms20s 5day', 300 + 20_000 + 120 * hour],
  ['50', 50_000],
  ['2min 200ms', 120_200],
  ['0', 0],
  ['1.5s', 1_500],
  ['0.25', 250],
  ['1h 30min', 1.5 * hour],
  ['  90 seconds  ', 90_000],
  ['1w 1day 1hour 1minute 1second 1msec', 694_861_001],
  ['1m 1sec 1d', 86_461_000],
  ['2weeks 2days 2minutes', 1_382_520_000],
] as const) {
  test(`the span '${text}' is ${ms} ms`, () => {
    assert.equal(parseSpan(text), ms);
  });
}

for (const text of [
  '',
  '   ',
  '-1',
  '-5min',
  '+5s',
  'min',
  '5 parsecs',
  '1y',
  '1month',
  '5M',
  '10MIN',
  '1.s',
  '.5s',
  '1e3',
  '1..5s',
  '1,5s',
  'infinity',
  '5s;',
  '5s # comment',
  '0x10',
  '٣s',
]) {
  test(`the span '${text}' is refused`, () => {
    assert.throws(() => parseSpan(text), { name: 'LaresError', code: 'E_SPAN' });
  });
}

test('a number too large to count is refused instead of read as for ever', () => {
  assert.throws(() => parseSpan('9'.repeat(400)), { code: 'E_SPAN' });
});

test('any text gives a finite span or E_SPAN', () => {
  const piece = fc.oneof(fc.constantFrom('1', '5', ' ', '.', 's', 'ms', 'min', 'h', 'd', '-'), fc.string());
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      try {
        const ms = parseSpan(pieces.join(''));
        assert.ok(Number.isFinite(ms) && ms >= 0);
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'E_SPAN');
      }
    }),
    { numRuns: 1_000 },
  );
});

test('any whole number of milliseconds reads back from how it is written', () => {
  fc.assert(
    fc.property(fc.oneof(fc.maxSafeNat(), fc.nat(200_000_000)), (ms) => {
      assert.equal(parseSpan(formatSpan(ms)), ms);
    }),
  );
});

for (const [ms, text] of [
  [0, '0'],
  [600_000, '10min'],
  [3_630_000, '1h 30s'],
  [250, '250ms'],
  [90_061_001, '1d 1h 1min 1s 1ms'],
  [604_800_000, '7d'],
] as const) {
  test(`${ms} ms are written '${text}'`, () => {
    assert.equal(formatSpan(ms), text);
  });
}

for (const [ms, text] of [
  [-5, '0ms'],
  [0, '0ms'],
  [999, '999ms'],
  [59_999, '59s'],
  [60_000, '1min'],
  [hour - 1, '59min'],
  [hour, '1h 0min'],
  [24 * hour - 1, '23h 59min'],
  [25 * hour, '1d 1h'],
  [400 * 24 * hour, '400d 0h'],
] as const) {
  test(`${ms} ms are roughly '${text}'`, () => {
    assert.equal(roughSpan(ms), text);
  });
}
