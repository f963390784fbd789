// Whose a flow is: classes in their order, the end that is not ours, groups of addresses, and the filter that all
// classes have in common.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import {
  type Attribution,
  Attributor,
  commonMark,
  formatAddress,
  protocolName,
  protocolOf,
  type Rules,
  type TrafficClass,
  volumeOf,
} from '../../daemons/traffic/core/peers.ts';
import type { Flow, Tuple } from '../../lib/netlink/conntrack.ts';

const ours = '198.51.100.1';
const oursSix = '2001:db8:ffff::1';

interface Shape {
  from?: string;
  to?: string;
  /** Where the answers come from; the same as `to` without translation. */
  answers?: string;
  protocol?: number;
  ports?: [number, number];
  replySourcePort?: number;
  mark?: number;
}

const bytesOf = (address: string): string => String.fromCharCode(...ipaddr.parse(address).toByteArray());

function flow(shape: Shape = {}): Flow {
  const {
    from = '192.0.2.7',
    to = ours,
    answers = to,
    protocol = 6,
    ports = [40_000, 443],
    mark = 0,
  } = shape;
  const [sourcePort, destinationPort] = ports;
  const original: Tuple = {
    source: bytesOf(from),
    destination: bytesOf(to),
    protocol,
    sourcePort,
    destinationPort,
  };
  const reply: Tuple = {
    source: bytesOf(answers),
    destination: original.source,
    protocol,
    sourcePort: shape.replySourcePort ?? destinationPort,
    destinationPort: sourcePort,
  };
  return {
    event: 'dumped',
    id: 1,
    original,
    reply,
    status: 0,
    mark,
    zone: 0,
    sent: undefined,
    received: undefined,
    startMs: undefined,
    stopMs: undefined,
  };
}

const anything: TrafficClass = { name: 'all', mark: undefined, protocols: undefined, ports: undefined };

function attribute(shape: Shape, rules: Partial<Rules> = {}): Attribution | undefined {
  const isLocal = (address: string): boolean => [ours, oursSix, '198.51.100.2'].includes(address);
  const all = { classes: [anything], isLocal, groupBits: { 4: 32, 6: 128 }, ...rules };
  return new Attributor(all).attribute(flow(shape));
}

const peer = (shape: Shape, rules?: Partial<Rules>): [string, boolean] | undefined => {
  const found = attribute(shape, rules);
  return found && [found.peer, found.isOriginator];
};

test('the peer is the end that is not ours, whoever began', () => {
  assert.deepEqual(attribute({}), {
    className: 'all',
    peer: '192.0.2.7',
    family: 4,
    protocol: 6,
    isOriginator: true,
  });
  assert.deepEqual(peer({ from: ours, to: '192.0.2.7' }), ['192.0.2.7', false]);
});

test('an IPv6 flow has an IPv6 peer', () => {
  const found = attribute({ from: oursSix, to: '2001:DB8:0:0::9', protocol: 17 });
  assert.deepEqual(found, {
    className: 'all',
    peer: '2001:db8::9',
    family: 6,
    protocol: 17,
    isOriginator: false,
  });
});

test('of two ends that are not ours the peer is the one that began', () => {
  assert.deepEqual(peer({ from: '192.0.2.7', to: '203.0.113.5' }), ['192.0.2.7', true]);
});

test('of two ends that are both ours the peer is the one that began', () => {
  assert.deepEqual(peer({ from: ours, to: '198.51.100.2' }), [ours, true]);
});

test('the other end is where the answers come from, behind a translation', () => {
  // Forwarded to a host behind us: from outside it went to our own address.
  const behind = { from: '203.0.113.5', to: ours, answers: '10.0.0.8' };
  assert.deepEqual(peer(behind), ['203.0.113.5', true]);
  const isLocal = (address: string): boolean => address.startsWith('203.');
  assert.deepEqual(peer(behind, { isLocal }), ['10.0.0.8', false]);
});

test('groups are the network of an address, with its length', () => {
  const groupBits = { 4: 24, 6: 64 } as const;
  assert.deepEqual(peer({ from: '10.8.0.77' }, { groupBits }), ['10.8.0.0/24', true]);
  const six = { from: '2001:db8:1:2:a:b:c:d', to: oursSix };
  assert.deepEqual(peer(six, { groupBits }), ['2001:db8:1:2::/64', true]);
  assert.deepEqual(peer({ from: '10.8.255.77' }, { groupBits: { 4: 20, 6: 128 } }), ['10.8.240.0/20', true]);
  assert.deepEqual(peer({ from: '10.8.255.77' }, { groupBits: { 4: 0, 6: 0 } }), ['0.0.0.0/0', true]);
  assert.deepEqual(peer(six, { groupBits: { 4: 0, 6: 0 } }), ['::/0', true]);
});

test('what is ours is asked of the address, not of its group', () => {
  const groupBits = { 4: 8, 6: 8 };
  assert.deepEqual(peer({ from: ours, to: '198.7.7.7' }, { groupBits }), ['198.0.0.0/8', false]);
});

test('any group is the network that the address lies in', () => {
  const address = fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
  );
  fc.assert(
    fc.property(address, fc.nat(128), (bytes, wanted) => {
      const bits = Math.min(wanted, bytes.length * 8);
      const parsed = ipaddr.fromByteArray([...bytes]);
      const to = bytes.length === 4 ? '198.51.100.2' : oursSix;
      const shape = { from: parsed.toNormalizedString(), to };
      const [found = ''] = peer(shape, { isLocal: () => false, groupBits: { 4: bits, 6: bits } }) ?? [];
      const [base = '', length = String(bytes.length * 8)] = found.split('/');
      assert.equal(Number(length), bits);
      const big = (all: Iterable<number>): bigint =>
        [...all].reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
      const rest = BigInt(bytes.length * 8 - bits);
      assert.equal(big(Buffer.from(bytesOf(base), 'latin1')), (big(bytes) >> rest) << rest);
    }),
  );
});

test('an attributor that has seen more addresses than it remembers still tells them right', () => {
  const one = new Attributor({
    classes: [anything],
    isLocal: (address) => address === ours,
    groupBits: { 4: 32, 6: 128 },
  });
  for (let index = 0; index < 40_000; index += 1) {
    const last = `${index >> 8}.${index & 255}`;
    assert.equal(one.attribute(flow({ from: ours, to: `10.0.${last}` }))?.peer, `10.0.${last}`);
  }
});

const named = (name: string, more: Partial<TrafficClass>): TrafficClass => ({ ...anything, ...more, name });
const classOf = (shape: Shape, ...classes: TrafficClass[]): string | undefined =>
  attribute(shape, { classes })?.className;

test('the first class that fits has the flow, and one that fits none is not counted', () => {
  const web = named('web', { ports: [{ first: 443, last: 443 }] });
  const tcp = named('tcp', { protocols: [6] });
  assert.equal(classOf({}, web, tcp), 'web');
  assert.equal(classOf({}, tcp, web), 'tcp');
  assert.equal(classOf({ ports: [1, 80] }, web, tcp), 'tcp');
  assert.equal(classOf({ ports: [1, 80], protocol: 17 }, web, tcp), undefined);
  assert.equal(classOf({}), undefined);
});

test('a class of a mark looks at the bits of its mask alone', () => {
  const marked = named('marked', { mark: { value: 0x10, mask: 0xf0 } });
  assert.equal(classOf({ mark: 0x1f }, marked), 'marked');
  assert.equal(classOf({ mark: 0x30 }, marked), undefined);
  assert.equal(classOf({ mark: 0 }, marked), undefined);
  const high = named('high', { mark: { value: 0x8000_0000, mask: 0xffff_ffff } });
  assert.equal(classOf({ mark: 0x8000_0000 }, high), 'high');
  assert.equal(classOf({ mark: 0x8000_0001 }, high), undefined);
});

test('a class of protocols has no flow of another', () => {
  const some = named('some', { protocols: [17, 58] });
  assert.deepEqual(
    [6, 17, 58, 1].map((protocol) => classOf({ protocol }, some)),
    [undefined, 'some', 'some', undefined],
  );
});

test('a port counts at either end, and behind a translation', () => {
  const range = named('range', {
    ports: [
      { first: 1_194, last: 1_194 },
      { first: 5_000, last: 5_010 },
    ],
  });
  const fits = (ports: [number, number], replySourcePort?: number): boolean =>
    classOf({ ports, ...(replySourcePort === undefined ? {} : { replySourcePort }) }, range) === 'range';
  assert.ok(fits([40_000, 1_194]) && fits([1_194, 53]));
  assert.ok(fits([40_000, 5_000]) && fits([40_000, 5_010]));
  assert.ok(!fits([40_000, 4_999]) && !fits([40_000, 5_011]));
  assert.ok(fits([40_000, 80], 1_194));
});

test('ICMP has no ports, whatever its id', () => {
  const every = named('every', { ports: [{ first: 1, last: 65_535 }] });
  assert.equal(classOf({ protocol: 1, ports: [4_660, 2_048] }, every), undefined);
  const six = { from: '2001:db8::1', to: oursSix, ports: [1_194, 0x8000] as [number, number] };
  assert.equal(classOf({ ...six, protocol: 58 }, every), undefined);
  assert.equal(classOf({ ...six, protocol: 17 }, every), 'every');
});

test('all parts of a class have to fit', () => {
  const strict = named('strict', {
    mark: { value: 1, mask: 1 },
    protocols: [17],
    ports: [{ first: 53, last: 53 }],
  });
  const whole = { mark: 3, protocol: 17, ports: [9, 53] as [number, number] };
  assert.equal(classOf(whole, strict), 'strict');
  assert.equal(classOf({ ...whole, mark: 2 }, strict), undefined);
  assert.equal(classOf({ ...whole, protocol: 6 }, strict), undefined);
  assert.equal(classOf({ ...whole, ports: [9, 54] }, strict), undefined);
});

const marks = (...all: ([number, number] | undefined)[]): TrafficClass[] =>
  all.map((one) => named('m', { mark: one && { value: one[0], mask: one[1] } }));

test('the common filter is what all marks agree in', () => {
  assert.equal(commonMark([]), undefined);
  assert.equal(commonMark([anything]), undefined);
  assert.deepEqual(commonMark(marks([0x10, 0x10])), { value: 0x10, mask: 0x10 });
  assert.deepEqual(commonMark(marks([0x11, 0xff], [0x13, 0xff])), { value: 0x11, mask: 0xfd });
  assert.deepEqual(commonMark(marks([0x8000_0000, 0xffff_ffff])), { value: 0x8000_0000, mask: 0xffff_ffff });
  assert.equal(commonMark(marks([0x10, 0x10], undefined)), undefined);
  assert.equal(commonMark(marks(undefined, [0x10, 0x10])), undefined);
  assert.equal(commonMark(marks([0x10, 0x10], [0x20, 0x20])), undefined);
  assert.equal(commonMark(marks([1, 1], [0, 1])), undefined);
});

test('every flow that fits a class passes the common filter', () => {
  const word = fc.oneof(
    fc.nat(0xff),
    fc.constantFrom(0x8000_0000, 0xffff_ffff, 0xf000_000f),
    fc.integer({ min: 0, max: 0xffff_ffff }),
  );
  const mark = fc.option(
    fc.tuple(word, word).map(([value, mask]) => ({ value: (value & mask) >>> 0, mask })),
    { nil: undefined, freq: 8 },
  );
  fc.assert(
    fc.property(fc.array(mark, { minLength: 1, maxLength: 4 }), fc.nat(3), word, (all, which, noise) => {
      const classes = all.map((one) => named('m', { mark: one }));
      const { value, mask } = all[which % all.length] ?? { value: 0, mask: 0 };
      const own = ((value & mask) | (noise & ~mask)) >>> 0;
      assert.equal(classOf({ mark: own }, ...classes), 'm');
      const common = commonMark(classes);
      if (common !== undefined) assert.equal((own & common.mask) >>> 0, common.value);
    }),
    { numRuns: 1_000 },
  );
});

test('volumes are as the peer sees them', () => {
  const [sent, received] = [
    { packets: 1, bytes: 100 },
    { packets: 2, bytes: 3_000 },
  ];
  const own = { rxBytes: 3_000, txBytes: 100, rxPackets: 2, txPackets: 1 };
  assert.deepEqual(volumeOf(true, sent, received), own);
  assert.deepEqual(volumeOf(false, received, sent), own);
});

test('protocols have names or numbers, and read back', () => {
  assert.deepEqual(
    ['tcp', 'UDP', 'icmpv6', '0', '6', '255', '256', '999', '-1', '', '1e1', 'http', ' 6'].map(protocolOf),
    [6, 17, 58, 0, 6, 255, undefined, undefined, undefined, undefined, undefined, undefined, undefined],
  );
  assert.deepEqual([6, 17, 1, 200].map(protocolName), ['tcp', 'udp', 'icmp', '200']);
  for (let protocol = 0; protocol <= 255; protocol += 1)
    assert.equal(protocolOf(protocolName(protocol)), protocol);
});

test('addresses are written as RFC 5952 wants them', () => {
  const cases = ['0.0.0.0', '255.255.255.255', '192.0.2.7', '::', '::1', '2001:db8::1:0:0:1', 'fe80::1'];
  for (const text of cases) assert.equal(formatAddress(bytesOf(text)), text);
  assert.equal(formatAddress(bytesOf('2001:DB8:0:0:0:0:0:A')), '2001:db8::a');
});
