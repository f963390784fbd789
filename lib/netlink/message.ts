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

/** The messages of one datagram, in order. @throws LaresError E_NETLINK */
export function messagesOf(datagram: Buffer): Message[] {
  const messages: Message[] = [];
  for (let at = 0; at < datagram.length; ) {
    const left = datagram.length - at;
    const length = left < headerBytes ? 0 : datagram.readUInt32LE(at);
    if (length < headerBytes || length > left)
      throw new LaresError('E_NETLINK', `a message of ${length} bytes at ${at} of ${datagram.length}`);
    messages.push({
      type: datagram.readUInt16LE(at + 4),
      flags: datagram.readUInt16LE(at + 6),
      sequence: datagram.readUInt32LE(at + 8),
      portId: datagram.readUInt32LE(at + 12),
      payload: datagram.subarray(at + headerBytes, at + length),
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

const attributeHeaderBytes = 4;
/** Without the bits for "nested" and "network byte order". */
const typeMask = 0x3fff;

/**
 * Calls `visit` for each attribute between `from` and `to`, with where its value lies. @throws LaresError E_NETLINK
 */
export function eachAttribute(
  bytes: Buffer,
  from: number,
  to: number,
  visit: (type: number, start: number, end: number) => void,
): void {
  for (let at = from; at < to; ) {
    const length = to - at < attributeHeaderBytes ? 0 : bytes.readUInt16LE(at);
    if (length < attributeHeaderBytes || at + length > to)
      throw new LaresError('E_NETLINK', `an attribute of ${length} bytes at ${at} of ${to}`);
    visit(bytes.readUInt16LE(at + 2) & typeMask, at + attributeHeaderBytes, at + length);
    at += aligned(length);
  }
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
