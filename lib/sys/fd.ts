// What can be asked and said of an open descriptor: the kind of an inherited socket (getsockopt(2), SO_DOMAIN and
// SO_TYPE of asm-generic/socket.h), close-on-exec and leases (fcntl(2)), locks (flock(2)). Nothing here waits.
import { errnoOf } from '../errors.ts';
import { bind, check } from './libc.ts';

const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SO_DOMAIN = 39;
const F_SETFD = 2;
const F_SETSIG = 10;
const F_SETLEASE = 1024;
const F_RDLCK = 0;
const F_UNLCK = 2;
// Ignored unless somebody asks for it, unlike the SIGIO that a broken lease sends by default.
const SIGURG = 23;
const LOCK_EX = 2;
const LOCK_NB = 4;
const FD_CLOEXEC = 1;

const getsockopt = bind(
  'int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint8_t *length)',
);
const fcntl = bind('int fcntl(int fd, int command, int argument)');
const flock = bind('int flock(int fd, int operation)');

export type SocketDomain = 'unix' | 'inet' | 'inet6' | 'netlink' | 'other';
export type SocketType = 'stream' | 'dgram' | 'other';

const domains = new Map<number, SocketDomain>([
  [1, 'unix'],
  [2, 'inet'],
  [10, 'inet6'],
  [16, 'netlink'],
]);
const types = new Map<number, SocketType>([
  [1, 'stream'],
  [2, 'dgram'],
]);

/** @throws Error with code ENOTSOCK for what is no socket, EBADF for what is not open. */
export function socketKind(fd: number): { domain: SocketDomain; type: SocketType } {
  return {
    domain: domains.get(option(fd, SO_DOMAIN)) ?? 'other',
    type: types.get(option(fd, SO_TYPE)) ?? 'other',
  };
}

/** Keeps `fd` out of programs that this process starts. */
export function closeOnExec(fd: number): void {
  check(fcntl(fd, F_SETFD, FD_CLOEXEC), 'fcntl', `fd ${fd}`);
}

/** Lets `fd` through to a program that takes this process's place. Node closes what it has inherited by default. */
export function keepOnExec(fd: number): void {
  check(fcntl(fd, F_SETFD, 0), 'fcntl', `fd ${fd}`);
}

function option(fd: number, name: number): number {
  const value = Buffer.alloc(4);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(4);
  check(getsockopt(fd, SOL_SOCKET, name, value, length), 'getsockopt', `fd ${fd}`);
  return value.readInt32LE();
}

/** Takes the lock of an open file or folder (flock(2)) for as long as `fd` is open; false if another has it. */
export function tryLock(fd: number): boolean {
  try {
    check(flock(fd, LOCK_EX | LOCK_NB), 'flock', `fd ${fd}`);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EAGAIN') return false;
    throw error;
  }
}

/**
 * Whether anybody has the file of `fd`, which is open for reading, open for writing: the kernel grants no read lease
 * then (fcntl(2), F_SETLEASE). False where it cannot say: another's file, or a file system without leases.
 */
export function isOpenForWriting(fd: number): boolean {
  try {
    check(fcntl(fd, F_SETSIG, SIGURG), 'fcntl');
    check(fcntl(fd, F_SETLEASE, F_RDLCK), 'fcntl');
  } catch (error) {
    return errnoOf(error) === 'EAGAIN';
  }
  check(fcntl(fd, F_SETLEASE, F_UNLCK), 'fcntl', `fd ${fd}`);
  return false;
}
