// The client: rounds of signed packets to every destination from every source, with a pause between rounds. Names are
// resolved anew for each round, so that a client that outlives a move of the server finds it.
import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../lib/clock.ts';
import { explain, LaresError } from '../../lib/errors.ts';
import type { Family } from './core/address.ts';
import type { HostPort } from './core/destination.ts';
import type { SigningKey } from './core/keys.ts';
import { buildPacket } from './core/wire.ts';

export interface SendPlan {
  destinations: HostPort[];
  /** Undefined: any source. */
  sources: (HostPort | undefined)[];
  keys: SigningKey[];
  rounds: number;
  /** Seconds between rounds. */
  pauses: Iterator<number, never>;
  family: Family | undefined;
  randomAddress: boolean;
}

/** One packet that left, or an error in its place. */
export interface Sent {
  destination: string;
  address: string;
  port: number;
  keyId: string;
  /** Unix seconds, as in the packet. */
  stamp: number;
}

export interface SendEvents {
  sent: (sent: Sent) => void;
  warn: (text: string) => void;
  pause: (seconds: number) => void;
}

interface Resolved {
  address: string;
  family: Family;
}

/** Sends all rounds. Returns the destinations that got no packet in any round. */
export async function sendAll(plan: SendPlan, events: SendEvents, clock: Clock): Promise<string[]> {
  const missed = new Set(plan.destinations.map(({ host, port }) => `${host}:${port}`));
  for (let round = 0; round < plan.rounds; round += 1) {
    const startMs = clock.monotonicMs();
    // One stamp for all packets of a round: the receiver takes it once a family.
    const stamp = clock.wallMs() / 1_000;
    const packets = plan.keys.map((key) => ({
      keyId: key.keyId,
      packet: buildPacket(key.keyId, stamp, (signed) => key.sign(signed)),
    }));
    for (const destination of plan.destinations) {
      for (const source of plan.sources) {
        try {
          const to = await sendRound(
            plan,
            destination,
            source,
            packets.map(({ packet }) => packet),
            events.warn,
          );
          missed.delete(`${destination.host}:${destination.port}`);
          for (const { keyId } of packets)
            events.sent({
              destination: destination.host,
              address: to.address,
              port: destination.port,
              keyId,
              stamp,
            });
        } catch (error) {
          events.warn(`${destination.host}: ${explain(error)}`);
        }
      }
    }
    if (round === plan.rounds - 1) break;
    const pause = plan.pauses.next().value;
    events.pause(pause);
    await sleep(Math.max(0, startMs + pause * 1_000 - clock.monotonicMs()));
  }
  return [...missed];
}

async function sendRound(
  plan: SendPlan,
  destination: HostPort,
  source: HostPort | undefined,
  packets: Buffer[],
  warn: SendEvents['warn'],
): Promise<Resolved> {
  const from = source === undefined ? undefined : await resolve(source.host, plan.family, false, warn);
  const to = await resolve(destination.host, plan.family ?? from?.family, plan.randomAddress, warn);
  if (from !== undefined && from.family !== to.family) {
    throw new LaresError(
      'E_DDNS_FAMILY',
      `cannot send from ${from.address} to ${to.address}: one is IPv4, the other IPv6`,
    );
  }
  const socket = createSocket(to.family === 4 ? 'udp4' : 'udp6');
  try {
    if (from !== undefined) await bind(socket, from.address, source?.port ?? 0);
    for (const packet of packets) await send(socket, packet, destination.port, to.address);
  } finally {
    socket.close();
  }
  return to;
}

/** As the old client chose: IPv4 where a name has both, the first address of several, or any with `random`. */
async function resolve(
  host: string,
  family: Family | undefined,
  random: boolean,
  warn: (text: string) => void,
): Promise<Resolved> {
  const found = (await lookup(host, { all: true, family: family ?? 0 })).map(
    ({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }) as const,
  );
  const any = found[random ? Math.floor(Math.random() * found.length) : 0];
  if (any === undefined) throw new LaresError('E_DDNS_HOST', `${host} has no address`);
  if (random) return any;
  const both = new Set(found.map((one) => one.family)).size > 1;
  const chosen = (both ? found.find((one) => one.family === 4) : any) ?? any;
  if (both) warn(`${host} has IPv4 and IPv6 addresses, using IPv4; -v 6 uses the other`);
  const others = found.filter((one) => one.family === chosen.family && one.address !== chosen.address);
  if (others.length > 0)
    warn(`${host} has several addresses, using ${chosen.address}; -r picks one at random`);
  return chosen;
}

function bind(socket: Socket, address: string, port: number): Promise<void> {
  return new Promise((done, failed) => {
    socket.once('error', failed);
    socket.bind(port, address, () => {
      socket.off('error', failed);
      done();
    });
  });
}

function send(socket: Socket, packet: Buffer, port: number, address: string): Promise<void> {
  return new Promise((done, failed) => {
    socket.send(packet, port, address, (error) => (error === null ? done() : failed(error)));
  });
}
