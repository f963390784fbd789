// Carbon's plaintext protocol: `NAME VALUE TIMESTAMP` lines. Pure.

export interface Sums {
  /** Unix seconds. */
  start: number;
  class: string;
  peer: string;
  rxBytes: number;
  txBytes: number;
  rxPackets: number;
  txPackets: number;
}

const measures = ['rxBytes', 'txBytes', 'rxPackets', 'txPackets'] as const;

/** Four lines for each: what went through in the interval that began then. */
export function linesOf(prefix: string, intervals: Sums[]): string {
  return intervals
    .flatMap((one) => {
      const name = `${prefix}.${node(one.class)}.${node(one.peer)}`;
      return measures.map((measure) => `${name}.${measure} ${one[measure]} ${one.start}\n`);
    })
    .join('');
}

/** One node of a metric's name: an address keeps its shape, `10_8_0_1`, `2001-db8--1`. */
function node(text: string): string {
  return text.replaceAll(':', '-').replaceAll(/[^\w-]/g, '_');
}
