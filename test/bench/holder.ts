// Holds the daemon's sockets as the service manager would, in a process of its own within the server's namespace: the
// netlink socket that hears of flows that end, and the control socket. It starts and stops the daemon at a word on
// standard input ("start", "stop") and answers each with a line of JSON. The order is the first argument, as JSON.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { bind, check } from '../../lib/sys/libc.ts';
import { openNetfilter, setReceiveBuffer } from '../../lib/sys/netlink.ts';

export interface Hold {
  /** The netlink socket's; 0: what the machine gives to everybody. */
  bufferBytes: number;
  /** Path of the control socket. */
  control: string;
  argv: string[];
  /** Where the daemon's records go. */
  log: string;
}

export interface Answer {
  /** Of the daemon that runs. */
  pid?: number;
  /** How the daemon ended. */
  code?: number | null;
}

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const destroyed = 4;

const socket = bind('int socket(int domain, int type, int protocol)');
const bindTo = bind('int bind(int fd, const uint8_t *address, uint32_t length)');
const listen = bind('int listen(int fd, int backlog)');

// Node would accept connections itself.
function listening(file: string): number {
  const fd = check(socket(AF_UNIX, SOCK_STREAM, 0), 'socket');
  const address = Buffer.alloc(110);
  address.writeUInt16LE(AF_UNIX, 0);
  address.write(file, 2);
  check(bindTo(fd, address, address.length), 'bind', file);
  check(listen(fd, 16), 'listen', file);
  return fd;
}

async function hold({ bufferBytes, control, argv, log }: Hold): Promise<void> {
  const events = openNetfilter(destroyed);
  if (bufferBytes > 0) setReceiveBuffer(events, bufferBytes);
  const fds = [events, listening(control)];
  let child: ChildProcess | undefined;
  const start = async (): Promise<Answer> => {
    const out = openSync(log, 'a', 0o600);
    // Only the shell knows the pid that LISTEN_PID must name.
    const line = ['-c', 'LISTEN_PID=$$ exec "$@"', 'sh', ...argv];
    const { PATH = '' } = process.env;
    const env = { PATH, LISTEN_FDS: '2', LISTEN_FDNAMES: 'events:control' };
    child = spawn('/bin/sh', line, { stdio: ['ignore', out, out, ...fds], env });
    await once(child, 'spawn');
    return child.pid === undefined ? {} : { pid: child.pid };
  };
  const stop = async (): Promise<Answer> => {
    const running = child;
    child = undefined;
    if (running === undefined) return {};
    const ended = running.exitCode ?? running.signalCode;
    running.kill('SIGTERM');
    if (ended === null) await once(running, 'exit');
    return { code: running.exitCode };
  };
  for await (const word of createInterface({ input: process.stdin })) {
    const answer = word === 'start' ? await start() : await stop();
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  await stop();
}

const [, file, order] = process.argv;
if (file === import.meta.filename && order !== undefined) await hold(JSON.parse(order) as Hold);
