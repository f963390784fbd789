// Connection tracking as a kernel 6.18 told it: recorded messages, and whatever else may come.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { LaresError } from '../../lib/errors.ts';
import { dumpRequest, type Flow, flowOf, statusBit } from '../../lib/netlink/conntrack.ts';
import { control, errorOf, flag, type Message, messagesOf } from '../../lib/netlink/message.ts';

const file = path.join(import.meta.dirname, '../fixtures/ctnetlink-6.18.json');
const recorded = JSON.parse(readFileSync(file, 'utf8')) as Record<string, string[] | string>;

function messages(name: string): Message[] {
  return [recorded[name] ?? []].flat().flatMap((hex) => messagesOf(Buffer.from(hex, 'hex')));
}

const flows = (name: string): Flow[] => messages(name).flatMap((message) => flowOf(message) ?? []);
const dotted = (address: string): string => Buffer.from(address, 'latin1').join('.');

test('the events of a UDP flow are new and update, without counters', () => {
  const events = flows('udp4_events');
  assert.deepEqual(
    events.map(({ event }) => event),
    ['new', 'update'],
  );
  const [first] = events;
  assert.ok(first);
  assert.equal(dotted(first.original.source), '127.0.0.1');
  assert.deepEqual(
    [first.original.protocol, first.original.sourcePort, first.original.destinationPort],
    [17, 44001, 8131],
  );
  assert.deepEqual([first.reply.sourcePort, first.reply.destinationPort], [8131, 44001]);
  assert.deepEqual([first.sent, first.received, first.startMs], [undefined, undefined, undefined]);
});

test('the end of a flow has its counters, its times and the id that its events had', () => {
  const [udp, tcp, icmp, six] = flows('destroy');
  assert.ok(udp && tcp && icmp && six);
  for (const flow of [udp, tcp, icmp, six]) {
    assert.equal(flow.event, 'destroy');
    assert.ok((flow.sent?.packets ?? 0) > 0 && (flow.sent?.bytes ?? 0) >= 20 * (flow.sent?.packets ?? 0));
    assert.ok(flow.startMs !== undefined && flow.stopMs !== undefined && flow.stopMs >= flow.startMs);
  }
  assert.equal(udp.id, flows('udp4_events')[0]?.id);
  assert.equal(tcp.id, flows('tcp4_events')[0]?.id);
  assert.equal(six.original.source.length, 16);
  assert.deepEqual(
    [icmp.original.protocol, icmp.original.sourcePort, icmp.original.destinationPort],
    [1, 0x1234, 0x0800],
  );
});

test('a dump is flows, then its end', () => {
  const all = messages('dump');
  assert.deepEqual(
    flows('dump').map(({ event }) => event),
    Array(4).fill('dumped'),
  );
  const last = all.at(-1);
  assert.ok(last);
  assert.deepEqual([last.type, errorOf(last)], [control.done, 0]);
  assert.ok(all.every(({ flags }) => (flags & flag.multi) !== 0));
});

test('a dump that the kernel has filtered says so, and has marked flows alone', () => {
  const all = messages('filtered_dump');
  assert.deepEqual(
    all.slice(0, -1).map(({ flags }) => flags & flag.filtered),
    [flag.filtered],
  );
  const [marked] = flows('filtered_dump');
  assert.equal(marked?.event, 'dumped');
  assert.equal(marked.mark, 0x110);
  assert.deepEqual([marked.sent?.bytes, marked.original.destinationPort], [30, 7_300]);
  assert.equal(all.at(-1)?.type, control.done);
});

test('zones, translation and ICMPv6 are in the ends of flows', () => {
  const byPort = new Map(flows('more_destroy').map((flow) => [flow.original.destinationPort, flow]));
  assert.equal(byPort.get(7_100)?.zone, 5);
  assert.equal(byPort.get(7_400)?.zone, 0);
  const translated = byPort.get(7_200);
  assert.ok(translated);
  assert.equal(translated.status & statusBit.destinationNat, statusBit.destinationNat);
  assert.equal(translated.reply.sourcePort, 7_201);
  const echo = byPort.get(0x8000);
  assert.deepEqual([echo?.original.protocol, echo?.sent?.packets, echo?.received?.bytes], [58, 1, 104]);
});

test('an acknowledgement is an error of 0, a refusal has its errno', () => {
  assert.deepEqual(messages('flush_ack').map(errorOf), [0]);
  assert.deepEqual(messages('bad_type').map(errorOf), [22]);
});

test('a request for a dump is what the kernel wants, with and without a mark', () => {
  assert.equal(dumpRequest(1).toString('hex'), '14000000010101030100000000000000' + '00000000');
  const [message] = messagesOf(dumpRequest(7, { value: 0x10, mask: 0xffff_ffff }));
  assert.ok(message);
  assert.equal(message.payload.toString('hex'), '00000000' + '0800080000000010' + '08001500ffffffff');
});

test('any bytes are flows or an error of ours', () => {
  const whole = Buffer.concat(
    Object.values(recorded)
      .flat()
      .map((hex) => Buffer.from(hex, 'hex')),
  );
  const look = (bytes: Buffer): void => {
    try {
      for (const message of messagesOf(bytes)) {
        flowOf(message);
        if (message.type === control.error || message.type === control.done) errorOf(message);
      }
    } catch (error) {
      assert.ok(error instanceof LaresError && error.code === 'E_NETLINK', String(error));
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => look(Buffer.from(bytes))));
  // Real messages with some bytes changed, and cut anywhere.
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 8 }),
      fc.nat(whole.length),
      (changes, length) => {
        const bytes = Buffer.from(whole.subarray(0, length));
        for (const [at, value] of changes) if (at < length) bytes[at] = value;
        look(bytes);
      },
    ),
    { numRuns: 2_000 },
  );
});
