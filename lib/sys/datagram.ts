// Datagrams to a UNIX socket (unix(7)), which Node has no call for: the journal's protocol is made of them. Sending
// never blocks.
import { constants } from 'node:os';
import { bind, check } from './libc.ts';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2_000_000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const sunPathBytes = 108;

const socket = bind('int socket(int domain, int type, int protocol)');
const sendto = bind(
  'int64_t sendto(int fd, const uint8_t *bytes, size_t size, int flags, const uint8_t *to, uint32_t length)',
);

/** A socket for `sendDatagram`, open for as long as the process lives. */
export function openDatagramSocket(): number {
  return check(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), 'socket');
}

/** @throws Error with code EAGAIN where the reader is behind, ENOENT or ECONNREFUSED where there is none */
export function sendDatagram(fd: number, path: string, bytes: Buffer): void {
  const to = Buffer.alloc(2 + sunPathBytes);
  // Native byte order: both architectures that this runs on are little-endian.
  to.writeUInt16LE(AF_UNIX, 0);
  const length = 2 + to.write(path, 2, sunPathBytes - 1, 'utf8') + 1;
  check(sendto(fd, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL, to, length), 'sendto', path);
}

/** The number of an errno name; 0 for what is none. */
export function errnoNumber(name: string): number {
  return (constants.errno as Record<string, number>)[name] ?? 0;
}
