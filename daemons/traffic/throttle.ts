// Says a message at most once a minute, however often there is reason to; the text is that of the first time.
import type { Clock } from '../../lib/clock.ts';
import type { Fields, Log, Message } from '../../lib/messages.ts';

const pauseMs = 60_000;

export class Throttle {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #saidMs = new Map<string, number>();

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  say(message: Message, text: string, fields?: Fields): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - (this.#saidMs.get(message.id) ?? -pauseMs) < pauseMs) return;
    this.#saidMs.set(message.id, nowMs);
    this.#log.say(message, text, fields);
  }
}
