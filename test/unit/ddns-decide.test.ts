// The order of checks, the clock window and the high-water marks, with a clock and sources of the test's choice.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Family, plainSource, prefixOf } from '../../daemons/ddns/core/address.ts';
import { SignatureBudget } from '../../daemons/ddns/core/bucket.ts';
import { type Decision, decide, type Known, type Rules } from '../../daemons/ddns/core/decide.ts';
import { encodeKey, SigningKey } from '../../daemons/ddns/core/keys.ts';
import { advance, judgeClock, judgeMark, type Mark, otherFamilyMs } from '../../daemons/ddns/core/marks.ts';
import { buildPacket } from '../../daemons/ddns/core/wire.ts';
import { parseZone } from '../../daemons/ddns/core/zone.ts';
import { parseNetworks } from '../../lib/networks.ts';

const key = new SigningKey(randomBytes(32));
const nowMs = 1_800_000_000_000;
const now = nowMs / 1_000;
const window = { maxClockSkewMs: 600_000, maxAgeMs: 600_000 };
const rules: Rules = { window, opened: [] };
const zone = parseZone(Buffer.from(`# dynamic: ${now - 60} ${encodeKey(key.publicKey)}\n+a:192.0.2.1\n`));
const packet = (stamp: number): Buffer => buildPacket(key.keyId, stamp, (signed) => key.sign(signed));

interface Case {
  source?: string;
  known?: Known;
  opened?: string;
  budget?: SignatureBudget;
}

function judge(
  datagram: Buffer,
  { source = '8.8.8.8', known, opened = '', budget = new SignatureBudget(500, 0) }: Case = {},
): Decision {
  return decide(
    datagram,
    plainSource(source),
    { ...rules, opened: parseNetworks(opened) },
    { zone, known: () => known, budget },
    nowMs,
    0,
  );
}
const reason = (decision: Decision): string => (decision.kind === 'refused' ? decision.reason : 'verified');
const marked = (stamp: number, families: Family[] = [4], acceptedMs = nowMs): Known => ({
  mark: { stamp, families, acceptedMs },
  prefixes: [],
});

test('a fresh packet with a good signature is verified, with its source as the address', () => {
  assert.deepEqual(judge(packet(now)), {
    kind: 'verified',
    keyId: key.keyId,
    stamp: now,
    address: { family: 4, text: '8.8.8.8', bytes: [8, 8, 8, 8] },
    publish: true,
  });
});

test('an IPv4-mapped source is IPv4', () => {
  const decision = judge(packet(now), { source: '::ffff:8.8.4.4' });
  assert.equal(decision.kind === 'verified' && decision.address.text, '8.8.4.4');
});

test('every length but 100 is refused', () => {
  for (const length of [0, 1, 99, 101, 1_500, 65_507])
    assert.equal(reason(judge(Buffer.alloc(length))), 'length');
});

test('a key id that no block names is refused without being repeated', () => {
  assert.deepEqual(judge(Buffer.alloc(100, 'x')), { kind: 'refused', reason: 'unknown-key' });
});

test('stamps that are no time, too far ahead, or too old are refused', () => {
  const cases: [number, string][] = [
    [Number.NaN, 'not-a-time'],
    [Infinity, 'not-a-time'],
    [-Infinity, 'not-a-time'],
    [1e300, 'not-a-time'],
    [1e15, 'future'],
    [now + 601, 'future'],
    [now + 600, 'verified'],
    [now - 59, 'verified'],
    [now - 601, 'stale'],
    [0, 'stale'],
    [-1, 'stale'],
    [5e-324, 'stale'],
  ];
  for (const [stamp, wanted] of cases) assert.equal(reason(judge(packet(stamp))), wanted, String(stamp));
});

test('without a mark the stamp in the zone is the floor', () => {
  assert.equal(reason(judge(packet(now - 60))), 'replayed');
  assert.equal(reason(judge(packet(now - 59.999))), 'verified');
});

test('with a mark the mark is the floor, whatever another key has left in the zone', () => {
  assert.equal(reason(judge(packet(now - 100), { known: marked(now - 200) })), 'verified');
  assert.equal(reason(judge(packet(now - 100), { known: marked(now - 100) })), 'replayed');
});

test('a stamp in the zone from beyond the clock locks nothing', () => {
  for (const stamp of ['9'.repeat(18), '9'.repeat(400), String(now + 601)]) {
    const locked = parseZone(Buffer.from(`# dynamic: ${stamp} ${encodeKey(key.publicKey)}\n+a:192.0.2.1\n`));
    const tables = { zone: locked, known: () => undefined, budget: new SignatureBudget(500, 0) };
    assert.equal(reason(decide(packet(now), '8.8.8.8', rules, tables, nowMs, 0)), 'verified');
  }
});

test('any altered bit of a packet is refused', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 799 }), (bit) => {
      const altered = packet(now);
      altered.writeUInt8(altered.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      assert.equal(judge(altered).kind, 'refused');
    }),
  );
});

test('signatures beyond the budget are not looked at', () => {
  const budget = new SignatureBudget(1, 0);
  const bad = packet(now);
  bad.fill(0, 36);
  const reasons = [1, 2, 3, 4, 5].map(() => reason(judge(bad, { budget })));
  assert.equal(reasons[0], 'signature');
  assert.equal(reasons[4], 'rate');
});

test('what is cheap to refuse takes nothing from the budget', () => {
  const budget = new SignatureBudget(1, 0);
  for (const datagram of [Buffer.alloc(3), Buffer.alloc(100), packet(now - 60), packet(now + 9e5)]) {
    for (let n = 0; n < 50; n += 1) judge(datagram, { budget });
  }
  assert.equal(reason(judge(packet(now), { budget })), 'verified');
});

test('special addresses are verified but not to be published, unless opened', () => {
  const special = [
    '127.0.0.1',
    '10.1.2.3',
    '100.64.0.1',
    '169.254.1.1',
    '172.31.0.1',
    '192.168.1.1',
    '192.0.2.1',
    '198.51.100.7',
  ];
  special.push(
    '203.0.113.1',
    '198.18.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '0.0.0.0',
    '240.0.0.1',
    '::',
    '::1',
    'fe80::1%eth0',
  );
  special.push('fc00::1', 'fd12::1', 'ff02::1', '2001:db8::1', '3fff::1', '::ffff:10.0.0.1');
  for (const source of special) {
    const closed = judge(packet(now), { source });
    assert.ok(closed.kind === 'verified' && !closed.publish, source);
    const open = judge(packet(now), { source, opened: '0.0.0.0/0 ::/0' });
    assert.ok(open.kind === 'verified' && open.publish, source);
  }
  for (const source of [
    '1.1.1.1',
    '172.32.0.1',
    '100.128.0.1',
    '192.167.255.255',
    '2a00:1450::1',
    '2001:db7:ffff::1',
  ]) {
    const decision = judge(packet(now), { source });
    assert.ok(decision.kind === 'verified' && decision.publish, source);
  }
});

test('AllowAddresses opens what it names, in its own family, and no more', () => {
  const publish = (source: string): boolean => {
    const decision = judge(packet(now), { source, opened: '192.168.7.0/24, fd00:7::/32 10.0.0.1' });
    return decision.kind === 'verified' && decision.publish;
  };
  assert.deepEqual(
    ['192.168.7.9', '192.168.8.9', 'fd00:7::1', 'fd00:8::1', '10.0.0.1', '10.0.0.2'].map(publish),
    [true, false, true, false, true, false],
  );
});

test('rates are kept by the /24 and the /56 of a source', () => {
  const same: [string, string][] = [
    ['8.8.8.8', '8.8.8.255'],
    ['2a00:1450:4010:c08::66', '2a00:1450:4010:cff:1:2:3:4'],
    ['2a00:1450::1', '2a00:1450:0:ff::1'],
    ['2a00::1:2:3:4:5', '2a00:0:0:1:2:3:4:5'],
  ];
  for (const [a, b] of same) assert.equal(prefixOf(a), prefixOf(b), `${a} ${b}`);
  const other: [string, string][] = [
    ['8.8.8.8', '8.8.9.8'],
    ['2a00:1450:4010:c08::66', '2a00:1450:4010:d08::66'],
    ['2a00:1450::1', '2a00:1450:0:100::1'],
    ['::1', '2a00::1'],
  ];
  for (const [a, b] of other) assert.notEqual(prefixOf(a), prefixOf(b), `${a} ${b}`);
});

test('bad networks are refused with their text', () => {
  for (const text of [
    '300.0.0.0/8',
    '10.0.0.0/33',
    'fd00::/129',
    '10/8',
    'x',
    '10.0.0.0/8/8',
    '10.0.0.0/',
    '::/-1',
    '1',
  ]) {
    assert.throws(() => parseNetworks(text), { code: 'E_NETWORK' }, text);
  }
  assert.deepEqual(parseNetworks('  '), []);
});

test('without a most age the lower bound of the window alone is lifted', () => {
  const open = { ...window, maxAgeMs: Number.POSITIVE_INFINITY };
  assert.equal(judgeClock(1, nowMs, open), 'fresh');
  assert.equal(judgeClock(0.5, nowMs, open), 'stale');
  assert.equal(judgeClock(now + 601, nowMs, open), 'future');
});

test('an equal stamp counts once for the other family, and only for a moment', () => {
  const { mark } = marked(now);
  assert.equal(judgeMark(now, 4, nowMs, mark, 0), 'replayed');
  assert.equal(judgeMark(now, 6, nowMs + otherFamilyMs, mark, 0), 'fresh');
  assert.equal(judgeMark(now, 6, nowMs + otherFamilyMs + 1, mark, 0), 'replayed');
  assert.equal(judgeMark(now, 6, nowMs - otherFamilyMs - 1, mark, 0), 'replayed');
  const both = advance(mark, now, 6, nowMs);
  assert.equal(judgeMark(now, 6, nowMs, both, 0), 'replayed');
  assert.equal(judgeMark(now, 4, nowMs, both, 0), 'replayed');
});

test('no stamp is ever accepted twice in one family, and marks never go back', () => {
  const step = fc.record({
    stamp: fc.integer({ min: 1, max: 12 }),
    family: fc.constantFrom<Family>(4, 6),
    waitMs: fc.integer({ min: 0, max: 9_000 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      let mark: Mark | undefined;
      let clockMs = nowMs;
      const accepted = new Set<string>();
      for (const { stamp, family, waitMs } of steps) {
        clockMs += waitMs;
        if (judgeMark(stamp, family, clockMs, mark, 0) !== 'fresh') continue;
        assert.ok(!accepted.has(`${stamp}/${family}`));
        accepted.add(`${stamp}/${family}`);
        const next = advance(mark, stamp, family, clockMs);
        assert.ok(next.stamp >= (mark?.stamp ?? 0));
        mark = next;
      }
    }),
  );
});
