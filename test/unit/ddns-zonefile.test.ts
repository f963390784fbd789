// One zone file on a real disk: attributes, edits in the middle of a rewrite, leftovers of a crash.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { parseAddress } from '../../daemons/ddns/core/address.ts';
import { encodeKey, SigningKey } from '../../daemons/ddns/core/keys.ts';
import { type Rewritten, rewrite } from '../../daemons/ddns/core/rewrite.ts';
import type { Zone } from '../../daemons/ddns/core/zone.ts';
import { ZoneFile } from '../../daemons/ddns/zonefile.ts';
import { scratch } from '../support/scratch.ts';
import { until } from '../support/wait.ts';

const key = new SigningKey(randomBytes(32));
const zoneText = `# dynamic: 0 ${encodeKey(key.publicKey)}\n+a.example:192.0.2.1\n`;

interface Setup {
  folder: string;
  file: string;
  zone: ZoneFile;
  heard: string[];
  set: (address: string, meanwhile?: () => void) => Promise<Rewritten>;
  text: () => string;
}

/** `meanwhile` runs between the reading and the writing of a rewrite. */
function setup(t: TestContext, text = zoneText): Setup {
  const folder = path.join(scratch(t), 'zone');
  mkdirSync(folder);
  const file = path.join(folder, 'data');
  writeFileSync(file, text);
  const heard: string[] = [];
  const zone = new ZoneFile(file, {
    read: ({ blocks }) => heard.push(`read ${blocks.length}`),
    conflict: (what) => heard.push(`conflict ${what}`),
    leftover: (kept) => heard.push(`leftover ${kept}`),
    watchLost: (error) => heard.push(`lost ${String(error)}`),
  });
  t.after(() => zone.close());
  const set = (address: string, meanwhile?: () => void): Promise<Rewritten> => {
    let first = true;
    return zone.apply((current: Zone) => {
      if (first) meanwhile?.();
      first = false;
      const parsed = parseAddress(address) ?? assert.fail();
      return rewrite(current, [{ keyId: key.keyId, address: parsed, stamp: 1.5e9 }], {
        always: false,
        latest: 2e9,
      });
    });
  };
  return { folder, file, zone, heard, set, text: () => readFileSync(file, 'latin1') };
}

test('an edit that is renamed into place during a rewrite is merged', async (t) => {
  const { folder, file, set, text } = setup(t);
  await set('192.0.2.9', () => {
    writeFileSync(`${file}.edited`, `+new.example:192.0.2.50\n${text()}`);
    renameSync(`${file}.edited`, file);
  });
  assert.match(
    text(),
    /^\+new\.example:192\.0\.2\.50\n# dynamic: 1500000000 \S+\n\+a\.example:192\.0\.2\.9\n$/,
  );
  assert.deepEqual(readdirSync(folder), ['data']);
});

test('an edit written in place during a rewrite is merged', async (t) => {
  const { folder, file, set, text } = setup(t);
  await set('192.0.2.9', () => writeFileSync(file, `${zoneText}\n+new.example:192.0.2.50\n`));
  assert.match(text(), /\+a\.example:192\.0\.2\.9\n\n\+new\.example:192\.0\.2\.50\n$/);
  assert.deepEqual(readdirSync(folder), ['data']);
});

test('an edit that is still being written in place when it is displaced is merged whole', async (t) => {
  const { folder, file, set, text } = setup(t);
  await set('192.0.2.9', () => {
    const fd = openSync(file, 'w');
    writeSync(fd, `${zoneText}\n`);
    setTimeout(() => {
      writeSync(fd, '+late.example:192.0.2.50\n');
      closeSync(fd);
    }, 60);
  });
  assert.match(text(), /\+a\.example:192\.0\.2\.9\n\n\+late\.example:192\.0\.2\.50\n$/);
  assert.deepEqual(readdirSync(folder), ['data']);
});

test('a generator that writes in place and pauses is waited for, and nothing of it is lost', async (t) => {
  const { folder, file, zone, set, text } = setup(t);
  await zone.refresh();
  const fd = openSync(file, 'w');
  writeSync(fd, `${zoneText}\n`);
  setTimeout(() => {
    writeSync(fd, '+late.example:192.0.2.50\n');
    closeSync(fd);
  }, 700);
  await set('192.0.2.9');
  assert.match(text(), /\+a\.example:192\.0\.2\.9\n\n\+late\.example:192\.0\.2\.50\n$/);
  assert.deepEqual(readdirSync(folder), ['data']);
});

test('an edit that takes the key out during a rewrite stands', async (t) => {
  const { file, set, text } = setup(t);
  await set('192.0.2.9', () => writeFileSync(file, '+a.example:192.0.2.77\n'));
  assert.equal(text(), '+a.example:192.0.2.77\n');
});

test('a later rewrite works on the edited file', async (t) => {
  const { file, set, text } = setup(t);
  await set('192.0.2.9');
  writeFileSync(file, `${text()}\n+new.example:192.0.2.50\n`);
  await set('192.0.2.10');
  assert.match(text(), /\+a\.example:192\.0\.2\.10\n\n\+new\.example:192\.0\.2\.50\n$/);
});

test('nothing is written where nothing changes', async (t) => {
  const { file, set } = setup(t);
  await set('192.0.2.9');
  const before = statSync(file, { bigint: true });
  const { dirty } = await set('192.0.2.9');
  assert.ok(!dirty);
  assert.deepEqual(statSync(file, { bigint: true }).ctimeNs, before.ctimeNs);
});

test('the serial number grows with every rewrite, even where the file is from the future', async (t) => {
  const { file, set } = setup(t);
  const ahead = Math.floor(Date.now() / 1_000) + 50;
  utimesSync(file, ahead, ahead);
  await set('192.0.2.9');
  assert.equal(Math.floor(statSync(file).mtimeMs / 1_000), ahead + 1);
  await set('192.0.2.10');
  assert.equal(Math.floor(statSync(file).mtimeMs / 1_000), ahead + 2);
});

test('a hard link elsewhere keeps the old content', async (t) => {
  const { folder, file, set } = setup(t);
  linkSync(file, path.join(folder, 'backup'));
  await set('192.0.2.9');
  assert.equal(readFileSync(path.join(folder, 'backup'), 'latin1'), zoneText);
});

test('a chain of symlinks is followed, and the links stay', async (t) => {
  const { folder, file, set, text } = setup(t);
  const elsewhere = path.join(folder, 'elsewhere');
  mkdirSync(elsewhere);
  renameSync(file, path.join(elsewhere, 'real'));
  symlinkSync('elsewhere/real', path.join(folder, 'hop'));
  symlinkSync('hop', file);
  await set('192.0.2.9');
  assert.match(text(), /192\.0\.2\.9/);
  assert.deepEqual(readdirSync(elsewhere), ['real']);
});

const temporary = (
  file: string,
  { ino, mtimeNs, size }: { ino: bigint; mtimeNs: bigint; size: bigint },
): string => path.join(path.dirname(file), `.${path.basename(file)}.lares-${ino}-${mtimeNs}-${size}`);

test('a new file that a crash kept from its place is removed', async (t) => {
  const { folder, file, zone, heard } = setup(t);
  writeFileSync(temporary(file, statSync(file, { bigint: true })), 'half a zo');
  await zone.refresh();
  assert.deepEqual(readdirSync(folder), ['data']);
  assert.deepEqual(heard, ['read 1']);
});

test('an old file that a crash left after the exchange is removed', async (t) => {
  const { folder, file, zone } = setup(t);
  const old = path.join(folder, 'old');
  writeFileSync(old, 'the zone before');
  renameSync(old, temporary(file, statSync(old, { bigint: true })));
  await zone.refresh();
  assert.deepEqual(readdirSync(folder), ['data']);
});

test('what may be an edit that a crash kept from being merged is kept under a visible name, and said', async (t) => {
  const { folder, file, zone, heard } = setup(t);
  writeFileSync(temporary(file, { ino: 1n, mtimeNs: 2n, size: 3n }), '+edit.example:192.0.2.8\n');
  await zone.refresh();
  assert.deepEqual(readdirSync(folder), ['data', 'data.saved-2']);
  assert.equal(readFileSync(path.join(folder, 'data.saved-2'), 'latin1'), '+edit.example:192.0.2.8\n');
  assert.equal(heard[0], `leftover ${file}.saved-2`);
});

test('a missing zone, or a folder in its place, is an error with a name, and a mended zone is taken', async (t) => {
  const { file, zone } = setup(t);
  rmSync(file);
  await assert.rejects(zone.refresh(), { code: 'E_DDNS_ZONE_READ', message: /ENOENT/ });
  mkdirSync(file);
  await assert.rejects(zone.refresh(), { code: 'E_DDNS_ZONE_READ', message: /not a regular file|EISDIR/ });
  rmSync(file, { recursive: true });
  writeFileSync(file, zoneText);
  await zone.refresh();
  assert.equal(zone.zone?.keys.size, 1);
});

test('the watch sees an edit, and an edit in two halves only once it is whole', async (t) => {
  const { file, zone, heard } = setup(t);
  await zone.refresh();
  zone.watch(() => void zone.refresh());
  writeFileSync(file, '');
  writeFileSync(file, `${zoneText}\n${zoneText.replace('a.example', 'b.example')}`);
  await until('the edit', () => heard.at(-1) === 'read 2');
  assert.ok(!heard.includes('read 0'));
});
