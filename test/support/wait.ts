// Waiting for something to become true, with a limit that only a broken program meets.
import { setTimeout as sleep } from 'node:timers/promises';

const limitMs = 20_000;
const stepMs = 10;

/**
 * Polls until `look` returns something else than undefined or false. @throws Error naming `what` and the last `seen`
 */
export async function until<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  seen?: () => string,
): Promise<T> {
  const end = performance.now() + limitMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > end)
      throw new Error(
        `no ${what} within ${limitMs / 1_000} s${seen === undefined ? '' : `; seen:\n${seen()}`}`,
      );
    await sleep(stepMs);
  }
}
