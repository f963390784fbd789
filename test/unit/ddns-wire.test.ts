// Wire format v1 and keys against the vector of the 2014 tools.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Point } from '@noble/ed25519';
import fc from 'fast-check';
import {
  checkPublicKey,
  decodeKey,
  encodeKey,
  keyIdOf,
  publicKeyObject,
  SigningKey,
  verifySignature,
} from '../../daemons/ddns/core/keys.ts';
import { buildPacket, packetBytes, readPacket } from '../../daemons/ddns/core/wire.ts';

const secret = '1k_Nf7FSEWHC2I65DfI2SAhtk1q0Ps9RcLy9PinyDLs=';
const publicText = 'jLxAZY-vnJfubHr8srYy3mIN2_mCi_OExUwHOluOlLY=';
const keyId = 'QlH0RDCxXrI2OvL2OUA4DBeDY79X';
const golden =
  '516c483052444378587249324f764c324f554134444265445937395841d4f141b078f5c3e4e5044014995fcff68408695f' +
  'f4c819348f1ec4e3cc79534a2a53dd5bb1155557d8d322775701dafe5efd29d49c93323ab73139f1485e1d8179dd3324aafe0e';
const ascii = (text: string): Buffer => Buffer.from(text, 'latin1');

test('the golden packet is built byte for byte', () => {
  const key = new SigningKey(decodeKey(ascii(secret)));
  assert.equal(key.keyId, keyId);
  assert.equal(encodeKey(key.publicKey), publicText);
  assert.equal(buildPacket(keyId, 1405421249.89, (signed) => key.sign(signed)).toString('hex'), golden);
});

test('the golden packet is read back and verifies', () => {
  const packet = readPacket(Buffer.from(golden, 'hex'));
  assert.equal(packet.keyId, keyId);
  assert.equal(packet.stamp, 1405421249.89);
  assert.ok(verifySignature(publicKeyObject(decodeKey(ascii(publicText))), packet.signed, packet.signature));
});

test('every double survives the wire', () => {
  fc.assert(
    fc.property(fc.double(), (stamp) => {
      const packet = buildPacket(keyId, stamp, () => Buffer.alloc(64));
      assert.equal(packet.length, packetBytes);
      assert.ok(Object.is(readPacket(packet).stamp, stamp));
    }),
  );
});

test('keys are read with either alphabet and with or without padding, and written padded in base64url', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
      const key = Buffer.from(bytes);
      for (const text of [
        encodeKey(key),
        encodeKey(key).slice(0, 43),
        key.toString('base64'),
        key.toString('base64').slice(0, 43),
      ]) {
        assert.deepEqual(decodeKey(ascii(text)), key);
      }
    }),
  );
  assert.match(encodeKey(Buffer.alloc(32, 0xff)), /^_{42}8=$/);
});

test('what is not exactly 32 bytes of base64 is no key', () => {
  const bad = [
    '',
    'A',
    secret.slice(0, 42),
    `${secret}=`,
    `${secret}A`,
    `${secret.slice(0, 42)}B=`,
    secret.replace('_', ' '),
    secret.replace('_', '*'),
    'é'.repeat(43),
  ];
  for (const text of bad) assert.throws(() => decodeKey(ascii(text)), { code: 'E_DDNS_KEY' }, text);
});

test('any bytes are a key or an error of ours', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 50 }), (bytes) => {
      try {
        assert.equal(decodeKey(Buffer.from(bytes)).length, 32);
      } catch (error) {
        assert.equal((error as { code: string }).code, 'E_DDNS_KEY');
      }
    }),
  );
});

test('public keys of small order are refused', () => {
  // Points of order 1, 2, 4 and 8, from the torsion subgroup of the curve.
  const small = [
    '0100000000000000000000000000000000000000000000000000000000000000',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    '0000000000000000000000000000000000000000000000000000000000000000',
    '0000000000000000000000000000000000000000000000000000000000000080',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  ];
  for (const hex of small)
    assert.throws(() => checkPublicKey(Buffer.from(hex, 'hex')), { code: 'E_DDNS_WEAK_KEY' }, hex);
});

test('public keys in other than canonical form are refused', () => {
  const p = 2n ** 255n - 19n;
  const little = (value: bigint): Buffer =>
    Buffer.from(value.toString(16).padStart(64, '0'), 'hex').reverse();
  // y + p names the same point as y for the few y below 19.
  for (let y = 0n; y < 19n; y += 1n)
    assert.throws(() => checkPublicKey(little(y + p)), { code: 'E_DDNS_WEAK_KEY' }, String(y));
});

test('bytes that are no point of the curve are refused', () => {
  assert.throws(() => checkPublicKey(Buffer.from(`02${'00'.repeat(31)}`, 'hex')), {
    code: 'E_DDNS_WEAK_KEY',
  });
});

test('honest keys pass', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (seed) => {
      const { publicKey, keyId: id } = new SigningKey(Buffer.from(seed));
      checkPublicKey(publicKey);
      assert.ok(!Point.fromBytes(publicKey).isSmallOrder());
      assert.equal(id, keyIdOf(publicKey));
      assert.match(id, /^[\w-]{28}$/);
    }),
    { numRuns: 25 },
  );
});
