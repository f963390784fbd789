// The client's pause between packets, in the old client's notation: `2.5` keeps the pause, `1:mul:2` doubles it (1, 2,
// 4, …), `1:add:5` and `10:sub:1` step it. The operators are those of Python's operator module that fit numbers.
import { LaresError } from '../../../lib/errors.ts';

const operators = new Map<string, (n: number, by: number) => number>([
  ['add', (n, by) => n + by],
  ['sub', (n, by) => n - by],
  ['mul', (n, by) => n * by],
  ['div', (n, by) => n / by],
  ['truediv', (n, by) => n / by],
  ['floordiv', (n, by) => Math.floor(n / by)],
  ['mod', (n, by) => n % by],
  ['pow', (n, by) => n ** by],
]);

const longestSeconds = 86_400;

/** Pauses in seconds, without end, each from 0 to a day. @throws LaresError E_DDNS_DELAY */
export function parseDelay(text: string): Iterator<number, never> {
  const [first = '', name, by, ...rest] = text.split(':');
  const operator = name === undefined ? (n: number): number => n : operators.get(name);
  const needsNumber = name !== undefined;
  if (
    !isNumber(first) ||
    operator === undefined ||
    rest.length > 0 ||
    needsNumber !== (by !== undefined && isNumber(by))
  ) {
    throw new LaresError(
      'E_DDNS_DELAY',
      `'${text}' is no delay; write 2.5, or 1:mul:2 with one of ${[...operators.keys()].join(', ')}`,
    );
  }
  return pauses(Number(first), (n) => operator(n, Number(by)));
}

function* pauses(first: number, next: (n: number) => number): Generator<number, never> {
  for (let n = first; ; n = next(n)) {
    yield Math.min(longestSeconds, Math.max(0, Number.isNaN(n) ? 0 : n));
  }
}

function isNumber(text: string): boolean {
  return /^-?\d+(\.\d+)?$/.test(text);
}
