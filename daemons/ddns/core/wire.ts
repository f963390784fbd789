// Wire format v1, byte for byte that of the 2014 Python tools: 28 bytes of key id, the time as a big-endian IEEE-754
// double in Unix seconds, and an Ed25519 signature over those 36 bytes. 100 bytes, always. See
// docs/ddns-wire-format.md.

export const packetBytes = 100;
export const signedBytes = 36;
export const keyIdBytes = 28;
const stampOffset = keyIdBytes;

/** The fields of a packet; `signed` and `signature` are views of it. Its length must have been checked. */
export interface Packet {
  keyId: string;
  /** Unix seconds; any double, NaN and infinities included. */
  stamp: number;
  signed: Buffer;
  signature: Buffer;
}

/** The key id alone: the cheapest look at a packet of the right length. */
export function readKeyId(packet: Buffer): string {
  return packet.toString('latin1', 0, keyIdBytes);
}

export function readPacket(packet: Buffer): Packet {
  return {
    keyId: readKeyId(packet),
    stamp: packet.readDoubleBE(stampOffset),
    signed: packet.subarray(0, signedBytes),
    signature: packet.subarray(signedBytes),
  };
}

/** Builds a packet; `sign` gets the 36 bytes and returns 64. */
export function buildPacket(keyId: string, stamp: number, sign: (signed: Buffer) => Buffer): Buffer {
  const packet = Buffer.alloc(packetBytes);
  packet.write(keyId, 0, keyIdBytes, 'latin1');
  packet.writeDoubleBE(stamp, stampOffset);
  sign(packet.subarray(0, signedBytes)).copy(packet, signedBytes);
  return packet;
}
