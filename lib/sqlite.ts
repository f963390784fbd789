// Opening an SQLite database as every daemon here does: write-ahead log, each commit on the disk before it returns,
// schema versions applied in order. The schema itself belongs to the daemon.
import { statSync } from 'node:fs';
import Database from 'better-sqlite3';
import { explain, LaresError } from './errors.ts';

export type { Database, Statement } from 'better-sqlite3';

const busyMs = 5_000;

/**
 * Opens or creates `file` and brings it to the newest schema: `migrations[n]` goes from version n to n + 1.
 * @throws LaresError E_STATE_CORRUPT (not a database, or damaged), E_STATE_NEWER (written by a later release),
 *   E_STATE_OPEN (anything else, with the cause).
 */
export function openDatabase(file: string, migrations: string[]): Database.Database {
  let db: Database.Database | undefined;
  try {
    db = new Database(file, { timeout: busyMs });
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.pragma('trusted_schema = OFF');
    if (db.pragma('quick_check(1)', { simple: true }) !== 'ok')
      throw new LaresError('E_STATE_CORRUPT', `${file} is damaged`);
    migrate(db, file, migrations);
    return db;
  } catch (error) {
    db?.close();
    if (error instanceof LaresError) throw error;
    const corrupt = error instanceof Database.SqliteError && /^SQLITE_(CORRUPT|NOTADB)/.test(error.code);
    throw new LaresError(
      corrupt ? 'E_STATE_CORRUPT' : 'E_STATE_OPEN',
      `cannot open ${file}: ${explain(error)}`,
      { cause: error },
    );
  }
}

/** Opens for reading alone, for commands; undefined where there is no file yet. @throws LaresError E_STATE_OPEN */
export function openForReading(file: string): Database.Database | undefined {
  try {
    // What may not be looked at is an error, not an absence.
    if (statSync(file, { throwIfNoEntry: false }) === undefined) return undefined;
    return new Database(file, { readonly: true, fileMustExist: true, timeout: busyMs });
  } catch (error) {
    throw new LaresError('E_STATE_OPEN', `cannot open ${file}: ${explain(error)}`, { cause: error });
  }
}

function migrate(db: Database.Database, file: string, migrations: string[]): void {
  const version = db.pragma('user_version', { simple: true }) as number;
  if (version > migrations.length) {
    throw new LaresError(
      'E_STATE_NEWER',
      `${file} has schema ${version}, this release knows ${migrations.length}: install the newer release`,
    );
  }
  for (const [index, sql] of migrations.entries()) {
    if (index < version) continue;
    db.transaction(() => {
      db.exec(sql);
      db.pragma(`user_version = ${index + 1}`);
    })();
  }
}
