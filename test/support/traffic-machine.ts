// A machine of the system tier that counts: the package installed, a rule that makes the kernel track, and a client on
// the other end of a cable, in a network of its own.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { deb } from './ddns-machine.ts';
import type { Stream } from './flows.ts';
import { Machine } from './machine.ts';
import type { Owner } from './scratch.ts';

export const service = 'lares-traffic.service';
export const socket = 'lares-traffic.socket';
export const serverAddress = '10.8.0.1';
export const clientAddress = '10.8.0.7';

const ruleset = `table inet test {
  counter received { }
  chain input {
    type filter hook input priority 0;
    iifname "cable" ct state new,established counter name received
  }
  chain output {
    type filter hook output priority 0;
    icmp type destination-unreachable drop
  }
}
`;

/** A process that does nothing holds the client's network. */
const client = 'test-client.service';

export class TrafficMachine {
  readonly machine: Machine;
  #clientPid = '';

  private constructor(machine: Machine) {
    this.machine = machine;
  }

  static async boot(t: Owner): Promise<TrafficMachine> {
    const machine = await Machine.boot(t);
    await machine.install(deb);
    const one = new TrafficMachine(machine);
    await one.#connect();
    return one;
  }

  async #connect(): Promise<void> {
    const { machine } = this;
    machine.write('/etc/test.nft', ruleset);
    await machine.must('nft', '-f', '/etc/test.nft');
    await machine.must(
      'systemd-run',
      '--quiet',
      `--unit=${client}`,
      '-p',
      'PrivateNetwork=yes',
      'sleep',
      'infinity',
    );
    this.#clientPid = await machine.show(client, 'MainPID');
    await machine.must(
      'ip',
      'link',
      'add',
      'cable',
      'type',
      'veth',
      'peer',
      'name',
      'cable',
      'netns',
      this.#clientPid,
    );
    await machine.must('ip', 'address', 'add', `${serverAddress}/24`, 'dev', 'cable');
    await machine.must('ip', 'link', 'set', 'cable', 'up');
    for (const words of [
      ['link', 'set', 'lo', 'up'],
      ['link', 'set', 'cable', 'up'],
      ['address', 'add', `${clientAddress}/24`, 'dev', 'cable'],
    ])
      await machine.must('nsenter', '-t', this.#clientPid, '-n', 'ip', ...words);
  }

  /** Starts flows from the client; resolves when all are sent. */
  async send(stream: Omit<Stream, 'to' | 'sources'>): Promise<void> {
    const order = JSON.stringify({ ...stream, sources: [clientAddress], to: serverAddress } satisfies Stream);
    const file = new URL('flows.ts', import.meta.url).pathname;
    // From outside: the program and its modules are not in the machine.
    const network = `/proc/${this.machine.leader}/root/proc/${this.#clientPid}/ns/net`;
    const argv = [`--net=${network}`, process.execPath, '--disable-warning=ExperimentalWarning', file, order];
    const child = spawn('nsenter', argv, { stdio: ['ignore', 'inherit', 'inherit'] });
    const [code] = (await once(child, 'exit')) as [number | null];
    if (code !== 0) throw new Error(`the sender ended with ${code}`);
  }

  /** Bytes and packets that nft has counted. */
  async received(): Promise<{ packets: number; bytes: number }> {
    const text = await this.machine.must('nft', 'list', 'counter', 'inet', 'test', 'received');
    const [, packets, bytes] = /packets (\d+) bytes (\d+)/.exec(text) ?? [];
    return { packets: Number(packets), bytes: Number(bytes) };
  }

  /** What the client has sent, by our account. */
  async booked(): Promise<{ packets: number; bytes: number }> {
    const rows = JSON.parse(await this.machine.must('lares', 'traffic', 'report', '--json')) as {
      peer: string;
      txPackets: number;
      txBytes: number;
    }[];
    const row = rows.find(({ peer }) => peer === clientAddress);
    return { packets: row?.txPackets ?? 0, bytes: row?.txBytes ?? 0 };
  }

  async status(): Promise<Record<string, unknown>> {
    return JSON.parse(await this.machine.must('lares', 'traffic', 'status', '--json')) as Record<
      string,
      unknown
    >;
  }

  /** Ends flows that are overdue until none is left. */
  async quiet(): Promise<void> {
    await this.machine.until('end of all flows', async () => {
      await this.machine.must('conntrack', '-L');
      return Number(await this.machine.must('conntrack', '-C')) === 0;
    });
  }

  async agrees(): Promise<void> {
    let seen = '';
    await this.machine
      .until('agreement with nft', async () => {
        const [ours, theirs] = [JSON.stringify(await this.booked()), JSON.stringify(await this.received())];
        seen = `here ${ours}, nft ${theirs}`;
        return ours === theirs;
      })
      .catch((error: unknown) => {
        throw new Error(`${seen}\n${String(error)}`);
      });
  }
}

/** Why these tests cannot run here, in one line. */
export { lacksPackage } from './ddns-machine.ts';
