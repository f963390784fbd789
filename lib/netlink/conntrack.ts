// Flows of connection tracking as the kernel tells them (linux/netfilter/nfnetlink_conntrack.h): events and dumps to
// values, and the request for a dump. Values of attributes are big-endian. Attributes that are unknown, or of another
// size than this knows, are passed over: newer kernels have more.
import { LaresError } from '../errors.ts';
import { attribute, eachAttribute, encodeMessage, flag, type Message } from './message.ts';

const subsystem = 1;
const messageType = { new: subsystem << 8, get: (subsystem << 8) | 1, delete: (subsystem << 8) | 2 } as const;
const createFlags = 0x600;
/** struct nfgenmsg. */
const generalBytes = 4;

const cta = {
  tupleOriginal: 1,
  tupleReply: 2,
  status: 3,
  mark: 8,
  countersOriginal: 9,
  countersReply: 10,
  id: 12,
  zone: 18,
  timestamp: 20,
  markMask: 21,
} as const;

/** IPS_* bits of `status`. */
export const statusBit = {
  sourceNat: 0x10,
  destinationNat: 0x20,
  offload: 0x4000,
  hardwareOffload: 0x8000,
} as const;

export interface Tuple {
  /** 4 or 16 bytes each, network order. */
  source: Buffer;
  destination: Buffer;
  /** IPPROTO_*. */
  protocol: number;
  /** Ports, or 0; of ICMP the id, and type and code as one number. */
  sourcePort: number;
  destinationPort: number;
}

export interface Counters {
  packets: number;
  /** IP bytes, header included. */
  bytes: number;
}

export interface Flow {
  event: 'new' | 'update' | 'destroy' | 'dumped';
  /** The same 32 bits in every message of one flow. */
  id: number;
  original: Tuple;
  reply: Tuple;
  status: number;
  mark: number;
  zone: number;
  /** From the source to the destination of `original`; undefined where the kernel does not count. */
  sent: Counters | undefined;
  received: Counters | undefined;
  /** Unix nanoseconds; undefined where the kernel does not say. */
  startNs: bigint | undefined;
  stopNs: bigint | undefined;
}

const nobody = Buffer.alloc(0);
const noTuple: Tuple = {
  source: nobody,
  destination: nobody,
  protocol: 0,
  sourcePort: 0,
  destinationPort: 0,
};

/** The flow of a message; undefined for a message of another kind. @throws LaresError E_NETLINK */
export function flowOf({ type, flags, payload }: Message): Flow | undefined {
  if (type !== messageType.new && type !== messageType.delete) return undefined;
  if (payload.length < generalBytes) throw new LaresError('E_NETLINK', 'a flow without its header');
  const flow: Flow = {
    event: eventOf(type, flags),
    id: 0,
    original: noTuple,
    reply: noTuple,
    status: 0,
    mark: 0,
    zone: 0,
    sent: undefined,
    received: undefined,
    startNs: undefined,
    stopNs: undefined,
  };
  eachAttribute(payload, generalBytes, payload.length, (kind, start, end) =>
    takeAttribute(flow, payload, kind, start, end),
  );
  if (flow.original === noTuple) throw new LaresError('E_NETLINK', 'a flow without a tuple');
  return flow;
}

function eventOf(type: number, flags: number): Flow['event'] {
  if (type === messageType.delete) return 'destroy';
  if ((flags & createFlags) !== 0) return 'new';
  return (flags & flag.multi) === 0 ? 'update' : 'dumped';
}

function takeAttribute(flow: Flow, bytes: Buffer, kind: number, start: number, end: number): void {
  const size = end - start;
  switch (kind) {
    case cta.tupleOriginal:
      flow.original = tupleOf(bytes, start, end);
      break;
    case cta.tupleReply:
      flow.reply = tupleOf(bytes, start, end);
      break;
    case cta.countersOriginal:
      flow.sent = countersOf(bytes, start, end);
      break;
    case cta.countersReply:
      flow.received = countersOf(bytes, start, end);
      break;
    case cta.timestamp:
      eachAttribute(bytes, start, end, (which, from, to) => {
        if (to - from !== 8) return;
        if (which === 1) flow.startNs = bytes.readBigUInt64BE(from);
        else if (which === 2) flow.stopNs = bytes.readBigUInt64BE(from);
      });
      break;
    case cta.status:
      if (size === 4) flow.status = bytes.readUInt32BE(start);
      break;
    case cta.mark:
      if (size === 4) flow.mark = bytes.readUInt32BE(start);
      break;
    case cta.id:
      if (size === 4) flow.id = bytes.readUInt32BE(start);
      break;
    case cta.zone:
      if (size === 2) flow.zone = bytes.readUInt16BE(start);
      break;
  }
}

function tupleOf(bytes: Buffer, start: number, end: number): Tuple {
  const tuple: Tuple = { ...noTuple };
  eachAttribute(bytes, start, end, (part, from, to) => {
    if (part === 1)
      eachAttribute(bytes, from, to, (kind, at, till) => takeAddress(tuple, bytes, kind, at, till));
    else if (part === 2)
      eachAttribute(bytes, from, to, (kind, at, till) => takePort(tuple, bytes, kind, at, till));
  });
  return tuple;
}

function takeAddress(tuple: Tuple, bytes: Buffer, kind: number, start: number, end: number): void {
  // 1 and 2 for IPv4, 3 and 4 for IPv6.
  if (end - start !== (kind <= 2 ? 4 : 16)) return;
  if (kind === 1 || kind === 3) tuple.source = bytes.subarray(start, end);
  else if (kind === 2 || kind === 4) tuple.destination = bytes.subarray(start, end);
}

function takePort(tuple: Tuple, bytes: Buffer, kind: number, start: number, end: number): void {
  const size = end - start;
  if (kind === 1 && size === 1) tuple.protocol = bytes.readUInt8(start);
  // Port, or the id of ICMP (4) and ICMPv6 (7).
  else if ((kind === 2 || kind === 4 || kind === 7) && size === 2)
    tuple.sourcePort = bytes.readUInt16BE(start);
  else if (kind === 3 && size === 2) tuple.destinationPort = bytes.readUInt16BE(start);
  else if ((kind === 5 || kind === 8) && size === 1) tuple.destinationPort |= bytes.readUInt8(start) << 8;
  else if ((kind === 6 || kind === 9) && size === 1) tuple.destinationPort |= bytes.readUInt8(start);
}

function countersOf(bytes: Buffer, start: number, end: number): Counters {
  const counters: Counters = { packets: 0, bytes: 0 };
  eachAttribute(bytes, start, end, (kind, from, to) => {
    if (to - from !== 8) return;
    // Exact up to 8 PiB for one flow.
    const value = bytes.readUInt32BE(from) * 0x1_0000_0000 + bytes.readUInt32BE(from + 4);
    if (kind === 1) counters.packets = value;
    else if (kind === 2) counters.bytes = value;
  });
  return counters;
}

/** Asks for all flows whose mark is `mark.value` under `mark.mask`, or for all. */
export function dumpRequest(sequence: number, mark?: { value: number; mask: number }): Buffer {
  const filter =
    mark === undefined
      ? []
      : [attribute(cta.mark, be32(mark.value)), attribute(cta.markMask, be32(mark.mask))];
  const payload = Buffer.concat([Buffer.alloc(generalBytes), ...filter]);
  return encodeMessage(messageType.get, flag.request | flag.dump, sequence, payload);
}

function be32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}
