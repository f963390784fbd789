// The native seam against the real kernel: each function does what it says and fails with an errno code.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { closeOnExec, isOpenForWriting, keepOnExec, socketKind, tryLock } from '../../lib/sys/fd.ts';
import { bind } from '../../lib/sys/libc.ts';
import { exchange } from '../../lib/sys/rename.ts';
import { getXattr, listXattrs, setXattr } from '../../lib/sys/xattr.ts';
import { scratch } from '../support/scratch.ts';

const dup = bind('int dup(int fd)');
const absentFd = 1_000_000;

function files(t: TestContext, ...names: string[]): string[] {
  const folder = scratch(t);
  return names.map((name) => {
    const file = path.join(folder, name);
    writeFileSync(file, `text of ${name}`);
    return file;
  });
}

function opened(t: TestContext, file: string, flags = 'r+'): number {
  const fd = openSync(file, flags);
  t.after(() => closeSync(fd));
  return fd;
}

/** The descriptor below one of Node's sockets, which has no public name. */
function fdOf(socket: object): number {
  return (Reflect.get(socket, '_handle') as { fd: number }).fd;
}

test('exchange swaps two files: names, inodes and all', (t) => {
  const [a = '', b = ''] = files(t, 'a', 'ß "b"');
  const [before, after] = [statSync(a), statSync(b)];
  exchange(a, b);
  assert.equal(readFileSync(a, 'utf8'), 'text of ß "b"');
  assert.equal(readFileSync(b, 'utf8'), 'text of a');
  assert.equal(statSync(a).ino, after.ino);
  assert.equal(statSync(b).ino, before.ino);
});

test('exchange needs both names: with one missing it is ENOENT and nothing moves', (t) => {
  const [a = ''] = files(t, 'a');
  const absent = `${a}.absent`;
  for (const pair of [
    [a, absent],
    [absent, a],
  ] as const) {
    assert.throws(
      () => exchange(...pair),
      (error: NodeJS.ErrnoException) => {
        assert.equal(error.code, 'ENOENT');
        assert.equal(error.syscall, 'renameat2');
        assert.ok(error.message.includes(a) && error.message.includes(absent));
        return true;
      },
    );
  }
  assert.equal(readFileSync(a, 'utf8'), 'text of a');
  assert.equal(existsSync(absent), false);
});

test('exchange over a border of file systems is EXDEV', (t) => {
  const [a = ''] = files(t, 'a');
  const other = '/proc/self/comm';
  if (statSync(a).dev === statSync(other).dev) {
    t.skip('one file system');
    return;
  }
  assert.throws(() => exchange(a, other), { code: 'EXDEV' });
});

test('a user attribute comes back byte for byte, and is listed', (t) => {
  const [a = ''] = files(t, 'a');
  const fd = opened(t, a);
  const values = new Map([
    ['user.lares', Buffer.from([0, 1, 0xff, 0])],
    ['user.empty', Buffer.alloc(0)],
    ['user.large', Buffer.alloc(2_000, 7)],
  ]);
  try {
    for (const [name, value] of values) setXattr(fd, name, value);
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOTSUP');
    t.skip('this file system has no user attributes; set TMPDIR to one that has');
    return;
  }
  assert.deepEqual(
    listXattrs(fd)
      .filter((name) => name.startsWith('user.'))
      .sort(),
    [...values.keys()].sort(),
  );
  for (const [name, value] of values) assert.deepEqual(getXattr(fd, name), value);
  setXattr(fd, 'user.lares', Buffer.from('shorter'));
  assert.equal(getXattr(fd, 'user.lares').toString(), 'shorter');
  assert.throws(() => getXattr(fd, 'user.absent'), { code: 'ENODATA' });
});

test('a file without attributes has an empty list, one in /proc too', (t) => {
  const [a = ''] = files(t, 'a');
  assert.deepEqual(
    listXattrs(opened(t, a)).filter((name) => !name.startsWith('security.')),
    [],
  );
  assert.deepEqual(
    listXattrs(opened(t, '/proc/self/comm', 'r')).filter((name) => !name.startsWith('security.')),
    [],
  );
});

test('attributes of a descriptor that is not open are EBADF, a bad name is an errno too', (t) => {
  const [a = ''] = files(t, 'a');
  assert.throws(() => listXattrs(absentFd), { code: 'EBADF' });
  assert.throws(() => getXattr(absentFd, 'user.a'), { code: 'EBADF' });
  assert.throws(() => setXattr(absentFd, 'user.a', Buffer.alloc(0)), { code: 'EBADF' });
  assert.throws(() => setXattr(opened(t, a), 'nonsense', Buffer.alloc(1)), { code: 'ENOTSUP' });
});

test('an access control list can be carried from one file to another', (t) => {
  const [a = '', b = ''] = files(t, 'a', 'b');
  const { error, status } = spawnSync('setfacl', ['-m', 'u:65534:rw,g:12345:r', a]);
  if (error !== undefined) {
    t.skip('needs setfacl(1) of the package acl');
    return;
  }
  if (status !== 0) {
    t.skip('this file system has no access control lists; set TMPDIR to one that has');
    return;
  }
  const name = 'system.posix_acl_access';
  const [from, to] = [opened(t, a), opened(t, b)];
  assert.ok(listXattrs(from).includes(name));
  assert.ok(!listXattrs(to).includes(name));
  setXattr(to, name, getXattr(from, name));
  const acl = (file: string): string => execFileSync('getfacl', ['-ncp', file], { encoding: 'utf8' });
  assert.match(acl(b), /^user:65534:rw-$/m);
  assert.equal(acl(b), acl(a));
});

for (const [kind, host, domain] of [
  ['udp4', '127.0.0.1', 'inet'],
  ['udp6', '::1', 'inet6'],
] as const) {
  test(`a ${kind} socket is told from others`, async (t) => {
    const socket = createSocket(kind);
    t.after(() => socket.close());
    const bound = once(socket, 'listening');
    socket.bind(0, host);
    try {
      await bound;
    } catch (error) {
      t.skip(`no ${kind} here: ${String(error)}`);
      return;
    }
    assert.deepEqual(socketKind(fdOf(socket)), { domain, type: 'dgram' });
  });
}

test('TCP and unix sockets are told from others', async (t) => {
  for (const [place, domain] of [
    ['127.0.0.1', 'inet'],
    [path.join(scratch(t), 'socket'), 'unix'],
  ] as const) {
    const server = createServer();
    t.after(() => server.close());
    server.listen(domain === 'unix' ? { path: place } : { host: place, port: 0 });
    await once(server, 'listening');
    assert.deepEqual(socketKind(fdOf(server)), { domain, type: 'stream' });
  }
});

test('sockets of rarer kinds have a kind as well', (t) => {
  const socket = bind('int socket(int domain, int type, int protocol)');
  for (const [numbers, kind] of [
    [[16, 3, 0], { domain: 'netlink', type: 'other' }],
    [[1, 2, 0], { domain: 'unix', type: 'dgram' }],
    [[1, 5, 0], { domain: 'unix', type: 'other' }],
  ] as const) {
    const fd = Number(socket(...numbers));
    t.after(() => closeSync(fd));
    assert.deepEqual(socketKind(fd), kind);
  }
});

test('a regular file is ENOTSOCK, what is not open is EBADF', (t) => {
  const [a = ''] = files(t, 'a');
  assert.throws(() => socketKind(opened(t, a)), { code: 'ENOTSOCK', syscall: 'getsockopt' });
  assert.throws(() => socketKind(absentFd), { code: 'EBADF' });
});

test('close-on-exec keeps a descriptor from programs started later, and keep-on-exec undoes it', (t) => {
  const [a = ''] = files(t, 'a');
  const [one, two] = [0, 1].map(() => Number(dup(opened(t, a)))) as [number, number];
  t.after(() => [one, two].forEach((fd) => closeSync(fd)));
  const seen = (): string[] =>
    execFileSync(
      '/bin/sh',
      ['-c', 'cd /proc/self/fd && for fd in *; do echo "$fd $(readlink "$fd")"; done'],
      {
        encoding: 'utf8',
      },
    )
      .split('\n')
      .filter((line) => line.endsWith(` ${a}`))
      .map((line) => line.split(' ')[0] ?? '');
  assert.deepEqual(seen(), [one, two].map(String).sort());
  closeOnExec(one);
  assert.deepEqual(seen(), [String(two)]);
  keepOnExec(one);
  assert.deepEqual(seen(), [one, two].map(String).sort());
  assert.equal(readFileSync(one, 'utf8'), 'text of a');
  assert.throws(() => closeOnExec(absentFd), { code: 'EBADF', syscall: 'fcntl' });
});

test('a file that somebody has open for writing is told from one that nobody writes', (t) => {
  const file = path.join(scratch(t), 'file');
  writeFileSync(file, 'x');
  const reader = openSync(file, 'r');
  t.after(() => closeSync(reader));
  assert.equal(isOpenForWriting(reader), false);
  const writer = openSync(file, 'a');
  assert.equal(isOpenForWriting(reader), true);
  closeSync(writer);
  assert.equal(isOpenForWriting(reader), false);
});

test('a lock is held by one description at a time', (t) => {
  const folder = scratch(t);
  const [first, second] = [openSync(folder, 'r'), openSync(folder, 'r')];
  assert.equal(tryLock(first), true);
  assert.equal(tryLock(second), false);
  closeSync(first);
  assert.equal(tryLock(second), true);
  closeSync(second);
});
