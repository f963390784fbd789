// Sockets of a daemon: those that the service manager passes (sd_listen_fds(3): LISTEN_PID, LISTEN_FDS,
// LISTEN_FDNAMES), taken by name and checked for kind; or, where nothing was passed, ones bound here. It never trusts
// the order of descriptors, and it leaves no variable behind for child processes to misread.

import { type BindOptions, createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { closeSync } from 'node:fs';
import { isIPv4, isIPv6 } from 'node:net';
import { errnoOf, explain, LaresError } from './errors.ts';
import { closeOnExec, keepOnExec, socketKind } from './sys/fd.ts';

const firstFd = 3;
const fdCount = 64;
// What comes while the loop waits for a disk has to lie somewhere; the kernel grants as much of it as rmem_max allows.
const receiveBytes = 4_194_304;

export interface Inherited {
  name: string;
  fd: number;
}

export interface Endpoint {
  host: string;
  port: number;
}

/** Takes the passed descriptors and removes the variables from `env`. @throws LaresError E_LISTEN_FDS */
export function takeInherited(env: NodeJS.ProcessEnv, pid: number): Inherited[] {
  try {
    const inherited = readInherited(env, pid);
    for (const { fd } of inherited) closeOnExec(fd);
    return inherited;
  } finally {
    for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) Reflect.deleteProperty(env, name);
  }
}

/**
 * Lets the passed descriptors through to the program that takes this process's place. @throws LaresError E_LISTEN_FDS
 */
export function passOnInherited(env: NodeJS.ProcessEnv, pid: number): void {
  for (const { fd } of readInherited(env, pid)) keepOnExec(fd);
}

function readInherited(env: NodeJS.ProcessEnv, pid: number): Inherited[] {
  const { LISTEN_PID: forPid, LISTEN_FDS: count, LISTEN_FDNAMES: names } = env;
  if (count === undefined || forPid !== String(pid)) return [];
  if (!/^\d{1,3}$/.test(count) || Number(count) > fdCount) {
    throw new LaresError(
      'E_LISTEN_FDS',
      `LISTEN_FDS=${count} is not a number of at most ${fdCount} descriptors`,
    );
  }
  const labels = names?.split(':') ?? [];
  return Array.from({ length: Number(count) }, (_, index) => ({
    name: labels[index] ?? 'unknown',
    fd: firstFd + index,
  }));
}

/** Takes one datagram. A socket has it before it is bound: what waits in a passed one comes in the same moment. */
export type Receive = (datagram: Buffer, from: RemoteInfo) => void;

/** Adopts a passed UDP socket. @throws LaresError E_LISTEN_KIND for anything else */
export async function adoptUdp({ name, fd }: Inherited, receive: Receive): Promise<Socket> {
  const { domain, type } = kindOf(fd);
  if (type !== 'dgram' || (domain !== 'inet' && domain !== 'inet6')) {
    throw new LaresError(
      'E_LISTEN_KIND',
      `passed socket '${name}' (fd ${fd}) is ${domain}/${type}, not UDP; see ListenDatagram= of its unit`,
    );
  }
  return bound(createSocket(domain === 'inet' ? 'udp4' : 'udp6', receive), { fd, exclusive: true });
}

/** The descriptor of a passed netlink socket. @throws LaresError E_LISTEN_KIND for anything else */
export function adoptNetlink({ name, fd }: Inherited): number {
  const { domain, type } = kindOf(fd);
  if (domain === 'netlink') return fd;
  throw new LaresError(
    'E_LISTEN_KIND',
    `passed socket '${name}' (fd ${fd}) is ${domain}/${type}, not netlink; see ListenNetlink= of its unit`,
  );
}

/** The descriptor of a passed control socket. @throws LaresError E_LISTEN_KIND for anything else */
export function adoptControl({ name, fd }: Inherited): number {
  const { domain, type } = kindOf(fd);
  if (domain === 'unix' && type === 'stream') return fd;
  throw new LaresError(
    'E_LISTEN_KIND',
    `passed socket '${name}' (fd ${fd}) is ${domain}/${type}, not a UNIX stream; see ListenStream= of its unit`,
  );
}

function kindOf(fd: number): { domain: string; type: string } {
  try {
    return socketKind(fd);
  } catch (error) {
    if (errnoOf(error) === 'ENOTSOCK') return { domain: 'no socket', type: 'other' };
    throw error;
  }
}

/** Binds a UDP socket. The wildcard `::` takes IPv4 as well, and falls back to it where the kernel has no IPv6. */
export async function bindUdp({ host, port }: Endpoint, receive: Receive): Promise<Socket> {
  try {
    return await bound(createSocket(host.includes(':') ? 'udp6' : 'udp4', receive), {
      address: host,
      port,
      exclusive: true,
    });
  } catch (error) {
    if (host === '::' && errnoOf(error) === 'EAFNOSUPPORT')
      return bindUdp({ host: '0.0.0.0', port }, receive);
    throw new LaresError(
      'E_LISTEN_BIND',
      `cannot listen on ${formatEndpoint({ host, port })}: ${explain(error)}`,
      { cause: error },
    );
  }
}

/** Reads `ADDRESS:PORT`, `[ADDRESS]:PORT` or `PORT` alone, numbers only. @throws LaresError E_LISTEN_ADDRESS */
export function parseEndpoint(text: string): Endpoint {
  const match = /^(?:(?:\[([^\]]+)\]|([^:\]]+)):)?(\d{1,5})$/.exec(text);
  const [, six, four, digits] = match ?? [];
  const port = Number(digits);
  if (!(port <= 65_535) || (six !== undefined && !isIPv6(six)) || (four !== undefined && !isIPv4(four))) {
    throw new LaresError(
      'E_LISTEN_ADDRESS',
      `'${text}' is no listening address; write 5533, 192.0.2.1:5533 or [2001:db8::1]:5533`,
    );
  }
  return { host: six ?? four ?? '::', port };
}

export function formatEndpoint({ host, port }: Endpoint): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

export function closeInherited({ fd }: Inherited): void {
  closeSync(fd);
}

function bound(socket: Socket, options: BindOptions): Promise<Socket> {
  return new Promise((resolve, reject) => {
    socket.once('error', (error) => {
      socket.close();
      reject(error);
    });
    socket.bind(options, () => {
      socket.removeAllListeners('error');
      // What the unit has forced may be beyond what the kernel would grant; it tells twice what was asked for.
      if (socket.getRecvBufferSize() < 2 * receiveBytes) socket.setRecvBufferSize(receiveBytes);
      resolve(socket);
    });
  });
}
