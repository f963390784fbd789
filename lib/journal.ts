// Where log records go: a pino destination of four dresses. The journal gets fields in its native protocol, a terminal
// short coloured lines, a pipe one `<priority>text` line a record (sd-daemon(3)), and a script JSON with the journal's
// own field names. It never blocks the daemon: what cannot be written at once is counted and said with the next record
// that can.
import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { styleText } from 'node:util';
import pino from 'pino';
import { wallMs } from './clock.ts';
import { errnoOf } from './errors.ts';
import { encodeRecord, isJournal, openJournal } from './journald.ts';
import { commonMessages, type Fields, type Level, type Log, type Message } from './messages.ts';

export type Dress = 'journal' | 'terminal' | 'pipe' | 'json';

// syslog(3) priorities.
const priorities: Record<Level, number> = { critical: 2, error: 3, warning: 4, notice: 5, info: 6, debug: 7 };
const colours = ['red', 'red', 'red', 'red', 'yellow', 'bold', 'reset', 'gray'] as const;

type Entry = { time: number; PRIORITY: number; MESSAGE: string; SYSLOG_IDENTIFIER: string };

/** How records to `fd` should look; `stream` is JOURNAL_STREAM of the environment. */
export function dressFor(fd: number, stream: string | undefined): Dress {
  if (stream !== undefined && isJournal(stream, fstatSync(fd))) return 'journal';
  return isatty(fd) ? 'terminal' : 'pipe';
}

/** Logs to `fd`; records below `level` are left out. */
export function openLog(daemon: string, dress: Dress, fd: number, level: Level = 'info'): Log {
  const identifier = `lares-${daemon}`;
  const logger = pino(
    {
      base: { SYSLOG_IDENTIFIER: identifier },
      messageKey: 'MESSAGE',
      customLevels: { critical: 60, error: 50, warning: 40, notice: 35, info: 30, debug: 20 },
      useOnlyCustomLevels: true,
      level,
      formatters: { level: (label) => ({ PRIORITY: priorities[label as Level] }) },
    },
    dress === 'journal' ? journalDestination(identifier) : destination(dress, unblocked(fd), identifier),
  );
  return {
    say: (message: Message, text: string, fields: Fields = {}) => {
      logger[message.level]({ MESSAGE_ID: message.id, ...fields }, text);
    },
  };
}

function journalDestination(identifier: string): pino.DestinationStream {
  const send = openJournal((count) => native(droppedLine(count, identifier)));
  return { write: (line) => send(native(line)) };
}

/** The journal has its own time. */
function native(json: string): Buffer {
  const fields = Object.entries(JSON.parse(json) as Record<string, string | number>);
  return encodeRecord(Object.fromEntries(fields.filter(([name]) => name !== 'time')));
}

/**
 * Writes what the reader takes. The rest of a record that was cut short goes out before anything else; records that
 * come while there is such a rest are dropped and counted.
 */
function destination(
  dress: Exclude<Dress, 'journal'>,
  fd: number,
  identifier: string,
): pino.DestinationStream {
  let rest: Buffer = Buffer.alloc(0);
  let dropped = 0;
  return {
    write: (line) => {
      rest = writeSome(fd, rest);
      if (rest.length > 0) {
        dropped += 1;
        return;
      }
      const lost = dropped === 0 ? '' : dressed(dress, droppedLine(dropped, identifier));
      const record = Buffer.from(lost + dressed(dress, line));
      rest = writeSome(fd, record);
      if (rest.length === record.length) {
        rest = Buffer.alloc(0);
        dropped += 1;
      } else dropped = 0;
    },
  };
}

/**
 * The same pipe or terminal through a description of its own that does not block; that of the shell stays as it is.
 * What cannot be opened again (a socket, another user's terminal) is used as it came.
 */
function unblocked(fd: number): number {
  try {
    if (!fstatSync(fd).isFIFO() && !isatty(fd)) return fd;
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return fd;
  }
}

/** What could not be written. */
function writeSome(fd: number, bytes: Buffer): Buffer {
  let done = 0;
  try {
    while (done < bytes.length) done += writeSync(fd, bytes, done);
  } catch (error) {
    // Slow (EAGAIN), gone (EPIPE, EIO) or full (ENOSPC): no log may stop the daemon. These are bugs.
    if (['', 'EBADF', 'EFAULT', 'EINVAL'].includes(errnoOf(error))) throw error;
  }
  return bytes.subarray(done);
}

function droppedLine(count: number, identifier: string): string {
  const { id } = commonMessages.dropped;
  const entry = {
    PRIORITY: 4,
    time: wallMs(),
    SYSLOG_IDENTIFIER: identifier,
    MESSAGE_ID: id,
    MESSAGE: `${count} records dropped`,
  };
  return `${JSON.stringify(entry)}\n`;
}

/** One record, as pino wrote it, in the dress wanted. Exported for its test. */
export function dressed(dress: Exclude<Dress, 'journal'>, json: string): string {
  if (dress === 'json') return json;
  const entry = JSON.parse(json) as Entry;
  // A newline in a message would start a record of its own, with a priority of the sender's choice.
  const text = entry.MESSAGE.replace(
    /\p{Cc}/gu,
    (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
  if (dress === 'pipe') return `<${entry.PRIORITY}>${text}\n`;
  const clock = new Date(entry.time).toTimeString().slice(0, 8);
  const noun = entry.SYSLOG_IDENTIFIER.replace(/^lares-/, '').padEnd(9);
  const style = (format: Parameters<typeof styleText>[0], part: string): string =>
    styleText(format, part, { validateStream: false });
  return `${style('gray', clock)} ${style('cyan', noun)} ${style(colours[entry.PRIORITY] ?? 'reset', text)}\n`;
}
