// Trouble that lasts: said once when it begins or changes, kept for the status line until it is over.
import type { Log, Message } from '../../lib/messages.ts';

export class Trouble {
  readonly #log: Log;
  readonly #changed: () => void;
  readonly #current = new Map<Message, string>();

  constructor(log: Log, changed: () => void) {
    this.#log = log;
    this.#changed = changed;
  }

  enter(message: Message, text: string): void {
    if (this.#current.get(message) === text) return;
    this.#current.set(message, text);
    this.#log.say(message, text);
    this.#changed();
  }

  /** Whether there was any. */
  leave(message: Message): boolean {
    const wasThere = this.#current.delete(message);
    if (wasThere) this.#changed();
    return wasThere;
  }

  /** All of it in one line; '' when all is well. */
  get text(): string {
    return [...this.#current.values()].join('; ');
  }
}
