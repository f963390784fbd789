// The wire format against others: the vector of the 2014 tools, OpenSSL's command line as a second party, and
// @noble/ed25519 as a second implementation of Ed25519. Format: docs/ddns-wire-format.md.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { hashes, sign as nobleSign, verify as nobleVerify, Point } from '@noble/ed25519';
import fc from 'fast-check';
import { SignatureBudget } from '../../daemons/ddns/core/bucket.ts';
import { type Decision, decide } from '../../daemons/ddns/core/decide.ts';
import {
  decodeKey,
  encodeKey,
  keyIdOf,
  publicKeyObject,
  SigningKey,
  verifySignature,
} from '../../daemons/ddns/core/keys.ts';
import { buildPacket, readPacket, signedBytes } from '../../daemons/ddns/core/wire.ts';
import { parseZone } from '../../daemons/ddns/core/zone.ts';
import { root } from '../support/daemon.ts';
import { scratch } from '../support/scratch.ts';

hashes.sha512 = (message) => Uint8Array.from(createHash('sha512').update(message).digest());

const golden = {
  secret: '1k_Nf7FSEWHC2I65DfI2SAhtk1q0Ps9RcLy9PinyDLs=',
  publicText: 'jLxAZY-vnJfubHr8srYy3mIN2_mCi_OExUwHOluOlLY=',
  keyId: 'QlH0RDCxXrI2OvL2OUA4DBeDY79X',
  stamp: 1_405_421_249.89,
  signed: '516c483052444378587249324f764c324f554134444265445937395841d4f141b078f5c3',
  signature:
    'e4e5044014995fcff68408695ff4c819348f1ec4e3cc79534a2a53dd5bb11555' +
    '57d8d322775701dafe5efd29d49c93323ab73139f1485e1d8179dd3324aafe0e',
};
// The seed is 32 bytes of value 1; the key id has a - and a _, which that of the vector has not.
const second = {
  secret: 'AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=',
  publicText: 'iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=',
  keyId: 'NHUPmL1Z_PyUbaRaqr6TO-FUpLUJ',
};
const randomKeys = 4;
const prefixes = { private: '302e020100300506032b657004220420', public: '302a300506032b6570032100' };

test('the vector of the 2014 tools comes out byte for byte', () => {
  const key = new SigningKey(decodeKey(Buffer.from(golden.secret)));
  const packet = packetOf(key, golden.stamp);

  assert.equal(encodeKey(key.publicKey), golden.publicText);
  assert.equal(key.keyId, golden.keyId);
  assert.equal(packet.toString('hex'), golden.signed + golden.signature);
});

test('a key id is base64url, not base64', () => {
  const key = new SigningKey(decodeKey(Buffer.from(second.secret)));
  assert.equal(encodeKey(key.publicKey), second.publicText);
  assert.equal(key.keyId, second.keyId);
});

test('the vector of the 2014 tools is accepted, and one changed bit anywhere in it is not', () => {
  const packet = Buffer.from(golden.signed + golden.signature, 'hex');
  const publicKey = decodeKey(Buffer.from(golden.publicText));
  assert.equal(judge(packet, publicKey), 'verified');

  for (let bit = 0; bit < packet.length * 8; bit += 1) {
    const altered = flip(packet, bit);
    assert.notEqual(judge(altered, publicKey), 'verified', `bit ${bit}`);
  }
});

test('the documentation gives every value of the vectors', () => {
  const text = readFileSync(path.join(root, 'docs/ddns-wire-format.md'), 'utf8');
  const key = new SigningKey(decodeKey(Buffer.from(golden.secret)));
  const dense = text.replaceAll(/\s+/g, '');

  for (const { secret, publicText, keyId } of [golden, second])
    for (const value of [secret, publicText, keyId]) assert.ok(text.includes(value), value);
  assert.ok(text.includes(String(golden.stamp)));
  for (const bytes of [
    decodeKey(Buffer.from(golden.secret)),
    key.publicKey,
    createHash('sha256').update(key.publicKey).digest(),
    Buffer.from(key.keyId),
    doubleOf(golden.stamp),
    Buffer.from(golden.signed, 'hex'),
    Buffer.from(golden.signature, 'hex'),
  ])
    assert.ok(dense.includes(bytes.toString('hex')), bytes.toString('hex'));
});

test('openssl verifies the packets that are built here, and none that was changed', (t) => {
  const folder = scratch(t);
  for (let count = 0; count < randomKeys; count += 1) {
    const key = new SigningKey(randomBytes(32));
    const packet = packetOf(key, 1_700_000_000 + Math.random());
    assert.ok(opensslVerifies(folder, packet, key.publicKey));
    assert.ok(!opensslVerifies(folder, flip(packet, Math.floor(Math.random() * 800)), key.publicKey));
  }
});

test('a packet that openssl signed is accepted, and is the one that is built here', (t) => {
  const folder = scratch(t);
  for (let count = 0; count < randomKeys; count += 1) {
    const { seed, publicKey } = opensslKey(folder);
    const stamp = 1_700_000_000 + Math.random();
    const signed = Buffer.concat([Buffer.from(keyIdOf(publicKey)), doubleOf(stamp)]);
    const packet = Buffer.concat([signed, opensslSigns(folder, signed)]);

    assert.equal(judge(packet, publicKey), 'verified');
    assert.deepEqual(packetOf(new SigningKey(seed), stamp), packet);
  }
});

test('both implementations make the same key and the same signature of one seed', () => {
  fc.assert(
    fc.property(bytes(32), bytes(signedBytes), (seed, message) => {
      assert.deepEqual(new SigningKey(seed).sign(message), Buffer.from(nobleSign(message, seed)));
    }),
    { numRuns: 30 },
  );
});

// Where R has a part of small order the two need not agree (the other one multiplies by the cofactor), and OpenSSL
// decides; such an R is left out here.
test('both implementations agree on valid and on altered signatures', (t) => {
  const seen = { valid: 0, invalid: 0 };
  fc.assert(
    fc.property(bytes(32), bytes(signedBytes), alteration, (seed, message, alter) => {
      const key = new SigningKey(seed);
      const altered = alter({ message, signature: key.sign(message) });
      fc.pre(!hasTorsion(altered.signature.subarray(0, 32)));

      const ours = verifySignature(publicKeyObject(key.publicKey), altered.message, altered.signature);
      assert.equal(ours, nobleAccepts(altered, key.publicKey));
      seen[ours ? 'valid' : 'invalid'] += 1;
    }),
    { numRuns: 150 },
  );
  t.diagnostic(`${seen.valid} valid, ${seen.invalid} not`);
  assert.ok(seen.valid > 0 && seen.invalid > 0);
});

interface Signed {
  message: Buffer;
  signature: Buffer;
}

function bytes(length: number): fc.Arbitrary<Buffer> {
  return fc.uint8Array({ minLength: length, maxLength: length }).map((array) => Buffer.from(array));
}

const groupOrder = Point.CURVE().n;

const alteration: fc.Arbitrary<(signed: Signed) => Signed> = fc.oneof(
  fc.constant((signed: Signed) => signed),
  fc.nat(signedBytes * 8 - 1).map((bit) => ({ message, signature }: Signed) => ({
    message: flip(message, bit),
    signature,
  })),
  fc.nat(64 * 8 - 1).map((bit) => ({ message, signature }: Signed) => ({
    message,
    signature: flip(signature, bit),
  })),
  // Another point of the prime subgroup as R, S as it was.
  fc.bigInt({ min: 1n, max: groupOrder - 1n }).map((scalar) => ({ message, signature }: Signed) => ({
    message,
    signature: Buffer.concat([Point.BASE.multiply(scalar).toBytes(), signature.subarray(32)]),
  })),
  // The same S modulo the group's order, but not in its one allowed form.
  fc.constant(({ message, signature }: Signed) => ({
    message,
    signature: Buffer.concat([signature.subarray(0, 32), plusOrder(signature.subarray(32))]),
  })),
  bytes(32).map((scalar) => ({ message, signature }: Signed) => ({
    message,
    signature: Buffer.concat([signature.subarray(0, 32), scalar]),
  })),
);

function plusOrder(scalar: Buffer): Buffer {
  const sum = BigInt(`0x${Buffer.from(scalar).reverse().toString('hex')}`) + groupOrder;
  return Buffer.from(sum.toString(16).padStart(64, '0'), 'hex').reverse();
}

/** Whether these bytes are a point outside the prime subgroup; what is no point at all is not. */
function hasTorsion(encoded: Buffer): boolean {
  let point: Point;
  try {
    point = Point.fromBytes(encoded, false);
  } catch {
    return false;
  }
  return !point.isTorsionFree();
}

function nobleAccepts({ message, signature }: Signed, publicKey: Buffer): boolean {
  return nobleVerify(signature, message, publicKey, { zip215: false });
}

function flip(original: Buffer, bit: number): Buffer {
  const copy = Buffer.from(original);
  copy.writeUInt8(copy.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
  return copy;
}

function doubleOf(stamp: number): Buffer {
  const double = Buffer.alloc(8);
  double.writeDoubleBE(stamp);
  return double;
}

function packetOf(key: SigningKey, stamp: number): Buffer {
  return buildPacket(key.keyId, stamp, (signed) => key.sign(signed));
}

/** What a receiver that knows this key alone says, at the time that the unaltered packet names. */
function judge(packet: Buffer, publicKey: Buffer): Decision['kind'] {
  const zone = parseZone(Buffer.from(`# dynamic: 0 ${encodeKey(publicKey)}\n+a.example.org:192.0.2.1\n`));
  const rules = { window: { maxClockSkewMs: 600_000, maxAgeMs: Number.POSITIVE_INFINITY }, opened: [] };
  const tables = { zone, known: () => undefined, budget: new SignatureBudget(500, 0) };
  return decide(packet, '9.9.9.9', rules, tables, 1_800_000_000_000, 0).kind;
}

function opensslVerifies(folder: string, packet: Buffer, publicKey: Buffer): boolean {
  const { signed, signature } = readPacket(packet);
  const file = (name: string, content: Buffer): string => {
    writeFileSync(path.join(folder, name), content);
    return path.join(folder, name);
  };
  const key = file('public.der', Buffer.concat([Buffer.from(prefixes.public, 'hex'), publicKey]));
  const args = ['-verify', '-rawin', '-pubin', '-keyform', 'DER', '-inkey', key];
  const files = ['-in', file('signed', signed), '-sigfile', file('signature', signature)];
  const { status, stdout } = spawnSync('openssl', ['pkeyutl', ...args, ...files], { encoding: 'utf8' });
  assert.match(stdout, status === 0 ? /Verified Success/ : /Verification Failure/);
  return status === 0;
}

/** A key that openssl made, left in the folder as `private.der`. */
function opensslKey(folder: string): { seed: Buffer; publicKey: Buffer } {
  const file = path.join(folder, 'private.der');
  execFileSync('openssl', ['genpkey', '-algorithm', 'ed25519', '-outform', 'DER', '-out', file]);
  const der = readFileSync(file);
  assert.equal(der.subarray(0, -32).toString('hex'), prefixes.private);
  const form = ['-inform', 'DER', '-pubout', '-outform', 'DER'];
  const spki = execFileSync('openssl', ['pkey', '-in', file, ...form]);
  return { seed: der.subarray(-32), publicKey: spki.subarray(-32) };
}

function opensslSigns(folder: string, message: Buffer): Buffer {
  const input = path.join(folder, 'message');
  writeFileSync(input, message);
  const key = ['-keyform', 'DER', '-inkey', path.join(folder, 'private.der')];
  return execFileSync('openssl', ['pkeyutl', '-sign', '-rawin', ...key, '-in', input]);
}
