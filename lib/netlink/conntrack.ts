// Flows of connection tracking as the kernel tells them (linux/netfilter/nfnetlink_conntrack.h): events and dumps to
// values, and the request for a dump. Values of attributes are big-endian. Attributes that are unknown, or of another
// size than this knows, are passed over: newer kernels have more.
import { LaresError } from '../errors.ts';
import {
  attribute,
  attributeAfter,
  attributeEnd,
  attributeHeaderBytes,
  attributeType,
  encodeMessage,
  flag,
  type Message,
} from './message.ts';

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
  /** 4 or 16 bytes each, network order, a character (latin1) for each byte: cheap to make, to keep and to look up. */
  source: string;
  destination: string;
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
  /** Unix milliseconds with fractions; undefined where the kernel does not say. */
  startMs: number | undefined;
  stopMs: number | undefined;
}

const noTuple: Tuple = {
  source: '',
  destination: '',
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
    startMs: undefined,
    stopMs: undefined,
  };
  for (let at = generalBytes; at < payload.length; ) {
    const end = attributeEnd(payload, at, payload.length);
    takeAttribute(flow, payload, attributeType(payload, at), at + attributeHeaderBytes, end);
    at = attributeAfter(end, generalBytes);
  }
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
      takeTimes(flow, bytes, start, end);
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

function takeTimes(flow: Flow, bytes: Buffer, start: number, end: number): void {
  for (let at = start; at < end; ) {
    const stop = attributeEnd(bytes, at, end);
    const kind = attributeType(bytes, at);
    const from = at + attributeHeaderBytes;
    if (kind === 1 && stop - from === 8) flow.startMs = u64(bytes, from) / 1e6;
    else if (kind === 2 && stop - from === 8) flow.stopMs = u64(bytes, from) / 1e6;
    at = attributeAfter(stop, start);
  }
}

function tupleOf(bytes: Buffer, start: number, end: number): Tuple {
  const tuple: Tuple = {
    source: '',
    destination: '',
    protocol: 0,
    sourcePort: 0,
    destinationPort: 0,
  };
  for (let at = start; at < end; ) {
    const stop = attributeEnd(bytes, at, end);
    const kind = attributeType(bytes, at);
    if (kind === 1) takeParts(tuple, bytes, at + attributeHeaderBytes, stop, takeAddress);
    else if (kind === 2) takeParts(tuple, bytes, at + attributeHeaderBytes, stop, takePort);
    at = attributeAfter(stop, start);
  }
  return tuple;
}

function takeParts(
  tuple: Tuple,
  bytes: Buffer,
  start: number,
  end: number,
  take: (tuple: Tuple, bytes: Buffer, kind: number, start: number, end: number) => void,
): void {
  for (let at = start; at < end; ) {
    const stop = attributeEnd(bytes, at, end);
    take(tuple, bytes, attributeType(bytes, at), at + attributeHeaderBytes, stop);
    at = attributeAfter(stop, start);
  }
}

function takeAddress(tuple: Tuple, bytes: Buffer, kind: number, start: number, end: number): void {
  // 1 and 2 for IPv4, 3 and 4 for IPv6.
  if (end - start !== (kind <= 2 ? 4 : 16)) return;
  if (kind === 1 || kind === 3) tuple.source = bytes.toString('latin1', start, end);
  else if (kind === 2 || kind === 4) tuple.destination = bytes.toString('latin1', start, end);
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
  for (let at = start; at < end; ) {
    const stop = attributeEnd(bytes, at, end);
    const kind = attributeType(bytes, at);
    const from = at + attributeHeaderBytes;
    if (kind === 1 && stop - from === 8) counters.packets = u64(bytes, from);
    else if (kind === 2 && stop - from === 8) counters.bytes = u64(bytes, from);
    at = attributeAfter(stop, start);
  }
  return counters;
}

/** As a number, which is exact up to 2^53: 8 PiB of one flow, and its times to a quarter of a microsecond. */
function u64(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * 0x1_0000_0000 + bytes.readUInt32BE(at + 4);
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
