// Opening a database as every daemon does: settings, migrations, and which error stands for which trouble.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { openDatabase, openForReading } from '../../lib/sqlite.ts';
import { scratch } from '../support/scratch.ts';

const migrations = [
  'CREATE TABLE a (x TEXT)',
  "ALTER TABLE a ADD COLUMN y TEXT; INSERT INTO a VALUES ('1', '2')",
];
const rows = 'SELECT * FROM a';

test('a new database has every migration, waits for the disk and keeps a write-ahead log', (t) => {
  const db = openDatabase(path.join(scratch(t), 'state.db'), migrations);
  assert.deepEqual(db.prepare(rows).all(), [{ x: '1', y: '2' }]);
  assert.equal(db.pragma('user_version', { simple: true }), 2);
  assert.equal(db.pragma('journal_mode', { simple: true }), 'wal');
  assert.equal(db.pragma('synchronous', { simple: true }), 2);
  assert.equal(db.pragma('trusted_schema', { simple: true }), 0);
  db.close();
});

test('an older database gets the migrations that it lacks, once', (t) => {
  const file = path.join(scratch(t), 'state.db');
  const old = openDatabase(file, migrations.slice(0, 1));
  old.exec("INSERT INTO a VALUES ('0')");
  old.close();
  for (let run = 1; run <= 2; run += 1) {
    const db = openDatabase(file, migrations);
    assert.deepEqual(db.prepare(rows).all(), [
      { x: '0', y: null },
      { x: '1', y: '2' },
    ]);
    db.close();
  }
});

test('a migration that fails half way leaves the version and the data before it', (t) => {
  const file = path.join(scratch(t), 'state.db');
  openDatabase(file, migrations.slice(0, 1)).close();
  const broken = "INSERT INTO a VALUES ('half'); CREATE TABLE a (x)";
  assert.throws(() => openDatabase(file, [...migrations.slice(0, 1), broken]), { code: 'E_STATE_OPEN' });
  const db = openDatabase(file, migrations.slice(0, 1));
  assert.deepEqual(db.prepare(rows).all(), []);
  db.close();
});

test('a database of a later release is refused and left alone', (t) => {
  const file = path.join(scratch(t), 'state.db');
  openDatabase(file, migrations).close();
  const before = readFileSync(file);
  assert.throws(
    () => openDatabase(file, migrations.slice(0, 1)),
    (error: Error & { code?: string }) => {
      assert.equal(error.code, 'E_STATE_NEWER');
      assert.match(error.message, /state\.db has schema 2, this release knows 1/);
      return true;
    },
  );
  assert.deepEqual(readFileSync(file), before);
});

test('a file that is no database is E_STATE_CORRUPT, and stays as it is', (t) => {
  const file = path.join(scratch(t), 'state.db');
  const text = 'this is no database '.repeat(500);
  writeFileSync(file, text);
  assert.throws(() => openDatabase(file, migrations), { name: 'LaresError', code: 'E_STATE_CORRUPT' });
  assert.equal(readFileSync(file, 'utf8'), text);
});

test('damage anywhere in a database is E_STATE_CORRUPT, seen at the opening', (t) => {
  const file = path.join(scratch(t), 'state.db');
  const db = openDatabase(file, ['CREATE TABLE a (x TEXT)']);
  const insert = db.prepare('INSERT INTO a VALUES (?)');
  db.transaction(() => {
    for (let row = 0; row < 500; row += 1) insert.run(`row ${row} `.repeat(20));
  })();
  db.close();
  const whole = readFileSync(file);
  const pageBytes = whole.readUInt16BE(16);
  const pages = whole.length / pageBytes;
  assert.ok(pages > 8);
  for (const page of [2, Math.floor(pages / 2), pages - 1]) {
    const damaged = Buffer.from(whole);
    damaged.fill(0xa5, page * pageBytes, page * pageBytes + pageBytes / 2);
    writeFileSync(file, damaged);
    assert.throws(
      () => openDatabase(file, ['CREATE TABLE a (x TEXT)']),
      { code: 'E_STATE_CORRUPT' },
      `page ${page}`,
    );
  }
  writeFileSync(file, whole.subarray(0, pageBytes * 3));
  assert.throws(
    () => openDatabase(file, ['CREATE TABLE a (x TEXT)']),
    { code: 'E_STATE_CORRUPT' },
    'cut off',
  );
});

test('a folder that is not there is E_STATE_OPEN with the reason', (t) => {
  const file = path.join(scratch(t), 'absent', 'state.db');
  assert.throws(
    () => openDatabase(file, migrations),
    (error: Error & { code?: string }) => {
      assert.equal(error.code, 'E_STATE_OPEN');
      assert.match(error.message, /absent.*directory/);
      assert.ok(error.cause instanceof Error);
      return true;
    },
  );
});

test('a file that is not there yet is undefined for readers, and is not made', (t) => {
  const file = path.join(scratch(t), 'state.db');
  assert.equal(openForReading(file), undefined);
  assert.equal(existsSync(file), false);
});

test('a folder that is not there yet is undefined for readers as well', (t) => {
  assert.equal(openForReading(path.join(scratch(t), 'absent', 'state.db')), undefined);
});

test('a reader sees what the daemon committed while it runs, and cannot write', (t) => {
  const file = path.join(scratch(t), 'state.db');
  const writer = openDatabase(file, migrations);
  const reader = openForReading(file);
  assert.ok(reader);
  writer.exec("INSERT INTO a VALUES ('3', '4')");
  assert.equal(reader.prepare(rows).all().length, 2);
  assert.throws(() => reader.exec('DELETE FROM a'), { code: 'SQLITE_READONLY' });
  reader.close();
  writer.close();
});

test('a file that the reader may not open is an error, not an absent one', (t) => {
  const folder = scratch(t);
  const file = path.join(folder, 'state.db');
  chmodSync(folder, 0o755);
  openDatabase(file, migrations).close();
  chmodSync(file, 0o600);
  try {
    if (process.getuid?.() === 0) process.seteuid?.(65_534);
    else chmodSync(file, 0);
    assert.throws(() => openForReading(file), { code: 'E_STATE_OPEN' });
  } finally {
    if (process.getuid?.() === 0) process.seteuid?.(0);
  }
});
