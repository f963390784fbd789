// Extended attributes of open files (xattr(7)), access control lists among them: a file that replaces another has to
// carry what the other carried.
import { bind, check } from './libc.ts';

const flistxattr = bind('int64_t flistxattr(int fd, _Out_ uint8_t *list, size_t size)');
const fgetxattr = bind('int64_t fgetxattr(int fd, const char *name, _Out_ uint8_t *value, size_t size)');
const fsetxattr = bind(
  'int fsetxattr(int fd, const char *name, const uint8_t *value, size_t size, int flags)',
);

// XATTR_LIST_MAX and XATTR_SIZE_MAX of linux/limits.h: no list and no value is larger.
const largestBytes = 65_536;

/** Names of all attributes that the caller may see; empty where the file system has none. */
export function listXattrs(fd: number): string[] {
  const list = Buffer.alloc(largestBytes);
  try {
    const length = check(flistxattr(fd, list, list.length), 'flistxattr');
    return list
      .toString('utf8', 0, length)
      .split('\0')
      .filter((name) => name !== '');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOTSUP') return [];
    throw error;
  }
}

export function getXattr(fd: number, name: string): Buffer {
  const value = Buffer.alloc(largestBytes);
  return value.subarray(0, check(fgetxattr(fd, name, value, value.length), 'fgetxattr', name));
}

export function setXattr(fd: number, name: string, value: Buffer): void {
  check(fsetxattr(fd, name, value, value.length, 0), 'fsetxattr', name);
}
