// `lares ddns send`: the client, with the options of the old one.
import { type Command, InvalidArgumentError, Option } from 'commander';
import { systemClock } from '../../../lib/clock.ts';
import type { Io } from '../../../lib/command.ts';
import { explain } from '../../../lib/errors.ts';
import { type Sent, sendAll } from '../client.ts';
import { parseDelay } from '../core/delay.ts';
import { defaultPort, parseHosts } from '../core/destination.ts';
import { readKeys } from '../keyfile.ts';

interface SendOptions {
  packets: number;
  sendDelay: Iterator<number, never>;
  bind?: ReturnType<typeof parseHosts>;
  ipAf?: '4' | '6';
  randomAddr?: boolean;
  debug?: boolean;
  json?: boolean;
}

const help = `
A destination is host[:port], port ${defaultPort} if left out; several are separated by slashes. A key file holds one or
more keys, separated by white space, and its name starts with / or . so that it is not taken for a key. A key that
starts with - needs -- before it.

  lares ddns send ns.example.org ./client.key
  lares ddns send -n 3 --send-delay 1:mul:2 ns1.example.org/ns2.example.org:5533 /etc/lares/client.key
  lares ddns send -b [2001:db8::3]/192.0.2.7 ns.example.org ./client.key
`;

export function registerSend(program: Command, io: Io): void {
  program
    .command('send')
    .description('send signed packets, so that the receiver learns the address of this host')
    .argument('<destination>', 'host[:port], several separated by /', (text: string) =>
      valid(() => parseHosts(text, defaultPort)),
    )
    .argument('<key...>', 'key files; or keys, which other users could see')
    .option('-n, --packets <n>', 'how many packets to send to each destination', positive, 1)
    .addOption(
      new Option('--send-delay <n|n:op:arg>', 'seconds between packets: 2.5, 1:mul:2, 1:add:5, 10:sub:1')
        .argParser((text) => valid(() => parseDelay(text)))
        .default(parseDelay('1:mul:2'), '1:mul:2'),
    )
    .option('-b, --bind <host[:port]>', 'send from this address, several separated by /', (text: string) =>
      valid(() => parseHosts(text, 0)),
    )
    .addOption(new Option('-v, --ip-af <4|6>', 'resolve names for this version of IP').choices(['4', '6']))
    .option('-r, --random-addr', 'pick any of several addresses of a name')
    .option('-d, --debug', 'say each packet and each pause')
    .option('--json', 'print a JSON line for each packet')
    .addHelpText('after', help)
    .action(async (destinations: ReturnType<typeof parseHosts>, keyArgs: string[], options: SendOptions) => {
      const warn = (text: string): void => io.err(`lares ddns send: ${text}\n`);
      const missed = await sendAll(
        {
          destinations,
          sources: options.bind ?? [undefined],
          keys: readKeys(keyArgs, warn),
          rounds: options.packets,
          pauses: options.sendDelay,
          family: options.ipAf === undefined ? undefined : options.ipAf === '4' ? 4 : 6,
          randomAddress: options.randomAddr ?? false,
        },
        {
          sent: (sent) => report(io, options, sent),
          warn,
          pause: (seconds) => options.debug === true && io.err(`next packet in ${seconds} s\n`),
        },
        systemClock,
      );
      if (missed.length === 0) return;
      warn(`nothing could be sent to ${missed.join(', ')}`);
      io.exit(1);
    });
}

function report(io: Io, { json, debug }: SendOptions, sent: Sent): void {
  if (json === true) io.out(`${JSON.stringify(sent)}\n`);
  else if (debug === true)
    io.err(`sent to ${sent.destination} (${sent.address} port ${sent.port}) for key ${sent.keyId}\n`);
}

function positive(text: string): number {
  const count = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (count < 1) throw new InvalidArgumentError('a whole number from 1 to 999999 is wanted');
  return count;
}

function valid<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new InvalidArgumentError(explain(error));
  }
}
