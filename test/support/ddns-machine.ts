// A machine of the system tier with the package installed, and a zone that its receiver may rewrite.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { version } from '../../lib/version.ts';
import type { Client } from './ddns.ts';
import { Machine } from './machine.ts';
import { lacksMachines } from './machine-parts.ts';
import type { Owner } from './scratch.ts';

const dist = path.join(import.meta.dirname, '../../dist');
const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';

export const deb = path.join(dist, `lares_${version}_${architecture}.deb`);
export const port = 5533;
export const zone = '/srv/dns/data';
export const hook = '/usr/sbin/tinydns-data';
export const service = 'lares-ddns.service';
export const socket = 'lares-ddns.socket';
export const publish = 'lares-ddns-publish.service';
/** The name that most tests update. */
export const name = 'laptop.example.net';

/** Why these tests cannot run here, in one line. */
export async function lacksPackage(): Promise<string | false> {
  const lacking = await lacksMachines();
  if (lacking !== false) return lacking;
  if (!existsSync(deb)) return 'needs make deb, for which g++, libsystemd-dev or dpkg-deb are missing';
  return existsSync(hook) ? false : 'needs tinydns-data (Debian package tinydns)';
}

/** A machine with the package: nothing configured, nothing started. */
export async function machineWithPackage(t: Owner): Promise<Machine> {
  const machine = await Machine.boot(t);
  await machine.install(deb);
  return machine;
}

/** A block for a key with a name each. */
export function blockOf({ publicText }: Client, ...names: string[]): string {
  return [
    `# dynamic: 0 ${publicText}`,
    ...names.map((name) => `+${name}:192.0.2.1:60`),
    '',
    '.example.net:192.0.2.53:ns.example.net:300',
    '',
  ].join('\n');
}

/** Puts a zone in place, as a user who follows the README would, and opens the socket. */
export async function serve(machine: Machine, text: string, settings: string[] = []): Promise<void> {
  machine.write(zone, text);
  await machine.must('chown', '-R', 'lares-ddns:', path.dirname(zone));
  machine.write(
    '/etc/lares/ddns.conf',
    ['[Receiver]', 'AllowAddresses=127.0.0.0/8', ...settings, ''].join('\n'),
  );
  await machine.must('lares', 'ddns', 'setup', '--hook', hook, zone);
  await machine.systemctl('daemon-reload');
  await machine.systemctl('start', 'lares-ddns.socket');
}

/** What tinydns would answer for a name, from the very file that it reads. */
export async function answerFor(machine: Machine, name: string): Promise<string | undefined> {
  const script = `cd ${path.dirname(zone)} && exec tinydns-get a ${name}`;
  const { stdout } = await machine.run('sh', '-c', script);
  return /^answer: \S+ \d+ A (\S+)$/m.exec(stdout)?.[1];
}

/** Sends a packet from `from` and waits until tinydns would answer with it. */
export async function update(machine: Machine, client: Client, name: string, from: string): Promise<void> {
  await machine.send(port, [{ bytes: client.packet(), from }]);
  await machine.until(`${from} for ${name}`, async () => (await answerFor(machine, name)) === from);
}

/** What the receiver says of itself, as `systemctl status` shows it. */
export function statusText(machine: Machine): Promise<string> {
  return machine.show(service, 'StatusText');
}
