// From a zone and the addresses its keys now have to the zone that says so. Only address fields and stamps change;
// every other byte stays. Offsets inside untouched blocks stay valid, so the result needs no second parse.
import type { Address, Family } from './address.ts';
import { type Block, formatField, type Zone, type ZoneRecord } from './zone.ts';

/** What a verified packet asks for. */
export interface Update {
  keyId: string;
  address: Address;
  /** Unix seconds. */
  stamp: number;
}

/** One record that changed, for the journal and the hook. */
export interface Change {
  keyId: string;
  name: string;
  type: 'A' | 'AAAA';
  from: string;
  to: string;
}

export interface Rewritten {
  zone: Zone;
  changes: Change[];
  /** Whether a byte differs. */
  dirty: boolean;
}

/** Whether `update` would change an address somewhere in the zone. */
export function wouldChange(zone: Zone, { keyId, address }: Update): boolean {
  const blocks = zone.keys.get(keyId)?.blocks ?? [];
  return blocks.some(
    (index) => zone.blocks[index]?.records.some((record) => differs(record, address)) ?? false,
  );
}

/** Changes that say what the zone holds already: for updates of an earlier run of which nobody knows who was told. */
export function restate(zone: Zone, updates: Update[]): Change[] {
  return updates.flatMap(({ keyId, address }) => {
    const blocks = zone.keys.get(keyId)?.blocks ?? [];
    const records = blocks.flatMap((index) => zone.blocks[index]?.records ?? []);
    return records
      .filter((record) => record.family === address.family && record.address === address.text)
      .map(({ name, family }) => ({
        keyId,
        name,
        type: typeOf(family),
        from: address.text,
        to: address.text,
      }));
  });
}

export interface Stamping {
  /** Moves the stamp of blocks whose addresses did not change as well. */
  always: boolean;
  /** A stamp in the zone beyond this one, in Unix seconds, is replaced whatever it is: no packet can have set it. */
  latest: number;
}

/** Applies updates in order; the last of a family wins. */
export function rewrite(zone: Zone, updates: Update[], stamping: Stamping): Rewritten {
  const perBlock = new Map<number, Update[]>();
  for (const update of updates) {
    for (const index of zone.keys.get(update.keyId)?.blocks ?? []) {
      perBlock.set(index, [...(perBlock.get(index) ?? []), update]);
    }
  }
  const changes: Change[] = [];
  const edited = new Map<number, Block>();
  for (const [index, own] of perBlock) {
    const block = zone.blocks[index];
    const next = block === undefined ? undefined : editBlock(block, own, stamping, changes);
    if (next !== undefined) edited.set(index, next);
  }
  if (edited.size === 0) return { zone, changes, dirty: false };
  const blocks = zone.blocks.map((block, index) => edited.get(index) ?? block);
  return { zone: { ...zone, blocks }, changes, dirty: true };
}

function editBlock(
  block: Block,
  updates: Update[],
  stamping: Stamping,
  changes: Change[],
): Block | undefined {
  const before = changes.length;
  const targets = block.records.map((record) => {
    const update = updates.findLast(({ address }) => address.family === record.family);
    if (update === undefined || !differs(record, update.address)) return undefined;
    const { keyId, address } = update;
    changes.push({
      keyId,
      name: record.name,
      type: typeOf(record.family),
      from: record.address,
      to: address.text,
    });
    return address;
  });
  const sound = block.stamp <= stamping.latest ? block.stamp : 0;
  const stamp = Math.max(sound, ...updates.map((update) => update.stamp));
  const changed = changes.length > before;
  const stampMoves = stamp !== block.stamp && (stamping.always || changed);
  if (!changed && !stampMoves) return undefined;

  const splice = new Splice(block.text);
  const [stampStart, stampEnd] = stampMoves
    ? splice.replace(block.stampStart, block.stampEnd, String(stamp))
    : splice.keep(block.stampStart, block.stampEnd);
  const records = block.records.map((record, index): ZoneRecord => {
    const address = targets[index];
    const [start, end] =
      address === undefined
        ? splice.keep(record.start, record.end)
        : splice.replace(record.start, record.end, formatField(record.kind, address));
    return { ...record, start, end, address: address?.text ?? record.address };
  });
  const text = splice.finish();
  return {
    ...block,
    text,
    edited: true,
    stamp: stampMoves ? stamp : block.stamp,
    stampStart,
    stampEnd,
    records,
  };
}

/** Replaces spans of a buffer from left to right and says where each lies afterwards. */
class Splice {
  readonly #source: Buffer;
  readonly #pieces: Buffer[] = [];
  #copied = 0;
  #shift = 0;

  constructor(source: Buffer) {
    this.#source = source;
  }

  replace(start: number, end: number, text: string): [number, number] {
    const bytes = Buffer.from(text, 'latin1');
    this.#pieces.push(this.#source.subarray(this.#copied, start), bytes);
    this.#copied = end;
    const at = start + this.#shift;
    this.#shift += bytes.length - (end - start);
    return [at, at + bytes.length];
  }

  keep(start: number, end: number): [number, number] {
    return [start + this.#shift, end + this.#shift];
  }

  finish(): Buffer {
    return Buffer.concat([...this.#pieces, this.#source.subarray(this.#copied)]);
  }
}

/** The DNS type of addresses of a family. */
export function typeOf(family: Family): Change['type'] {
  return family === 4 ? 'A' : 'AAAA';
}

function differs(record: ZoneRecord, address: Address): boolean {
  return record.family === address.family && record.address !== address.text;
}
