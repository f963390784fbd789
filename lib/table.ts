// Text that people look at rather than read: aligned tables and a few colours, plain where the output is no terminal.
import { stripVTControlCharacters, styleText } from 'node:util';

export type Paint = (format: Parameters<typeof styleText>[0], text: string) => string;

/** Colours where `stream` is a terminal that wants them (NO_COLOR is heeded), plain text elsewhere. */
export function paintFor(stream: NodeJS.WriteStream): Paint {
  return (format, text) => styleText(format, text, { stream });
}

/** Rows under `head`, columns two blanks apart, no blanks at line ends; cells may carry colours. */
export function table(head: string[], rows: string[][], paint: Paint): string {
  const widths = head.map((title, column) =>
    Math.max(...[[title], ...rows.map((row) => [row[column] ?? ''])].map(([cell]) => width(cell ?? ''))),
  );
  const line = (cells: string[]): string =>
    cells
      .map((cell, column) => cell + ' '.repeat(Math.max(0, (widths[column] ?? 0) - width(cell))))
      .join('  ')
      .trimEnd();
  return [paint('bold', line(head)), ...rows.map(line), ''].join('\n');
}

function width(text: string): number {
  return stripVTControlCharacters(text).length;
}

/** `1 key`, `2 keys`. */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
