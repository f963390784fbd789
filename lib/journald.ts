// The journal's native protocol (systemd's docs, "Native Journal Protocol"): one datagram a record, one field a line, a
// value with a newline by its length. Never blocks and never grows without bound: what the journal does not take at
// once waits in a short queue, what the queue does not hold is counted and said later.
import { errnoOf } from './errors.ts';
import { openDatagramSocket, sendDatagram } from './sys/datagram.ts';

const journalSocket = '/run/systemd/journal/socket';
// A datagram has to fit the smallest send buffer that Debian has; a message that long says nothing more.
const valueBytes = 16_384;
const queueRecords = 512;
const retryMs = 250;
// The last words of a process, among them why it ends, are worth a short wait.
const lastWordsMs = 200;
const pauseMs = 10;

/** Whether standard error is the journal's stream (JOURNAL_STREAM of systemd.exec(5)), so that fields can be sent. */
export function isJournal(stream: string | undefined, { dev, ino }: { dev: number; ino: number }): boolean {
  return stream === `${dev}:${ino}`;
}

/** A sender of records. `dropped` makes the record that says how many were lost. */
export function openJournal(
  dropped: (count: number) => Buffer,
  socketPath = journalSocket,
): (record: Buffer) => void {
  const fd = openDatagramSocket();
  const queue: Buffer[] = [];
  let lost = 0;
  let timer: NodeJS.Timeout | undefined;

  const flush = (): void => {
    while (queue[0] !== undefined && sent(fd, socketPath, queue[0])) queue.shift();
    if (queue.length === 0 && lost > 0 && sent(fd, socketPath, dropped(lost))) lost = 0;
    clearTimeout(timer);
    timer = queue.length > 0 || lost > 0 ? setTimeout(flush, retryMs).unref() : undefined;
  };
  process.once('exit', () => {
    const pause = new Int32Array(new SharedArrayBuffer(4));
    for (let waited = 0; queue.length + lost > 0 && waited < lastWordsMs; waited += pauseMs) {
      flush();
      if (queue.length > 0) Atomics.wait(pause, 0, 0, pauseMs);
    }
  });
  return (record) => {
    if (queue.length < queueRecords) queue.push(record);
    else lost += 1;
    flush();
  };
}

function sent(fd: number, socketPath: string, record: Buffer): boolean {
  try {
    sendDatagram(fd, socketPath, record);
    return true;
  } catch (error) {
    // Slow (EAGAIN, ENOBUFS) or being restarted: no log may stop the daemon. These are bugs.
    if (['', 'EBADF', 'EFAULT', 'EINVAL', 'EMSGSIZE'].includes(errnoOf(error))) throw error;
    return false;
  }
}

/** Fields in the form that goes over the wire. */
export function encodeRecord(fields: Record<string, string | number>): Buffer {
  return Buffer.concat(Object.entries(fields).map(([name, value]) => encodeField(name, value)));
}

function encodeField(name: string, value: string | number): Buffer {
  const bytes = Buffer.from(String(value)).subarray(0, valueBytes);
  if (!bytes.includes(0x0a)) return Buffer.concat([Buffer.from(`${name}=`), bytes, Buffer.from('\n')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([Buffer.from(`${name}\n`), length, bytes, Buffer.from('\n')]);
}
