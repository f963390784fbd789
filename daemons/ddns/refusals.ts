// Refusals, said and counted: the first few of each reason in every window get a record with their source, the rest one
// line with their number. A flood costs a counter, not the journal.
import type { Log } from '../../lib/messages.ts';
import type { Refusal } from './core/decide.ts';
import { messages } from './messages.ts';

const windowMs = 10_000;
const recordsPerWindow = 10;

export class Refusals {
  readonly #log: Log;
  readonly #counts = new Map<Refusal, number>();
  readonly #inWindow = new Map<Refusal, number>();
  #windowEndMs = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  /** `nowMs` is monotonic. */
  note(reason: Refusal, source: string, keyId: string | undefined, nowMs: number): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1);
    if (nowMs >= this.#windowEndMs) this.#turn(nowMs);
    const said = (this.#inWindow.get(reason) ?? 0) + 1;
    this.#inWindow.set(reason, said);
    if (said > recordsPerWindow) return;
    this.#log.say(
      messages.refused,
      `refused: ${reason} from ${source}${keyId === undefined ? '' : ` for key ${keyId}`}`,
      {
        LARES_REASON: reason,
        LARES_SOURCE: source,
        LARES_KEY_ID: keyId,
      },
    );
  }

  /** The counts since the last call, for the store; says what a window that is over has kept back. */
  drain(nowMs: number): Map<Refusal, number> {
    if (nowMs >= this.#windowEndMs) this.#turn(nowMs);
    const counts = new Map(this.#counts);
    this.#counts.clear();
    return counts;
  }

  /** Whether there is a number to be said once the window is over. */
  get holdsBack(): boolean {
    return [...this.#inWindow.values()].some((count) => count > recordsPerWindow);
  }

  /** Says what the window has kept back so far. */
  close(): void {
    this.#turn(0);
  }

  #turn(nowMs: number): void {
    for (const [reason, count] of this.#inWindow) {
      const more = count - recordsPerWindow;
      if (more > 0)
        this.#log.say(messages.refusedMore, `refused: ${reason}, ${more} more within ${windowMs / 1_000} s`, {
          LARES_REASON: reason,
        });
    }
    this.#inWindow.clear();
    this.#windowEndMs = nowMs + windowMs;
  }
}
