// Clients of the receiver, as bytes on a socket; and a receiver on a scratch zone.
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { encodeKey, SigningKey } from '../../daemons/ddns/core/keys.ts';
import { buildPacket } from '../../daemons/ddns/core/wire.ts';
import { Daemon, type Start } from './daemon.ts';
import { type Owner, scratch } from './scratch.ts';

export class Client {
  readonly key = new SigningKey(randomBytes(32));
  readonly publicText = encodeKey(this.key.publicKey);

  packet(stamp: number = Date.now() / 1_000): Buffer {
    return buildPacket(this.key.keyId, stamp, (signed) => this.key.sign(signed));
  }
}

/** Sends datagrams from `from` (an address of this host) in order. */
export async function send(port: number, packets: Buffer | Buffer[], from = '127.0.0.1'): Promise<void> {
  const family = from.includes(':') ? 'udp6' : 'udp4';
  const socket = createSocket(family);
  await new Promise<void>((resolve) => socket.bind(0, from, resolve));
  for (const packet of [packets].flat()) {
    await new Promise<void>((resolve, reject) => {
      socket.send(packet, port, family === 'udp4' ? '127.0.0.1' : '::1', (error) =>
        error === null ? resolve() : reject(error),
      );
    });
  }
  socket.close();
}

/** A bound socket that nobody reads, as the service manager holds it: its port, and the descriptor to pass on. */
export async function unreadSocket(t: Owner): Promise<{ port: number; fd: number }> {
  const socket = createSocket('udp4');
  t.after(() => socket.close());
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  const handle = (socket as unknown as Record<symbol, { handle: { fd: number; recvStop: () => void } }>)[
    stateSymbol(socket)
  ]?.handle;
  if (handle === undefined) throw new Error('Node keeps the handle of a datagram socket elsewhere now');
  handle.recvStop();
  return { port: socket.address().port, fd: handle.fd };
}

function stateSymbol(socket: object): symbol {
  return (
    Object.getOwnPropertySymbols(socket).find((symbol) => symbol.description === 'state symbol') ??
    Symbol('none')
  );
}

export interface Bench {
  folder: string;
  zone: string;
  conf: string;
  start: (more?: Partial<Start>) => Daemon;
}

/** A scratch zone and configuration; `start` runs the receiver on them, as often as one likes. */
export function receiverOn(t: TestContext, zoneText: string, settings = ''): Bench {
  const folder = scratch(t);
  const zone = path.join(folder, 'root', 'data');
  const conf = path.join(folder, 'ddns.conf');
  mkdirSync(path.dirname(zone));
  writeFileSync(zone, zoneText);
  writeFileSync(conf, `[Receiver]\nZone=${zone}\nAllowAddresses=127.0.0.0/8 ::1\n${settings}`);
  const args = ['--conf', conf, '--state', path.join(folder, 'state')];
  return {
    folder,
    zone,
    conf,
    start: (more = {}) => Daemon.start(t, { ...more, args: [...args, ...(more.args ?? ['--listen', '0'])] }),
  };
}
