// A real netlink socket of netfilter's: its options, what waits in it, and what the kernel answers to nonsense.
import assert from 'node:assert/strict';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { errnoOf } from '../../lib/errors.ts';
import { adoptNetlink } from '../../lib/listen.ts';
import { control, encodeMessage, errorOf, flag, messagesOf } from '../../lib/netlink/message.ts';
import { bind } from '../../lib/sys/libc.ts';
import {
  countDropsOnly,
  dropsOf,
  fillOf,
  NetlinkReceiver,
  openNetfilter,
  reportFailedDelivery,
  sendNetlink,
  setReceiveBuffer,
  waitReadable,
} from '../../lib/sys/netlink.ts';
import { scratch } from '../support/scratch.ts';

const newSocket = bind('int socket(int domain, int type, int protocol)');

/** Why there can be no such socket here. */
function obstacle(): string | false {
  try {
    closeSync(openNetfilter(0));
    return false;
  } catch (error) {
    return `no netfilter socket here: ${errnoOf(error)}`;
  }
}

const skip = obstacle();

function opened(t: TestContext): number {
  const fd = openNetfilter(0);
  t.after(() => closeSync(fd));
  return fd;
}

/** Of a subsystem that the kernel does not have. */
const nonsense = (sequence: number): Buffer =>
  encodeMessage(0x7f_00, flag.request | flag.ack, sequence, Buffer.alloc(4));

test('a new socket is empty, has dropped nothing, and reading it does not wait', { skip }, (t) => {
  const fd = opened(t);
  assert.equal(dropsOf(fd), 0);
  assert.equal(fillOf(fd), 0);
  assert.equal(waitReadable(fd, 0), false);
  assert.equal(new NetlinkReceiver(4, 8_192).receive(fd), 0);
});

test('a request of nonsense is answered by the kernel, with an error and its sequence', { skip }, (t) => {
  const fd = opened(t);
  sendNetlink(fd, nonsense(77));
  assert.equal(waitReadable(fd, 5_000), true);
  assert.ok(fillOf(fd) > 0);
  const receiver = new NetlinkReceiver(4, 8_192);
  assert.equal(receiver.receive(fd), 1);
  assert.deepEqual([receiver.sender(0), receiver.isWhole(0)], [0, true]);
  const [message, ...rest] = messagesOf(receiver.datagram(0));
  assert.ok(message && rest.length === 0);
  assert.deepEqual([message.type, message.sequence], [control.error, 77]);
  assert.ok(errorOf(message) > 0);
  assert.equal(receiver.receive(fd), 0);
  assert.equal(waitReadable(fd, 0), false);
  assert.equal(fillOf(fd), 0);
});

test('many answers come at once and in order, as many as there is room for, again and again', {
  skip,
}, (t) => {
  const fd = opened(t);
  const receiver = new NetlinkReceiver(3, 8_192);
  const sequences = [11, 12, 13, 14, 15, 16, 17];
  for (const sequence of sequences) sendNetlink(fd, nonsense(sequence));
  const seen: number[][] = [];
  for (let count = receiver.receive(fd); count > 0; count = receiver.receive(fd))
    seen.push(
      Array.from({ length: count }, (_, index) => {
        assert.equal(receiver.sender(index), 0);
        return messagesOf(receiver.datagram(index))[0]?.sequence ?? 0;
      }),
    );
  assert.deepEqual(seen, [sequences.slice(0, 3), sequences.slice(3, 6), sequences.slice(6)]);
});

test('an answer that is larger than its room is told to be cut', { skip }, (t) => {
  const fd = opened(t);
  sendNetlink(fd, nonsense(5));
  const small = new NetlinkReceiver(1, 20);
  assert.equal(small.receive(fd), 1);
  assert.deepEqual([small.isWhole(0), small.datagram(0).length, small.sender(0)], [false, 20, 0]);
  // The mark is of that datagram, not of the room.
  sendNetlink(fd, encodeMessage(0x7f_00, flag.request | flag.ack, 6, Buffer.alloc(0)));
  const large = new NetlinkReceiver(1, 8_192);
  assert.equal(large.receive(fd), 1);
  assert.equal(large.isWhole(0), true);
});

test('a larger buffer is filled less by the same answers', { skip }, (t) => {
  const fill = (bytes: number): number => {
    const fd = opened(t);
    setReceiveBuffer(fd, bytes);
    for (const sequence of [1, 2, 3, 4]) sendNetlink(fd, nonsense(sequence));
    return fillOf(fd);
  };
  const [small, large] = [fill(16_384), fill(65_536)];
  assert.ok(large > 0 && small <= 1);
  assert.ok(Math.abs(small / large - 4) < 0.5, `${small} ${large}`);
});

test('what does not fit is dropped and counted, and is no error of the socket', { skip }, (t) => {
  const fd = opened(t);
  countDropsOnly(fd);
  setReceiveBuffer(fd, 4_096);
  for (let sequence = 1; sequence <= 500; sequence += 1) sendNetlink(fd, nonsense(sequence));
  const drops = dropsOf(fd);
  assert.ok(drops > 0 && drops < 500, String(drops));
  const receiver = new NetlinkReceiver(64, 1_024);
  let received = 0;
  for (let count = receiver.receive(fd); count > 0; count = receiver.receive(fd)) received += count;
  assert.equal(received + drops, 500);
  assert.equal(dropsOf(fd), drops);
  sendNetlink(fd, nonsense(501));
  assert.equal(receiver.receive(fd), 1);
});

test('an error that is pending from a full buffer hides nothing of what came after', { skip }, (t) => {
  const fd = opened(t);
  setReceiveBuffer(fd, 4_096);
  for (let sequence = 1; sequence <= 500; sequence += 1) sendNetlink(fd, nonsense(sequence));
  const receiver = new NetlinkReceiver(64, 1_024);
  assert.equal(receiver.receive(fd), 0);
  assert.ok(receiver.receive(fd) > 0);
});

test('whether a failed delivery is reported can be chosen, and chosen again', { skip }, (t) => {
  const fd = opened(t);
  for (const on of [true, false]) assert.doesNotThrow(() => reportFailedDelivery(fd, on));
});

test('what is asked of a descriptor that is no netlink socket is an error with its code', (t) => {
  const file = path.join(scratch(t), 'file');
  writeFileSync(file, '');
  const fd = openSync(file, 'r');
  t.after(() => closeSync(fd));
  for (const act of [
    () => dropsOf(fd),
    () => countDropsOnly(fd),
    () => setReceiveBuffer(fd, 4_096),
    () => sendNetlink(fd, nonsense(1)),
    () => new NetlinkReceiver(1, 64).receive(fd),
  ])
    assert.throws(act, { code: 'ENOTSOCK' });
});

test('a passed netlink socket is adopted as it is', { skip }, (t) => {
  const fd = opened(t);
  assert.equal(adoptNetlink({ name: 'events', fd }), fd);
  sendNetlink(fd, nonsense(1));
  assert.equal(waitReadable(fd, 5_000), true);
});

test('another socket, or no socket, under that name is E_LISTEN_KIND and says which line to look at', (t) => {
  const file = path.join(scratch(t), 'file');
  writeFileSync(file, '');
  const kinds = { 'inet/dgram': Number(newSocket(2, 2, 0)), 'no socket/other': openSync(file, 'r') };
  for (const [kind, fd] of Object.entries(kinds)) {
    t.after(() => closeSync(fd));
    assert.throws(() => adoptNetlink({ name: 'events', fd }), {
      name: 'LaresError',
      code: 'E_LISTEN_KIND',
      message: `passed socket 'events' (fd ${fd}) is ${kind}, not netlink; see ListenNetlink= of its unit`,
    });
  }
});
