// Runs in the network of a machine: sends a packet and asks tinydns until it answers with the new address, in one
// process that is there before and after, so that no start of a process is timed. A line of JSON in, a line with
// milliseconds out.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Question {
  /** The packet, where it goes, and the address of this host that it comes from. */
  packet: string;
  port: number;
  from: string;
  /** Who is asked, and for which name. */
  server: string;
  name: string;
}

const limitMs = 20_000;
/** Type A, class IN. */
const tail = [0, 1, 0, 1];

function query(name: string): Buffer {
  const labels = name.split('.').map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`));
  const header = [0x4c, 0x41, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
  return Buffer.concat([Buffer.from(header), ...labels, Buffer.from([0, ...tail])]);
}

/** From the packet to the first answer that has its source address; -1 where none came. */
async function timed({ packet, port, from, server, name }: Question): Promise<number> {
  const sender = createSocket('udp4').bind(0, from);
  const asker = createSocket('udp4').bind(0, '127.0.0.1');
  await Promise.all([once(sender, 'listening'), once(asker, 'listening')]);
  const wanted = Buffer.from([0, 4, ...from.split('.').map(Number)]);
  const asked = query(name);
  let took = -1;
  const begin = performance.now();
  asker.on('message', (answer) => {
    if (took < 0 && answer.includes(wanted)) took = performance.now() - begin;
  });
  sender.send(Buffer.from(packet, 'hex'), port, '127.0.0.1');
  while (took < 0 && performance.now() - begin < limitMs) {
    asker.send(asked, 53, server);
    await sleep(1);
  }
  sender.close();
  asker.close();
  return took;
}

for await (const line of createInterface({ input: process.stdin }))
  process.stdout.write(`${await timed(JSON.parse(line) as Question)}\n`);
