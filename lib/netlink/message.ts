// Netlink's framing (netlink(7), linux/netlink.h): messages of a datagram, and attributes of a message. Lengths and
// types are in the machine's byte order, which is little-endian on both architectures that this runs on; lengths are
// never trusted. A message that is cut short or overruns its datagram is an error: what follows it cannot be found.
import { LaresError } from '../errors.ts';

export const headerBytes = 16;

/** nlmsg_type of the control messages. */
export const control = { noop: 1, error: 2, done: 3 } as const;

/** nlmsg_flags. */
export const flag = {
  request: 0x1,
  multi: 0x2,
  ack: 0x4,
  interrupted: 0x10,
  filtered: 0x20,
  dump: 0x300,
} as const;

export interface Message {
  type: number;
  flags: number;
  sequence: number;
  portId: number;
  /** Without the header. */
  payload: Buffer;
}

const aligned = (length: number): number => (length + 3) & ~3;

/** The messages of one datagram, which lies between `from` and `to`, in order. @throws LaresError E_NETLINK */
export function messagesOf(bytes: Buffer, from = 0, to = bytes.length): Message[] {
  const messages: Message[] = [];
  for (let at = from; at < to; ) {
    const left = to - at;
    const length = left < headerBytes ? 0 : bytes.readUInt32LE(at);
    if (length < headerBytes || length > left)
      throw new LaresError('E_NETLINK', `a message of ${length} bytes at ${at - from} of ${to - from}`);
    messages.push({
      type: bytes.readUInt16LE(at + 4),
      flags: bytes.readUInt16LE(at + 6),
      sequence: bytes.readUInt32LE(at + 8),
      portId: bytes.readUInt32LE(at + 12),
      payload: bytes.subarray(at + headerBytes, at + length),
    });
    at += aligned(length);
  }
  return messages;
}

/** The errno of an error message or of the end of a dump, positive; 0: none. @throws LaresError E_NETLINK */
export function errorOf({ payload }: Message): number {
  // The end of a dump has a status only in newer kernels.
  if (payload.length === 0) return 0;
  if (payload.length < 4) throw new LaresError('E_NETLINK', `a status of ${payload.length} bytes`);
  return 0 - payload.readInt32LE(0);
}

export const attributeHeaderBytes = 4;
/** Without the bits for "nested" and "network byte order". */
const typeMask = 0x3fff;

/**
 * Where the value of the attribute at `at` ends; it begins at `at + attributeHeaderBytes`. Attributes are gone through
 * with these three in a plain loop, for there are thirty in a flow. @throws LaresError E_NETLINK where it overruns `to`
 */
export function attributeEnd(bytes: Buffer, at: number, to: number): number {
  const length = to - at < attributeHeaderBytes ? 0 : u16(bytes, at);
  if (length < attributeHeaderBytes || at + length > to)
    throw new LaresError('E_NETLINK', `an attribute of ${length} bytes at ${at} of ${to}`);
  return at + length;
}

export function attributeType(bytes: Buffer, at: number): number {
  return u16(bytes, at + 2) & typeMask;
}

/** Where the attribute after one begins: `from` is where the first of them began. */
export function attributeAfter(end: number, from: number): number {
  return from + aligned(end - from);
}

function u16(bytes: Buffer, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
}

/** An attribute, padded. */
export function attribute(type: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc(aligned(attributeHeaderBytes + value.length));
  bytes.writeUInt16LE(attributeHeaderBytes + value.length, 0);
  bytes.writeUInt16LE(type, 2);
  value.copy(bytes, attributeHeaderBytes);
  return bytes;
}

/** A message to the kernel. */
export function encodeMessage(type: number, flags: number, sequence: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.writeUInt32LE(headerBytes + payload.length, 0);
  header.writeUInt16LE(type, 4);
  header.writeUInt16LE(flags, 6);
  header.writeUInt32LE(sequence, 8);
  return Buffer.concat([header, payload]);
}
