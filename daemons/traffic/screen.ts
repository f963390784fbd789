// A terminal that is drawn on again and again, and given back as it was, however the drawing ends.
import type { ReadStream, WriteStream } from 'node:tty';

const enter = '\u001b[?1049h\u001b[?25l';
const leave = '\u001b[?25h\u001b[?1049l';
const home = '\u001b[H';
const clearLine = '\u001b[K';
const clearBelow = '\u001b[J';
const stopKeys = new Set(['q', 'Q', '\u0003', '\u0004', '\u001b']);

export class Screen {
  readonly #out: WriteStream;
  readonly #keys: ReadStream | undefined;
  readonly #stopping = Promise.withResolvers<undefined>();
  #isOpen = true;

  /** Takes the terminal over; `key` gets what is typed, but for what ends it (q, Ctrl-C, escape). */
  constructor(out: WriteStream, keys: ReadStream, key: (typed: string) => void) {
    this.#out = out;
    this.#keys = keys.isTTY ? keys : undefined;
    out.write(enter);
    // Without signals from the terminal its keys come as they are.
    this.#keys?.setRawMode(true);
    this.#keys?.on('data', (chunk: Buffer | string) => {
      const typed = String(chunk);
      if (stopKeys.has(typed)) this.#stop();
      else key(typed);
    });
    out.on('resize', () => key(''));
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, this.#stop);
    process.once('exit', this.#restore);
  }

  readonly #stop = (): void => this.#stopping.resolve(undefined);

  /** Resolves when a person has had enough. */
  get stopped(): Promise<undefined> {
    return this.#stopping.promise;
  }

  get columns(): number {
    return this.#out.columns;
  }

  get rows(): number {
    return this.#out.rows;
  }

  draw(lines: string[]): void {
    if (!this.#isOpen) return;
    this.#out.write(home + lines.map((line) => line + clearLine).join('\r\n') + clearBelow);
  }

  close(): void {
    this.#restore();
    this.#keys?.pause();
    this.#keys?.removeAllListeners('data');
    this.#out.removeAllListeners('resize');
    process.off('exit', this.#restore);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, this.#stop);
  }

  readonly #restore = (): void => {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#keys?.setRawMode(false);
    this.#out.write(leave);
  };
}
