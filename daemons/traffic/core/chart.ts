// Figures as people look at them: sizes with units, bars, and courses over time as one line of small bars. Pure.

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
const heights = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/** Three digits and a unit of 1024: `0 B`, `1.50 KiB`, `214 MiB`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // 999.5 would become 1000.
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1_024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${units[unit] ?? ''}`;
}

/** A bar of `cells` characters at most, an eighth of one the least; anything above 0 can be seen. */
export function bar(value: number, most: number, cells: number): string {
  if (!(value > 0) || !(most > 0)) return '';
  const parts = Math.max(1, Math.round((Math.min(value, most) / most) * cells * 8));
  return '█'.repeat(Math.floor(parts / 8)) + (eighths[parts % 8] ?? '');
}

/** One character a value, the highest is the whole height; a dot for nothing. */
export function sparkline(values: number[]): string {
  const most = Math.max(0, ...values);
  return values
    .map((value) => (value > 0 ? heights[Math.min(7, Math.floor((value / most) * 8))] : '·'))
    .join('');
}

/** At most `width` characters, with an ellipsis where something is missing. */
export function cut(text: string, width: number): string {
  const characters = Array.from(text);
  return characters.length <= width ? text : `${characters.slice(0, width - 1).join('')}…`;
}
