// The thread that empties the event socket. It decides nothing: it waits, takes what there is, hands it over in batches
// and stands still while too many of them wait, so that what nobody has counted yet stays in the kernel. It never waits
// without a bound, for a thread that sits in a system call cannot be ended.
import { parentPort, workerData } from 'node:worker_threads';
import { fillOf, NetlinkReceiver, waitReadable } from '../../../lib/sys/netlink.ts';
import {
  batchEvents,
  batchesAhead,
  batchesAheadAtMost,
  type FromReader,
  slot,
  type ToReader,
} from '../exchange.ts';

/** One that does not fit is noticed. */
const eventBytes = 8_192;
const usualBytes = 512;
const atOnce = 128;
const waitMs = 500;
/** Under load this lets a batch gather instead of a handful; it costs nothing but that delay. */
const gatherMs = 5;
/** Of the kernel's buffer; above that more is read ahead. */
const fullPart = 0.25;
const aheadMs = 5;

const { fd, shared } = workerData as ToReader;
const state = new Int32Array(shared);
const receiver = new NetlinkReceiver(atOnce, eventBytes);
const room = new Uint8Array(atOnce * eventBytes + batchEvents * usualBytes);
const lengths = new Uint32Array(batchEvents);

while (Atomics.load(state, slot.stop) === 0) {
  Atomics.add(state, slot.turns, 1);
  if (!waitReadable(fd, waitMs)) {
    Atomics.add(state, slot.empty, 1);
    continue;
  }
  const { batch, isEmpty } = gather();
  if (batch !== undefined) {
    Atomics.add(state, slot.posted, 1);
    parentPort?.postMessage(batch, [batch.bytes.buffer as ArrayBuffer, batch.lengths.buffer as ArrayBuffer]);
  }
  if (isEmpty) {
    Atomics.add(state, slot.empty, 1);
    Atomics.wait(state, slot.stop, 0, gatherMs);
  }
  while (mustWait() && Atomics.load(state, slot.stop) === 0) {
    Atomics.wait(state, slot.done, Atomics.load(state, slot.done), aheadMs);
    Atomics.add(state, slot.turns, 1);
  }
}
parentPort?.postMessage('end' satisfies FromReader);

function mustWait(): boolean {
  const ahead = Atomics.load(state, slot.posted) - Atomics.load(state, slot.done);
  return ahead >= (fillOf(fd) > fullPart ? batchesAheadAtMost : batchesAhead);
}

/** What has come, up to one batch; whether the socket was empty then. */
function gather(): { batch: Exclude<FromReader, string> | undefined; isEmpty: boolean } {
  let count = 0;
  let used = 0;
  let odd = 0;
  let isEmpty = false;
  while (count + atOnce <= batchEvents && used + atOnce * eventBytes <= room.length && !isEmpty) {
    const received = receiver.receive(fd);
    isEmpty = received === 0;
    for (let index = 0; index < received; index += 1) {
      // Only the kernel tells of flows.
      if (!receiver.isWhole(index) || receiver.sender(index) !== 0) {
        odd += 1;
        continue;
      }
      const datagram = receiver.datagram(index);
      // Copied at once: the next turn fills the same memory.
      room.set(datagram, used);
      used += datagram.length;
      lengths[count] = datagram.length;
      count += 1;
    }
  }
  const isNothing = count === 0 && odd === 0;
  return {
    batch: isNothing ? undefined : { bytes: room.slice(0, used), lengths: lengths.slice(0, count), odd },
    isEmpty,
  };
}
