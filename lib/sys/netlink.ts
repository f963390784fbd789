// Netlink sockets (netlink(7)), which Node can neither open nor read: opening, the options that decide what a full
// buffer means, sending, and reading many datagrams at once. Nothing here waits but `waitReadable`, for as long as it
// is told.
import { errnoOf } from '../errors.ts';
import { allocate, bind, check } from './libc.ts';

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2_000_000;
const NETLINK_NETFILTER = 12;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_RCVBUFFORCE = 33;
const SO_MEMINFO = 55;
const SOL_NETLINK = 270;
const NETLINK_BROADCAST_ERROR = 4;
const NETLINK_NO_ENOBUFS = 5;
/** SK_MEMINFO_* of linux/sock_diag.h, and how many there are. */
const meminfo = { received: 0, receiveBuffer: 1, drops: 8 } as const;
const meminfoCount = 9;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
const POLLIN = 1;

const socket = bind('int socket(int domain, int type, int protocol)');
const bindTo = bind('int bind(int fd, const uint8_t *address, uint32_t length)');
const setsockopt = bind('int setsockopt(int fd, int level, int name, const uint8_t *value, uint32_t length)');
const getsockopt = bind(
  'int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint8_t *length)',
);
const send = bind('int64_t send(int fd, const uint8_t *bytes, size_t size, int flags)');
const recvmmsg = bind('int recvmmsg(int fd, void *messages, unsigned int count, int flags, void *timeout)');
const poll = bind('int poll(void *fds, unsigned long count, int timeoutMs)');

/** A socket of netfilter's that hears `groups` (a mask; 0: only answers). @throws Error with code EPERM */
export function openNetfilter(groups: number): number {
  const fd = check(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER), 'socket', 'netlink');
  // struct sockaddr_nl: family, padding, port id (the kernel chooses), groups.
  const address = Buffer.alloc(12);
  address.writeUInt16LE(AF_NETLINK, 0);
  address.writeUInt32LE(groups, 8);
  check(bindTo(fd, address, address.length), 'bind', 'netlink');
  return fd;
}

/**
 * Makes a full buffer a matter of `dropsOf` instead of an error that is pending on the socket, which its next owner
 * would not survive.
 */
export function countDropsOnly(fd: number): void {
  setOption(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, 1);
}

/** Whether the sender of an event learns that it could not be delivered, and tries again. */
export function reportFailedDelivery(fd: number, on: boolean): void {
  setOption(fd, SOL_NETLINK, NETLINK_BROADCAST_ERROR, on ? 1 : 0);
}

/** A receive buffer of `bytes`, beyond what is granted to everybody where the caller may. The kernel doubles it. */
export function setReceiveBuffer(fd: number, bytes: number): void {
  try {
    setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes);
  } catch (error) {
    if (errnoOf(error) !== 'EPERM') throw error;
    setOption(fd, SOL_SOCKET, SO_RCVBUF, bytes);
  }
}

/** How many datagrams did not fit since the socket was made; wraps at 2^32. */
export function dropsOf(fd: number): number {
  return memoryOf(fd).readUInt32LE(4 * meminfo.drops);
}

/** How full the receive buffer is, from 0 to 1. */
export function fillOf(fd: number): number {
  const found = memoryOf(fd);
  return found.readUInt32LE(4 * meminfo.received) / found.readUInt32LE(4 * meminfo.receiveBuffer);
}

function memoryOf(fd: number): Buffer {
  const value = Buffer.alloc(4 * meminfoCount);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(value.length);
  check(getsockopt(fd, SOL_SOCKET, SO_MEMINFO, value, length), 'getsockopt', 'SO_MEMINFO');
  return value;
}

export function sendNetlink(fd: number, bytes: Buffer): void {
  check(send(fd, bytes, bytes.length, 0), 'send', 'netlink');
}

function setOption(fd: number, level: number, name: number, value: number): void {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  check(setsockopt(fd, level, name, bytes, bytes.length), 'setsockopt', `fd ${fd}`);
}

/** Waits until something is to be read, at most `timeoutMs`. Blocks the thread. */
export function waitReadable(fd: number, timeoutMs: number): boolean {
  // struct pollfd: fd, events, revents.
  pollRoom.bytes.writeInt32LE(fd, 0);
  pollRoom.bytes.writeInt16LE(POLLIN, 4);
  try {
    return check(poll(pollRoom.pointer, 1, timeoutMs), 'poll', 'netlink') > 0;
  } catch (error) {
    if (errnoOf(error) === 'EINTR') return false;
    throw error;
  }
}

const pollRoom = allocate(8);

// struct mmsghdr, struct iovec, struct sockaddr_nl on 64-bit machines.
const headerBytes = 64;
const vectorBytes = 16;
const addressBytes = 16;

/** Room for `count` datagrams of at most `size` bytes, filled again and again. */
export class NetlinkReceiver {
  readonly #count: number;
  readonly #size: number;
  readonly #memory: ReturnType<typeof allocate>;
  readonly #dataAt: number;

  constructor(count: number, size: number) {
    const vectorsAt = count * headerBytes;
    const addressesAt = vectorsAt + count * vectorBytes;
    this.#count = count;
    this.#size = size;
    this.#dataAt = addressesAt + count * addressBytes;
    this.#memory = allocate(this.#dataAt + count * size);
    const { bytes, address } = this.#memory;
    for (let index = 0; index < count; index += 1) {
      const header = index * headerBytes;
      const vector = vectorsAt + index * vectorBytes;
      bytes.writeBigUInt64LE(address + BigInt(addressesAt + index * addressBytes), header);
      bytes.writeBigUInt64LE(address + BigInt(vector), header + 16);
      bytes.writeBigUInt64LE(1n, header + 24);
      bytes.writeBigUInt64LE(address + BigInt(this.#dataAt + index * size), vector);
      bytes.writeBigUInt64LE(BigInt(size), vector + 8);
    }
  }

  /** How many came; 0 where nothing waits. What came before is gone. @throws Error with an errno code */
  receive(fd: number): number {
    const { bytes, pointer } = this.#memory;
    for (let index = 0; index < this.#count; index += 1)
      bytes.writeUInt32LE(addressBytes - 4, index * headerBytes + 8);
    try {
      return check(recvmmsg(fd, pointer, this.#count, MSG_DONTWAIT, null), 'recvmmsg', 'netlink');
    } catch (error) {
      // ENOBUFS is left from a time before `countDropsOnly`.
      if (['EAGAIN', 'EINTR', 'ENOBUFS'].includes(errnoOf(error))) return 0;
      throw error;
    }
  }

  /** The datagram, until the next `receive`. */
  datagram(index: number): Buffer {
    const start = this.#dataAt + index * this.#size;
    return this.#memory.bytes.subarray(
      start,
      start + this.#memory.bytes.readUInt32LE(index * headerBytes + 56),
    );
  }

  /** Whether there was room for all of it. */
  isWhole(index: number): boolean {
    return (this.#memory.bytes.readInt32LE(index * headerBytes + 48) & MSG_TRUNC) === 0;
  }

  /** Netlink port id of the sender; the kernel is 0. */
  sender(index: number): number {
    return this.#memory.bytes.readUInt32LE(
      this.#count * (headerBytes + vectorBytes) + index * addressBytes + 4,
    );
  }
}
