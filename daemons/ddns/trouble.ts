// Trouble that lasts: said once when it begins or changes, kept for the status line until it is over.
import type { Log, Message } from '../../lib/messages.ts';

export class Trouble {
  readonly #log: Log;
  readonly #current = new Map<Message, string>();

  constructor(log: Log) {
    this.#log = log;
  }

  enter(message: Message, text: string): void {
    if (this.#current.get(message) === text) return;
    this.#current.set(message, text);
    this.#log.say(message, text);
  }

  leave(message: Message): void {
    this.#current.delete(message);
  }

  /** All of it in one line; '' when all is well. */
  get text(): string {
    return [...this.#current.values()].join('; ');
  }
}
