// Remembers flows that have ended lately, for the kernel may tell of one end twice: where any listener of the machine
// has asked it to try again until it is heard, everybody hears it again. Bounded, and as cheap as an event has to be:
// of two flows that fall into one place the earlier is forgotten. Pure.

const places = 1 << 17;

export class RecentEnds {
  readonly #ids = new Uint32Array(places);
  readonly #starts = new Float64Array(places);

  /**
   * Whether this end was told before; if not, it is remembered. `startMs` is as fine as a number holds it: with the id
   * it names a flow for ever. Without it (the kernel takes no notes of time) nothing can be told apart.
   */
  isRepeated(id: number, startMs: number | undefined): boolean {
    if (startMs === undefined) return false;
    const place = id & (places - 1);
    if (this.#ids[place] === id && this.#starts[place] === startMs) return true;
    this.#ids[place] = id;
    this.#starts[place] = startMs;
    return false;
  }
}
