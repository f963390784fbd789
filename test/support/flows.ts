// Makes flows, in a process of its own within the clients' namespace: UDP datagrams from many addresses to many ports,
// each pair one flow of conntrack, as fast as it can or at a pace. Straight calls of the C library, since datagrams of
// Node's own are several times as dear and their number is not exact. The order is the first argument, as JSON.
import { allocate, bind, check } from '../../lib/sys/libc.ts';

export interface Stream {
  /** Each sends from one socket, always with the same port: a second stream reaches the same flows. */
  sources: string[];
  to: string;
  firstPort: number;
  ports: number;
  /** Of each flow, one right after the other. */
  packets: number;
  /** Of each datagram, without headers. */
  payload: number;
  /** Datagrams, at most; 0: no limit. */
  perSecond: number;
}

const AF_INET = 2;
const SOCK_DGRAM = 2;
const sourcePort = 20_000;
/** So often it looks at the clock. */
const turnMs = 5;

const socket = bind('int socket(int domain, int type, int protocol)');
const bindTo = bind('int bind(int fd, const uint8_t *address, uint32_t length)');
const sendto = bind(
  'int64_t sendto(int fd, const uint8_t *bytes, size_t size, int flags, const uint8_t *address, uint32_t length)',
);

function addressOf(host: string, port: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16LE(AF_INET, 0);
  bytes.writeUInt16BE(port, 2);
  Buffer.from(host.split('.').map(Number)).copy(bytes, 4);
  return bytes;
}

function open(host: string): number {
  const fd = check(socket(AF_INET, SOCK_DGRAM, 0), 'socket');
  check(bindTo(fd, addressOf(host, sourcePort), 16), 'bind', host);
  return fd;
}

function send({ sources, to, firstPort, ports, packets, payload, perSecond }: Stream): void {
  const fds = sources.map(open);
  const data = allocate(payload);
  const address = addressOf(to, firstPort);
  const still = new Int32Array(new SharedArrayBuffer(4));
  const atOnce = perSecond === 0 ? Number.POSITIVE_INFINITY : Math.ceil((perSecond * turnMs) / 1_000);
  const begin = performance.now();
  let sent = 0;
  const pace = (): void => {
    const waitMs = begin + (sent / perSecond) * 1_000 - performance.now();
    if (waitMs > 0) Atomics.wait(still, 0, 0, waitMs);
  };
  for (let port = firstPort; port < firstPort + ports; port += 1) {
    address.writeUInt16BE(port, 2);
    for (const fd of fds)
      for (let packet = 0; packet < packets; packet += 1) {
        check(sendto(fd, data.pointer, payload, 0, address, address.length), 'sendto', to);
        sent += 1;
        if (sent % atOnce === 0) pace();
      }
  }
}

const [, file, order] = process.argv;
if (file === import.meta.filename && order !== undefined) send(JSON.parse(order) as Stream);
