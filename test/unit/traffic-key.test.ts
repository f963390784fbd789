// Keys of flows: everything that tells one flow from another comes back out of them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { keyOf, partsOf } from '../../daemons/traffic/core/key.ts';
import type { Flow } from '../../lib/netlink/conntrack.ts';

const address = fc.oneof(
  fc.array(fc.nat(255), { minLength: 4, maxLength: 4 }),
  fc.array(fc.nat(255), { minLength: 16, maxLength: 16 }),
);
const shape = fc.record({
  id: fc.nat(0xffff_ffff),
  zone: fc.nat(0xffff),
  // To the year 2033; milliseconds later than 2039 are coarser than a microsecond.
  micros: fc.oneof(fc.constant(0), fc.nat(2_000_000_000_000_000)),
  protocol: fc.nat(255),
  ports: fc.tuple(fc.nat(0xffff), fc.nat(0xffff)),
  source: address,
  destination: address,
});

function flow({ id, zone, micros, protocol, ports, source, destination }: Shape): Flow {
  const [sourcePort, destinationPort] = ports;
  const original = {
    source: String.fromCharCode(...source),
    destination: String.fromCharCode(...destination.slice(0, source.length)),
    protocol,
    sourcePort,
    destinationPort,
  };
  return {
    ...{ event: 'dumped', id, original, reply: original, status: 0, mark: 0, zone },
    ...{ sent: undefined, received: undefined, startMs: micros / 1_000, stopMs: undefined },
  };
}

type Shape = typeof shape extends fc.Arbitrary<infer T> ? T : never;
const alike = shape.filter(({ source, destination }) => source.length <= destination.length);

test('a key gives back what it was made of, and survives being kept as bytes', () => {
  fc.assert(
    fc.property(alike, (one) => {
      const made = flow(one);
      const key = keyOf(made);
      assert.equal(Buffer.from(key, 'latin1').toString('latin1'), key);
      const { startMs, ...rest } = partsOf(key);
      assert.equal(Math.round(startMs * 1_000), Math.round((made.startMs ?? 0) * 1_000));
      assert.deepEqual(rest, { zone: one.zone, ...made.original });
    }),
  );
});

test('two flows that differ in anything have different keys', () => {
  fc.assert(
    fc.property(alike, alike, (one, other) => {
      const isSame = JSON.stringify(flow(one)) === JSON.stringify(flow(other));
      assert.equal(keyOf(flow(one)) === keyOf(flow(other)), isSame);
    }),
  );
});
