// Comma-separated values as RFC 4180 has them. Pure.

/** A head, then a line for each row; of columns that a row lacks nothing. Lines end in CRLF. */
export function csvOf(columns: string[], rows: Readonly<Record<string, unknown>>[]): string {
  const line = (cells: unknown[]): string => `${cells.map(field).join(',')}\r\n`;
  return line(columns) + rows.map((row) => line(columns.map((column) => row[column]))).join('');
}

function field(value: unknown): string {
  const text = typeof value === 'string' || typeof value === 'number' ? String(value) : '';
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
