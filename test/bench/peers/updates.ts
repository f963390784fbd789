// The measurement that every peer goes through: a zone of 20,000 A records, RFC 2136 updates that each
// give one of them another address, sent one after the other by the peer's own client, and the server's
// CPU time for them.
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findProgram, freePort, peerCpuMicros, run, withFolder, withServer } from './process.ts';

export type PeerResult =
  | {
      kind: 'measured';
      name: string;
      version: string;
      updates: number;
      cpuMicrosPerUpdate: number;
      wallMicrosPerUpdate: number;
    }
  | { kind: 'skipped'; name: string; reason: string };

export type Setup = { folder: string; port: number; zoneFile: string; secret: string };

export type Peer = {
  name: string;
  server: string;
  client: string;
  querier: string;
  /** Arguments of the server that make it write its version. */
  versionArgs: readonly string[];
  missing: string;
  /** The content of the server's config and of the client's key file. */
  config(setup: Setup): string;
  clientKey(secret: string): string;
  serverArgs(configFile: string, logFile: string): readonly string[];
};

export const zone = 'peers.test.';
export const keyName = 'peer';

const records = 20_000;
const warmUps = 50;
const updates = 500;
const firstSerial = 1;
// What a server still does right after its last reply belongs to the updates as well.
const settleMillis = 200;

export async function measure(peer: Peer): Promise<PeerResult> {
  const [server, client, querier] = [peer.server, peer.client, peer.querier].map(findProgram);
  if (server === undefined || client === undefined || querier === undefined) {
    return { kind: 'skipped', name: peer.name, reason: peer.missing };
  }
  const version = versionOf(await run(server, peer.versionArgs));
  return withFolder(async (folder) => {
    const port = await freePort();
    const secret = randomBytes(32).toString('base64');
    const configFile = join(folder, 'server.conf');
    const keyFile = join(folder, 'client.key');
    const zoneFile = join(folder, 'zone');
    const logFile = join(folder, 'server.log');
    await writeFile(zoneFile, zoneText());
    await writeFile(keyFile, peer.clientKey(secret), { mode: 0o600 });
    await writeFile(configFile, peer.config({ folder, port, zoneFile, secret }), { mode: 0o600 });

    const ask = async (name: string, type: string): Promise<string> =>
      (await run(querier, ['@127.0.0.1', '-p', `${port}`, '+short', '+time=1', name, type])).trim();
    const send = (from: number, to: number): Promise<string> =>
      run(client, ['-k', keyFile], updateScript(port, from, to));
    const answers = (): Promise<boolean> =>
      ask(zone, 'SOA').then(
        (text) => serialOf(text) === firstSerial,
        () => false,
      );

    return withServer(server, peer.serverArgs(configFile, logFile), logFile, answers, async (pid) => {
      await send(0, warmUps);
      await sleep(settleMillis);
      const cpu = peerCpuMicros(pid);
      const start = performance.now();
      await send(warmUps, warmUps + updates);
      const wallMicros = (performance.now() - start) * 1000;
      await sleep(settleMillis);
      const cpuMicros = peerCpuMicros(pid) - cpu;

      const last = warmUps + updates - 1;
      const served = await ask(hostName(last), 'A');
      if (served !== newAddress(last)) {
        throw new Error(`${hostName(last)} has "${served}" after the updates, not ${newAddress(last)}`);
      }
      // The serial grows by one with every update that changed something: none was lost or did nothing.
      const serial = serialOf(await ask(zone, 'SOA'));
      if (serial !== firstSerial + warmUps + updates) {
        throw new Error(`the serial is ${serial} after ${warmUps + updates} updates from ${firstSerial}`);
      }
      return {
        kind: 'measured',
        name: peer.name,
        version,
        updates,
        cpuMicrosPerUpdate: cpuMicros / updates,
        wallMicrosPerUpdate: wallMicros / updates,
      };
    });
  });
}

function zoneText(): string {
  const head = [
    `$ORIGIN ${zone}`,
    '$TTL 300',
    `@ SOA ns hostmaster ${firstSerial} 3600 900 604800 300`,
    '@ NS ns',
    'ns A 127.0.0.1',
  ];
  const hosts = Array.from({ length: records - 1 }, (_, index) => `host${index} A ${address(10, index)}`);
  return [...head, ...hosts, ''].join('\n');
}

/** One UPDATE message for each number: take away the host's address, add another. */
function updateScript(port: number, from: number, to: number): string {
  const lines = [`server 127.0.0.1 ${port}`, `zone ${zone}`];
  for (let index = from; index < to; index++) {
    const host = hostName(index);
    lines.push(`update delete ${host} A`, `update add ${host} 300 A ${newAddress(index)}`, 'send');
  }
  return `${lines.join('\n')}\n`;
}

/** Spread over the zone; 17 has no divisor in common with the number of hosts, so no host comes twice. */
function hostName(index: number): string {
  return `host${(index * 17) % (records - 1)}.${zone}`;
}

function newAddress(index: number): string {
  return address(172, index);
}

function address(network: number, index: number): string {
  return `${network}.16.${index >> 8}.${index & 255}`;
}

function serialOf(soa: string): number {
  return Number(soa.split(' ')[2]);
}

function versionOf(text: string): string {
  const found = /\d+(\.\d+)+/.exec(text)?.[0];
  if (found === undefined) throw new Error(`no version in "${text}"`);
  return found;
}
