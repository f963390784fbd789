// Secret keys from files and arguments, and into files. Seeds are read as bytes and zeroed once the key object exists.

import { randomFillSync } from 'node:crypto';
import { closeSync, openSync, readFileSync, statSync } from 'node:fs';
import { writeFileAtomic } from '../../lib/atomic.ts';
import { errnoOf, explain, LaresError } from '../../lib/errors.ts';
import { decodeKey, encodeKey, keyBytes, SigningKey } from './core/keys.ts';

const fileBytes = 65_536;
const groupAndOthers = 0o077;

/**
 * The keys that arguments name: a key itself, or, when it starts with `/` or `.`, a file with one or more, separated by
 * white space. `warn` hears of what works but is unwise.
 * @throws LaresError E_DDNS_KEY, E_DDNS_KEY_FILE, E_DDNS_KEY_TWICE
 */
export function readKeys(args: string[], warn: (text: string) => void): SigningKey[] {
  const keys = new Map<string, SigningKey>();
  for (const arg of args) {
    const isFile = /^[/.]/.test(arg);
    if (!isFile) warn('a key in the arguments can be seen by every user of this machine: put it into a file');
    const text = isFile ? readKeyFile(arg, warn) : Buffer.from(arg, 'latin1');
    try {
      for (const word of words(text)) add(keys, word, isFile ? arg : 'argument');
    } finally {
      text.fill(0);
    }
  }
  return [...keys.values()];
}

function add(keys: Map<string, SigningKey>, word: Buffer, place: string): void {
  let seed: Buffer;
  try {
    seed = decodeKey(word);
  } catch (cause) {
    throw new LaresError('E_DDNS_KEY', `${place}: ${explain(cause)}`, { cause });
  }
  const key = new SigningKey(seed);
  seed.fill(0);
  if (keys.has(key.keyId))
    throw new LaresError('E_DDNS_KEY_TWICE', `${place}: the key with id ${key.keyId} is given twice`);
  keys.set(key.keyId, key);
}

function readKeyFile(file: string, warn: (text: string) => void): Buffer {
  try {
    const { mode, size } = statSync(file);
    if (size > fileBytes) throw new Error(`larger than ${fileBytes} bytes`);
    if ((mode & groupAndOthers) !== 0) warn(`${file} can be read by others: chmod 600 ${file}`);
    const text = readFileSync(file);
    if (words(text).length === 0) throw new Error('holds no key');
    return text;
  } catch (cause) {
    throw new LaresError('E_DDNS_KEY_FILE', `cannot read keys from ${file}: ${explain(cause)}`, { cause });
  }
}

/** Views of the words between white space; nothing is copied. */
function words(text: Buffer): Buffer[] {
  const found: Buffer[] = [];
  let start = 0;
  for (let at = 0; at <= text.length; at += 1) {
    const byte = text[at];
    if (byte !== undefined && byte > 0x20) continue;
    if (at > start) found.push(text.subarray(start, at));
    start = at + 1;
  }
  return found;
}

export interface NewKey {
  /** base64url of the seed; '' if it went into a file. */
  secret: string;
  publicText: string;
  keyId: string;
}

/**
 * Makes a key. With `file` the seed goes there (mode 0600, never over an existing file) and nowhere else. Neither key
 * nor id starts with a dash, which every command line would take for an option.
 */
export function makeKey(file: string | undefined): NewKey {
  const seed = Buffer.alloc(keyBytes);
  let key: SigningKey;
  do key = new SigningKey(randomFillSync(seed));
  while (encodeKey(seed).startsWith('-') || key.keyId.startsWith('-'));
  const text = Buffer.from(`${encodeKey(seed)}\n`, 'latin1');
  seed.fill(0);
  const secret = file === undefined ? text.toString('latin1').trim() : '';
  if (file !== undefined) writeNew(file, text);
  text.fill(0);
  return { secret, publicText: encodeKey(key.publicKey), keyId: key.keyId };
}

function writeNew(file: string, text: Buffer): void {
  try {
    // Takes the name first, so that no existing key can be overwritten.
    closeSync(openSync(file, 'wx', 0o600));
    writeFileAtomic(file, text, 0o600);
  } catch (cause) {
    const why =
      errnoOf(cause) === 'EEXIST' ? 'it exists already; a key is never overwritten' : explain(cause);
    throw new LaresError('E_DDNS_KEY_FILE', `cannot write ${file}: ${why}`, { cause });
  }
}
