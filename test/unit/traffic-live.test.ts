// What the control socket says of now: peers with all that they ever had, and living flows.
import assert from 'node:assert/strict';
import test from 'node:test';
import { type Known } from '../../daemons/traffic/core/flows.ts';
import { keyOf } from '../../daemons/traffic/core/key.ts';
import { Names, parseNames } from '../../daemons/traffic/core/naming.ts';
import { keyOfSeries, type Series, type Sums } from '../../daemons/traffic/core/tally.ts';
import { flowsOf, liveOf } from '../../daemons/traffic/live.ts';
import type { Flow } from '../../lib/netlink/conntrack.ts';

const series: Series = { className: 'all', peer: '192.0.2.7', family: 4, protocol: 6 };
const noNames = new Names([]);

test('peers now are their totals over all series, by name', () => {
  const names = new Names(parseNames('10.8.0.0/24 office').named);
  const state = (peer: string, total: Sums, lastMs: number) => ({ peer, total, lastMs });
  const all = [state('10.8.0.1', [1, 2, 3, 4], 9), state('192.0.2.7', [5, 5, 5, 5], 3)];
  const flows = { size: 7, lost: { flows: 2, bytes: 9 } };
  assert.deepEqual(liveOf([...all, state('10.8.0.2', [10, 20, 30, 40], 5)], names, flows, 99), {
    at: 99,
    flows: 7,
    lostFlows: 2,
    peers: [
      { peer: 'office', rxBytes: 11, txBytes: 22, rxPackets: 33, txPackets: 44, lastSeen: 9 },
      { peer: '192.0.2.7', rxBytes: 5, txBytes: 5, rxPackets: 5, txPackets: 5, lastSeen: 3 },
    ],
  });
});

function flow(source: number[], destination: number[], more: Partial<Flow> = {}): Flow {
  const [from, to] = [String.fromCharCode(...source), String.fromCharCode(...destination)];
  const original = { source: from, destination: to, protocol: 17, sourcePort: 40_000, destinationPort: 53 };
  return {
    ...{ event: 'dumped', id: 9, original, reply: original, status: 0, mark: 0, zone: 3 },
    ...{ sent: undefined, received: undefined, startMs: undefined, stopMs: undefined },
    ...more,
  };
}

const known = (rate: number, bytes: number, missingMs = 0): Known => ({
  sent: { packets: 1, bytes },
  received: { packets: 1, bytes: 1 },
  seenMs: 5,
  rate,
  series: keyOfSeries(series),
  dump: 1,
  missingMs,
  lost: undefined,
});

test('a living flow is shown from its key, whatever bytes its addresses have', () => {
  const key = keyOf(flow([32, 9, 10, 0], [255, 32, 32, 128], { startMs: 1_234.6 }));
  assert.deepEqual(flowsOf([[key, known(0.5, 100)]], noNames, 99), {
    at: 99,
    total: 1,
    flows: [
      {
        peer: '192.0.2.7',
        class: 'all',
        protocol: 'udp',
        source: '32.9.10.0',
        sourcePort: 40_000,
        destination: '255.32.32.128',
        destinationPort: 53,
        zone: 3,
        sentBytes: 100,
        receivedBytes: 1,
        bytesPerSecond: 500,
        since: 1_235,
      },
    ],
  });
  const blanks = Array<number>(16).fill(32);
  const [six] = flowsOf([[keyOf(flow(blanks, blanks)), known(0, 0)]], noNames, 99).flows;
  const text = Array(8).fill('2020').join(':');
  assert.deepEqual([six?.source, six?.destination, six?.since], [text, text, null]);
});

test('the fastest flows are first, then the largest, and those that are missing are not shown', () => {
  const key = (id: number): string => keyOf(flow([10, 0, 0, id], [10, 0, 0, 0]));
  const all: [string, Known][] = [
    [key(1), known(0, 50)],
    [key(2), known(2, 1)],
    [key(3), known(0, 70)],
    [key(4), known(9, 1, 5)],
    [key(5), known(3, 1)],
  ];
  const { total, flows } = flowsOf(all, noNames, 99);
  assert.equal(total, 4);
  assert.deepEqual(
    flows.map(({ source }) => source),
    ['10.0.0.5', '10.0.0.2', '10.0.0.3', '10.0.0.1'],
  );
});

test('of more flows than are shown the number is told', () => {
  const all = Array.from({ length: 1_200 }, (_, n): [string, Known] => [
    keyOf(flow([10, 0, n >> 8, n & 255], [10, 9, 9, 9])),
    known(n, 1),
  ]);
  const { total, flows } = flowsOf(all, noNames, 99);
  assert.deepEqual([total, flows.length, flows.at(-1)?.source], [1_200, 1_000, '10.0.0.200']);
});
