// Extended attributes of open files (xattr(7)), access control lists among them: a file that replaces another has to
// carry what the other carried.
import { errnoOf } from '../errors.ts';
import { bind, check } from './libc.ts';

const flistxattr = bind('int64_t flistxattr(int fd, _Out_ uint8_t *list, size_t size)');
const fgetxattr = bind('int64_t fgetxattr(int fd, const char *name, _Out_ uint8_t *value, size_t size)');
const fsetxattr = bind(
  'int fsetxattr(int fd, const char *name, const uint8_t *value, size_t size, int flags)',
);

// XATTR_LIST_MAX and XATTR_SIZE_MAX of linux/limits.h: no list and no value is larger.
const largestBytes = 65_536;
// One for all calls: they are synchronous, and what is returned is a copy.
const room = Buffer.alloc(largestBytes);

/** Names of all attributes that the caller may see; empty where the file system has none. */
export function listXattrs(fd: number): string[] {
  try {
    const length = check(flistxattr(fd, room, room.length), 'flistxattr');
    return room
      .toString('utf8', 0, length)
      .split('\0')
      .filter((name) => name !== '');
  } catch (error) {
    if (errnoOf(error) === 'ENOTSUP') return [];
    throw error;
  }
}

export function getXattr(fd: number, name: string): Buffer {
  const length = check(fgetxattr(fd, name, room, room.length), 'fgetxattr', name);
  return Buffer.from(room.subarray(0, length));
}

export function setXattr(fd: number, name: string, value: Buffer): void {
  check(fsetxattr(fd, name, value, value.length, 0), 'fsetxattr', name);
}
