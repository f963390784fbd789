// Something that has to be done some time: kicked as often as one likes, run one at a time and not more often than
// wanted, repeated with growing pauses while it fails. The clock is monotonic; the work says itself what failed.
import type { Clock } from '../../lib/clock.ts';

export interface Pace {
  /** Least pause between two runs, milliseconds. */
  pauseMs: number;
  /** Pauses after failures double from the first to the longest. */
  firstRetryMs: number;
  longestRetryMs: number;
}

export class Duty {
  readonly #work: () => Promise<boolean> | boolean;
  readonly #pace: Pace;
  readonly #clock: Clock;
  readonly #fail: (error: unknown) => void;
  #due = false;
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;
  #earliestMs = 0;
  #startedMs = 0;
  #retryMs: number;
  #stopped = false;

  /** `work` resolves to whether it succeeded; what it throws is a bug and goes to `fail`. */
  constructor(
    work: () => Promise<boolean> | boolean,
    pace: Pace,
    clock: Clock,
    fail: (error: unknown) => void,
  ) {
    this.#work = work;
    this.#pace = pace;
    this.#clock = clock;
    this.#fail = fail;
    this.#retryMs = pace.firstRetryMs;
  }

  /** There is something to do: at the end of this turn of the loop, or as soon as the pace allows. */
  kick(): void {
    this.#due = true;
    if (
      this.#stopped ||
      this.#running !== undefined ||
      this.#timer !== undefined ||
      this.#immediate !== undefined
    )
      return;
    const waitMs = this.#earliestMs - this.#clock.monotonicMs();
    if (waitMs <= 0) this.#immediate = setImmediate(() => this.#start());
    else this.#timer = setTimeout(() => this.#start(), waitMs);
  }

  /** As `kick`, but what held a failed run back is over: no more waiting. */
  now(): void {
    this.#earliestMs = 0;
    this.#retryMs = this.#pace.firstRetryMs;
    this.#disarm();
    this.kick();
  }

  /** Whether there is nothing to do. */
  get idle(): boolean {
    return !this.#due && this.#running === undefined && this.#immediate === undefined;
  }

  /** For how long the run in progress has been at it; 0 if there is none. */
  get runningMs(): number {
    return this.#running === undefined ? 0 : this.#clock.monotonicMs() - this.#startedMs;
  }

  /** Waits for the run in progress, runs once more if something is due, and never again. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#disarm();
    await this.#running;
    if (this.#due) await this.#work();
  }

  #start(): void {
    this.#disarm();
    this.#due = false;
    this.#startedMs = this.#clock.monotonicMs();
    this.#running = this.#run()
      .catch(this.#fail)
      .finally(() => {
        this.#running = undefined;
        if (this.#due) this.kick();
      });
  }

  async #run(): Promise<void> {
    const done = await this.#work();
    this.#earliestMs = this.#clock.monotonicMs() + (done ? this.#pace.pauseMs : this.#retryMs);
    this.#retryMs = done ? this.#pace.firstRetryMs : Math.min(this.#pace.longestRetryMs, this.#retryMs * 2);
    if (!done) this.#due = true;
  }

  #disarm(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#immediate);
    this.#timer = undefined;
    this.#immediate = undefined;
  }
}
