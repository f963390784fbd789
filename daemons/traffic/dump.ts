// Reads the kernel's whole table of flows, or those with a mark: asks, and gives what comes in parts, so that the
// daemon can do other things in between. It never asks for anything that changes the table.
import { closeSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import { LaresError } from '../../lib/errors.ts';
import { dumpRequest, type Flow, flowOf } from '../../lib/netlink/conntrack.ts';
import { control, errorOf, flag, messagesOf } from '../../lib/netlink/message.ts';
import { NetlinkReceiver, openNetfilter, sendNetlink, waitReadable } from '../../lib/sys/netlink.ts';

/** The kernel fills at most 32 KiB, and less if it is not offered as much. */
const datagramBytes = 65_536;
const silenceMs = 100;
const silences = 50;

export class Dumper {
  readonly #fd = openNetfilter(0);
  readonly #receiver = new NetlinkReceiver(1, datagramBytes);
  #sequence = 0;

  /**
   * Calls `take` with each flow. Between parts it lets others have their turn. Resolves to whether the dump was whole:
   * the table may have changed under it. @throws LaresError E_TRAFFIC_DUMP, with the errno as its cause's code
   */
  async dump(
    mark: { value: number; mask: number } | undefined,
    take: (flow: Flow) => void,
    turn: () => Promise<void>,
  ): Promise<boolean> {
    this.#sequence = (this.#sequence + 1) & 0x7fff_ffff;
    const sequence = this.#sequence;
    sendNetlink(this.#fd, dumpRequest(sequence, mark));
    let isWhole = true;
    for (let quiet = 0; quiet < silences; ) {
      if (this.#receiver.receive(this.#fd) === 0) {
        // The kernel makes the next part when the last is taken, so this is rare.
        if (!waitReadable(this.#fd, 0)) {
          quiet += 1;
          await turn();
          waitReadable(this.#fd, silenceMs);
        }
        continue;
      }
      quiet = 0;
      if (!this.#receiver.isWhole(0) || this.#receiver.sender(0) !== 0) continue;
      for (const message of messagesOf(this.#receiver.datagram(0))) {
        // What is left of a dump that was given up.
        if (message.sequence !== sequence) continue;
        if ((message.flags & flag.interrupted) !== 0) isWhole = false;
        if (message.type === control.error || message.type === control.done) {
          const errno = errorOf(message);
          if (errno !== 0) throw refused(errno);
          return isWhole;
        }
        const flow = flowOf(message);
        if (flow !== undefined) take(flow);
      }
      await turn();
    }
    throw new LaresError('E_TRAFFIC_DUMP', 'the kernel began to list its flows and did not come to an end');
  }

  close(): void {
    closeSync(this.#fd);
  }
}

function refused(errno: number): LaresError {
  const code = getSystemErrorName(-errno);
  const why = code === 'EPERM' ? ': it needs CAP_NET_ADMIN' : '';
  const cause = Object.assign(new Error(code), { code });
  return new LaresError('E_TRAFFIC_DUMP', `the kernel refuses to list its flows${why}`, { cause });
}
