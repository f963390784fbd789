// Brings the history by interval to carbon. The ledger is the spool: a cursor on the disk says up to which of its
// revisions carbon has everything, so an outage loses nothing that the ledger still has. What is sent twice is the same
// twice.
import { connect } from 'node:net';
import path from 'node:path';
import { ask } from '../../lib/control.ts';
import type { Context, Running } from '../../lib/daemon.ts';
import { explain, LaresError } from '../../lib/errors.ts';
import { isWorldly } from '../../lib/exit.ts';
import { plural } from '../../lib/table.ts';
import type { Config, config } from './config.ts';
import { linesOf } from './core/plaintext.ts';
import { type Cursor, readCursor, writeCursor } from './cursor.ts';
import type { Interval, Intervals } from './intervals.ts';
import { messages } from './messages.ts';
import { controlSocket } from './source.ts';

type Outside = Omit<Context<typeof config>, 'config' | 'onStop'>;
type Carbon = NonNullable<Config['carbonAddress']>;

const sendMs = 30_000;
const longestPauseMs = 60_000;
/** How long carbon may keep points in its memory before it writes them. */
const unwrittenMs = 600_000;

export class Sink implements Running<typeof config> {
  readonly #outside: Outside;
  readonly #file: string;
  readonly #control: string;
  #config: Config;
  #carbon: Carbon;
  #cursor: Cursor;
  #timer: NodeJS.Timeout | undefined;
  #turn: Promise<void> = Promise.resolve();
  #isStopped = false;
  #failures = 0;
  #trouble: string | undefined;
  #points = 0;
  #isBehind = false;

  constructor(config: Config, outside: Outside, control = controlSocket) {
    this.#config = config;
    this.#carbon = addressOf(config);
    this.#outside = outside;
    this.#control = control;
    this.#file = path.join(outside.stateFolder, 'cursor');
    this.#cursor = readCursor(this.#file);
    this.#plan(0);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#turn;
  }

  #plan(waitMs: number): void {
    clearTimeout(this.#timer);
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => {
      this.#turn = this.#bring().then(() => this.#plan(this.#pauseMs()), this.#outside.fail);
    }, waitMs);
  }

  #pauseMs(): number {
    const { intervalMs } = this.#config;
    return Math.max(intervalMs, Math.min(longestPauseMs, intervalMs * this.#failures));
  }

  /** Everything that there is, a part at a time. */
  async #bring(): Promise<void> {
    try {
      for (let more = true; more && !this.#isStopped; ) more = await this.#bringPart();
      if (this.#trouble !== undefined)
        this.#outside.log.say(messages.sinkBack, `${this.#place} takes what was kept for it`);
      this.#trouble = undefined;
      this.#failures = 0;
    } catch (error) {
      if (!isWorldly(error)) throw error;
      this.#failures += 1;
      if (this.#trouble === undefined)
        this.#outside.log.say(messages.sinkLost, `${explain(error)}; the ledger keeps what is to be sent`);
      this.#trouble = explain(error);
      // What it took last may have died with it.
      this.#cursor = { ...this.#cursor, revision: this.#cursor.earlier };
    }
    this.#outside.changed();
  }

  async #bringPart(): Promise<boolean> {
    const found = (await ask(this.#control, 'Intervals', {
      revision: this.#cursor.revision,
    })) as unknown as Intervals;
    const cursor = this.#cursor;
    if (found.ledger !== cursor.ledger && cursor.revision > 0) {
      this.#cursor = { ...cursor, ledger: found.ledger, revision: 0, earlier: 0, later: 0 };
      return true;
    }
    if (found.keptSince > cursor.sentUntil && cursor.sentUntil > 0 && !this.#isBehind)
      this.#outside.log.say(
        messages.sinkOverdue,
        `${this.#place} was away longer than KeepIntervals=: what was between is in the history by hour alone`,
      );
    await this.#send(found.intervals);
    const nowMs = this.#outside.clock.wallMs();
    this.#isBehind = found.more;
    const isDue = Math.abs(nowMs - cursor.movedMs) >= unwrittenMs;
    this.#cursor = {
      ledger: found.ledger,
      revision: found.revision,
      earlier: isDue ? cursor.later : cursor.earlier,
      later: isDue ? cursor.revision : cursor.later,
      movedMs: isDue ? nowMs : cursor.movedMs,
      sentUntil: found.more ? cursor.sentUntil : Math.floor(nowMs / 1_000),
    };
    if (found.intervals.length > 0) writeCursor(this.#file, this.#cursor);
    this.#points += 4 * found.intervals.length;
    return found.more;
  }

  /** One connection for each part: that carbon closes it after us says that it has read all. */
  #send(intervals: Interval[]): Promise<void> {
    if (intervals.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const fail = (why: string, cause?: unknown): void => {
        socket.destroy();
        reject(new LaresError('E_TRAFFIC_CARBON', `cannot send to ${this.#place}: ${why}`, { cause }));
      };
      const socket = connect(this.#carbon);
      socket.setTimeout(sendMs, () => fail('it does not read'));
      socket.once('error', (error) => fail(error.message, error));
      socket.once('end', () => {
        if (socket.writableFinished) resolve();
        else fail('it hung up');
      });
      socket.once('close', () => fail('it hung up'));
      socket.resume();
      socket.end(linesOf(this.#config.carbonPrefix, intervals));
    });
  }

  get #place(): string {
    const { host, port } = this.#carbon;
    return `${host.includes(':') ? `[${host}]` : host}:${port}`;
  }

  reload(config: Config): void {
    this.#carbon = addressOf(config);
    this.#config = config;
    this.#plan(0);
  }

  status(): string {
    const sent = `${plural(this.#points, 'point')} sent to ${this.#place}`;
    return this.#trouble === undefined ? sent : `${sent}; ${this.#trouble}`;
  }

  idle(): boolean {
    return false;
  }

  check(): void {
    // Nothing can hang here that has no bound.
  }

  report(): object {
    return { points: this.#points, trouble: this.#trouble ?? null, cursor: this.#cursor };
  }
}

function addressOf({ carbonAddress }: Config): Carbon {
  if (carbonAddress !== undefined) return carbonAddress;
  throw new LaresError('E_NOT_CONFIGURED', 'Address= in [Carbon] must be set in /etc/lares/traffic.conf');
}
