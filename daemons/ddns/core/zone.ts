// The grammar of a tinydns-data file as far as dynamic blocks go: `# dynamic: STAMP KEY…` opens a block, a blank line
// or any other comment ends it, and the address lines inside belong to its keys. Bytes are read as Latin-1, so every
// offset is a byte offset and every byte survives. Total: any bytes give blocks and problems; a bad block is left
// out, named by its line, and does no harm to the others. Formats: tinydns-data(8), and the 2014 tools for the
// comment.
import type { KeyObject } from 'node:crypto';
import { LaresError } from '../../../lib/errors.ts';
import { type Address, addressOf, type Family, parseAddress } from './address.ts';
import { checkPublicKey, decodeKey, keyIdOf, publicKeyObject } from './keys.ts';

export interface ZoneRecord {
  kind: '+' | '=' | '6' | '3' | ':';
  name: string;
  family: Family;
  line: number;
  /** Canonical text of the address now in force; '' where the field is empty. */
  address: string;
  /** Where the address field lies in the block's text, in bytes. */
  start: number;
  end: number;
}

export interface Block {
  line: number;
  /** Where the block lay in the file that was read, comment line included, in bytes. */
  start: number;
  end: number;
  /** What it says now: those bytes, or, once edited, what a rewrite has made of them. */
  text: Buffer;
  edited: boolean;
  /** Unix seconds. */
  stamp: number;
  /** Where the stamp's digits lie in the text, in bytes. */
  stampStart: number;
  stampEnd: number;
  keyIds: string[];
  records: ZoneRecord[];
}

/** `bad`: the block, or what was meant to be one, is not in force. `note`: it works, but read this. */
export interface ZoneProblem {
  line: number;
  severity: 'bad' | 'note';
  message: string;
}

export interface ZoneKey {
  publicKey: Buffer;
  object: KeyObject;
  blocks: number[];
}

export interface Zone {
  /** The file as it was read; what has changed since lies in the blocks. */
  source: Buffer;
  blocks: Block[];
  keys: Map<string, ZoneKey>;
  problems: ZoneProblem[];
}

/** The whole file as it is now, in as few pieces as there are; nothing is copied. */
export function piecesOf({ source, blocks }: Zone): Buffer[] {
  const pieces: Buffer[] = [];
  let done = 0;
  for (const { start, end, text, edited } of blocks) {
    if (!edited) continue;
    pieces.push(source.subarray(done, start), text);
    done = end;
  }
  return [...pieces, source.subarray(done)];
}

export const zoneBytes = 64 * 1_048_576;
const keysPerBlock = 64;
const shownChars = 64;
// Sixteen bytes of \ooo.
const octalChars = 64;
// Of each severity: a file full of notes must not hide what is bad.
const problemCount = 1_000;
const lineChars = 65_536;
const nothing = Buffer.alloc(0);

// ASCII white space alone: JavaScript's own `\s` and trim() would eat byte 0xA0, half of a UTF-8 letter.
const blank = '[ \\t\\r\\n\\f\\v]';
const asciiBlanks = new Set([...Buffer.from(' \t\r\n\f\v')]);
const opening = new RegExp(`^(${blank}*#${blank}*dynamic:${blank}*)(\\d+(?:\\.\\d+)?)(${blank}.*)$`, 's');
// Meant as an opening, surely: a colon after the word, or a number.
const nearlyOpening = new RegExp(`^${blank}*#${blank}*dynamic${blank}*(:|[-\\d])`, 'i');
const blanks = new RegExp(`${blank}+`);
const leading = new RegExp(`^${blank}*`);

/**
 * Parses a whole file. Looking at a key's point takes a third of a millisecond, so the keys of the zone that this one
 * replaces are taken over from `previous`.
 */
export function parseZone(bytes: Buffer, previous?: Zone): Zone {
  const reader = new Reader(previous);
  const text = bytes.toString('latin1');
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf('\n', start);
    const end = newline === -1 ? text.length : newline + 1;
    reader.line(trimEnd(text.slice(start, end)), start, end);
    start = end;
  }
  return reader.finish(bytes);
}

// From behind by hand: a regular expression tries every blank of a long line anew.
function trimEnd(line: string): string {
  let end = line.length;
  while (end > 0 && asciiBlanks.has(line.charCodeAt(end - 1))) end -= 1;
  return line.slice(0, end);
}

interface Draft extends Block {
  fresh: ZoneKey[];
  bad: boolean;
}

class Reader {
  readonly #previous: Zone | undefined;
  readonly #drafts: Draft[] = [];
  readonly #problems: ZoneProblem[] = [];
  readonly #told = { bad: 0, note: 0 };
  #open: Draft | undefined;
  #line = 0;

  constructor(previous: Zone | undefined) {
    this.#previous = previous;
  }

  line(content: string, start: number, end: number): void {
    this.#line += 1;
    const indent = leading.exec(content)?.[0].length ?? 0;
    if (content.length > lineChars) {
      this.#bad(this.#open, `longer than ${lineChars} characters`);
      this.#open = undefined;
    } else if (indent === content.length) this.#open = undefined;
    else if (content[indent] === '#') this.#comment(content, start);
    else {
      if (indent > 0) this.#note('starts with a blank: tinydns-data refuses such a line');
      if (this.#open !== undefined) this.#record(this.#open, content.slice(indent), start + indent);
    }
    if (this.#open !== undefined) this.#open.end = end;
  }

  finish(bytes: Buffer): Zone {
    const zone: Zone = { source: bytes, blocks: [], keys: new Map(), problems: this.#problems };
    for (const { fresh, bad, ...block } of this.#drafts) {
      block.text = bytes.subarray(block.start, block.end);
      const at = (severity: 'bad' | 'note', message: string): number =>
        zone.problems.push({ line: block.line, severity, message });
      if (bad) {
        at('bad', 'this block is not in force until its lines are mended');
        continue;
      }
      if (block.records.length === 0) at('note', 'the block has no address line to update');
      const index = zone.blocks.push(block) - 1;
      for (const key of fresh) {
        const keyId = keyIdOf(key.publicKey);
        const known = zone.keys.get(keyId) ?? key;
        known.blocks.push(index);
        zone.keys.set(keyId, known);
      }
    }
    zone.problems.sort((a, b) => a.line - b.line);
    return zone;
  }

  #comment(content: string, start: number): void {
    this.#open = undefined;
    const match = opening.exec(content);
    if (match === null) {
      if (nearlyOpening.test(content)) this.#bad(undefined, 'not understood; write: # dynamic: 0 KEY');
      return;
    }
    const [, before = '', digits = '', keys = ''] = match;
    const stampEnd = before.length + digits.length;
    const place = {
      line: this.#line,
      start,
      end: start,
      stamp: Number(digits),
      stampStart: before.length,
      stampEnd,
    };
    const draft: Draft = {
      ...place,
      text: nothing,
      edited: false,
      keyIds: [],
      records: [],
      fresh: [],
      bad: false,
    };
    const words = keys.split(blanks).filter((word) => word !== '');
    if (words.length === 0) this.#bad(draft, 'the block names no key');
    if (words.length > keysPerBlock) this.#bad(draft, `more than ${keysPerBlock} keys in one block`);
    for (const word of words.slice(0, keysPerBlock)) this.#key(draft, word);
    this.#drafts.push(draft);
    this.#open = draft;
  }

  #key(draft: Draft, word: string): void {
    try {
      const publicKey = decodeKey(Buffer.from(word, 'latin1'));
      const keyId = keyIdOf(publicKey);
      const before = this.#previous?.keys.get(keyId);
      if (before === undefined) checkPublicKey(publicKey);
      if (draft.keyIds.includes(keyId))
        throw new LaresError('E_DDNS_KEY', 'the key stands twice in this block');
      draft.keyIds.push(keyId);
      draft.fresh.push({ publicKey, object: before?.object ?? publicKeyObject(publicKey), blocks: [] });
    } catch (error) {
      if (!(error instanceof LaresError)) throw error;
      this.#bad(draft, `key '${word.slice(0, shownChars)}': ${error.message}`);
    }
  }

  #record(block: Draft, content: string, start: number): void {
    const kind = content.charAt(0);
    if (!isKind(kind)) return;
    const { family, field, read } = kinds[kind];
    const fields = content.slice(1).split(':');
    if (kind === ':' && Number(fields[1]) !== 28) return;
    const name = fields[0] ?? '';
    const value = fields[field];
    if (name === '' || value === undefined) {
      this.#bad(block, name === '' ? 'no name' : `${name}: no address field`);
      return;
    }
    const address = value === '' ? '' : read(value)?.text;
    if (address === undefined) {
      this.#bad(block, `${name}: '${value.slice(0, shownChars)}' is no IPv${family} address`);
      return;
    }
    const before = fields.slice(0, field).reduce((sum, part) => sum + part.length + 1, 1);
    const offset = start - block.start + before;
    block.records.push({
      kind,
      name,
      family,
      line: this.#line,
      address,
      start: offset,
      end: offset + value.length,
    });
    if (kind === '6' || kind === '3')
      this.#note(`${name}: stock tinydns-data refuses '${kind}' lines; write :${name}:28:… for AAAA`);
  }

  #note(message: string): void {
    this.#tell('note', message);
  }

  #bad(draft: Draft | undefined, message: string): void {
    this.#tell('bad', message);
    if (draft !== undefined) draft.bad = true;
  }

  #tell(severity: ZoneProblem['severity'], message: string): void {
    this.#told[severity] += 1;
    if (this.#told[severity] <= problemCount) this.#problems.push({ line: this.#line, severity, message });
  }
}

// Where the address stands among the fields, and how it is written.
const kinds = {
  '+': { family: 4, field: 1, read: readQuad },
  '=': { family: 4, field: 1, read: readQuad },
  '6': { family: 6, field: 1, read: readHex },
  '3': { family: 6, field: 1, read: readHex },
  ':': { family: 6, field: 2, read: readOctal },
} as const;

function isKind(text: string): text is keyof typeof kinds {
  return text in kinds && text.length === 1;
}

function readQuad(text: string): Address | undefined {
  const address = parseAddress(text);
  return address?.family === 4 ? address : undefined;
}

function readHex(text: string): Address | undefined {
  return /^[0-9a-f]{32}$/i.test(text) ? addressOf([...Buffer.from(text, 'hex')]) : undefined;
}

function readOctal(text: string): Address | undefined {
  if (text.length > octalChars) return undefined;
  const bytes = [...text.matchAll(/\\([0-3][0-7]{2})|([^\\])/gsy)];
  const whole = bytes.reduce((length, [part]) => length + part.length, 0) === text.length;
  if (!whole || bytes.length !== 16) return undefined;
  return addressOf(
    bytes.map(([, octal, plain]) =>
      octal === undefined ? (plain ?? '').charCodeAt(0) : Number.parseInt(octal, 8),
    ),
  );
}

/** The address field of a record of this kind. */
export function formatField(kind: ZoneRecord['kind'], { text, bytes }: Address): string {
  if (kind === '+' || kind === '=') return text;
  if (kind === ':') return bytes.map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('');
  return Buffer.from(bytes).toString('hex');
}
