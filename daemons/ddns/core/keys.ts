// Ed25519 keys as the zone and the key files write them: base64url of 32 bytes. Public keys that no honest generator
// makes (small order, non-canonical) are refused here, when they are read, because OpenSSL's verification has accepted
// them in the past. Seeds stay in Buffers that the caller zeroes; they never become strings on the way to a signature.
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { Point } from '@noble/ed25519';
import { LaresError } from '../../../lib/errors.ts';
import { keyIdBytes } from './wire.ts';

export const keyBytes = 32;

// RFC 8410: the fixed DER bytes before the raw key.
const privatePrefix = Buffer.from('302e020100300506032b657004220420', 'hex');
const publicPrefix = Buffer.from('302a300506032b6570032100', 'hex');

const alphabet = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_');
const base64Digits = new Map(alphabet.entries().map(([value, digit]) => [digit, value]));
base64Digits.set('+'.charCodeAt(0), 62).set('/'.charCodeAt(0), 63);
const digitCount = 43;
const padding = '='.charCodeAt(0);

/**
 * 32 bytes from the ASCII of their base64, either alphabet, padded or not. Works on bytes alone, so that a seed leaves
 * no string behind. @throws LaresError E_DDNS_KEY
 */
export function decodeKey(text: Buffer): Buffer {
  const key = Buffer.alloc(keyBytes + 1);
  const padded = text.length === digitCount + 1 && text[digitCount] === padding;
  const digits = text.length === digitCount || padded ? text.subarray(0, digitCount) : Buffer.alloc(0);
  let bits = 0;
  let held = 0;
  let at = 0;
  for (const byte of digits) {
    bits = ((bits << 6) | (base64Digits.get(byte) ?? badKey(key))) & 0x3fff;
    held += 6;
    if (held >= 8) {
      held -= 8;
      key[at++] = (bits >> held) & 0xff;
    }
  }
  // 43 digits carry 258 bits; were the last two not zero, several texts would name one key.
  if (at !== keyBytes || (bits & 3) !== 0) badKey(key);
  return key.subarray(0, keyBytes);
}

function badKey(partial: Buffer): never {
  partial.fill(0);
  throw new LaresError('E_DDNS_KEY', 'not a key: 32 bytes as base64url are 43 letters and one =');
}

/** Padded base64url. */
export function encodeKey(bytes: Buffer): string {
  return `${bytes.toString('base64url')}=`;
}

/** The id that packets carry: the head of base64url(SHA-256(public key)). */
export function keyIdOf(publicKey: Buffer): string {
  return createHash('sha256').update(publicKey).digest('base64url').slice(0, keyIdBytes);
}

/** @throws LaresError E_DDNS_WEAK_KEY for what is no point, not in canonical form, or of small order. */
export function checkPublicKey(publicKey: Buffer): void {
  let point: Point;
  try {
    // Strict decoding: y below the field's prime and no negative zero.
    point = Point.fromBytes(publicKey, false);
  } catch (cause) {
    throw new LaresError('E_DDNS_WEAK_KEY', 'not a point of Ed25519, or not in canonical form', { cause });
  }
  if (point.isSmallOrder())
    throw new LaresError('E_DDNS_WEAK_KEY', 'a point of small order: such a key verifies any message');
}

/** For `verifySignature`; the point must have passed `checkPublicKey`. */
export function publicKeyObject(publicKey: Buffer): KeyObject {
  return createPublicKey({ key: Buffer.concat([publicPrefix, publicKey]), format: 'der', type: 'spki' });
}

export function verifySignature(key: KeyObject, signed: Buffer, signature: Buffer): boolean {
  return verify(null, signed, key, signature);
}

/** A key to sign with. The seed may be zeroed afterwards; the copy made here already is. */
export class SigningKey {
  readonly keyId: string;
  readonly publicKey: Buffer;
  readonly #private: KeyObject;

  constructor(seed: Buffer) {
    const der = Buffer.concat([privatePrefix, seed]);
    this.#private = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    der.fill(0);
    const spki = createPublicKey(this.#private).export({ format: 'der', type: 'spki' });
    this.publicKey = spki.subarray(publicPrefix.length);
    this.keyId = keyIdOf(this.publicKey);
  }

  sign(message: Buffer): Buffer {
    return sign(null, message, this.#private);
  }
}
