// The native seam: how the C library is called. Everything that Node has no call for goes through this folder, one
// file a topic. Memory comes from koffi.alloc or from Buffers that live for one synchronous call; a failed call throws
// an Error whose `code` is the errno name, as Node's own file functions do.
import { getSystemErrorName } from 'node:util';
import koffi from 'koffi';

const libc = koffi.load('libc.so.6');

/** Memory outside V8's heap, which the kernel may hold addresses of. */
export interface Memory {
  pointer: object;
  address: bigint;
  /** The same memory, to look at. */
  bytes: Buffer;
}

export type NativeFunction = (...args: (number | string | Buffer | object | null)[]) => number | bigint;

/** Binds a function of libc by its C prototype. */
export function bind(prototype: string): NativeFunction {
  return libc.func(prototype);
}

/** `size` zeroed bytes that stay where they are for as long as the process lives. */
export function allocate(size: number): Memory {
  const pointer = koffi.alloc('uint8_t', size) as object;
  const bytes = Buffer.from(koffi.view(pointer, size));
  bytes.fill(0);
  return { pointer, address: koffi.address(pointer), bytes };
}

/** The result, or the error that errno names; errno is only meaningful right after a negative result. */
export function check(result: number | bigint, call: string, subject = ''): number {
  const value = Number(result);
  if (value >= 0) return value;
  const code = getSystemErrorName(-koffi.errno());
  throw Object.assign(new Error(`${code}: ${call}${subject === '' ? '' : ` '${subject}'`}`), {
    code,
    syscall: call,
  });
}
