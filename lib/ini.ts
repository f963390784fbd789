// Reader for systemd's configuration syntax (systemd.syntax(7)): sections, `Key=Value`, `#` and `;` comments, and
// lines continued by a final backslash. It is total: any text gives entries and problems, each with its line number,
// and it knows no keys; what a key means is lib/config.ts.

export interface Entry {
  section: string;
  key: string;
  value: string;
  line: number;
}

export interface LineProblem {
  line: number;
  message: string;
}

const lineChars = 65_536;

/** Parses one file's text. Lines count from 1; an entry's line is where it starts. `sections`: all headers in order. */
export function parseIni(text: string): { entries: Entry[]; sections: string[]; problems: LineProblem[] } {
  const entries: Entry[] = [];
  const sections: string[] = [];
  const problems: LineProblem[] = [];
  let section = '';
  for (const { line, content } of logicalLines(text)) {
    const complain = (message: string): number => problems.push({ line, message });
    if (content.length > lineChars) complain(`line longer than ${lineChars} characters, ignored`);
    else if (content.includes('\0')) complain('line with a NUL byte, ignored');
    else if (content.endsWith('\\'))
      complain('line that still ends with a backslash once it is joined, ignored');
    else if (content.startsWith('[')) {
      const name = /^\[([^[\]]+)\]$/.exec(content)?.[1];
      if (name === undefined) complain(`'${content}' is not a section header; write [Name]`);
      section = name ?? '';
      if (section !== '') sections.push(section);
    } else {
      const at = content.indexOf('=');
      const key = content.slice(0, at).trimEnd();
      if (at < 1) complain(`'${content}' is not an assignment; write Key=Value`);
      else if (section === '') complain(`${key}= stands outside any section, ignored`);
      else entries.push({ section, key, value: content.slice(at + 1).trim(), line });
    }
  }
  return { entries, sections, problems };
}

// A comment inside a continued line does not end it, as in systemd.
function* logicalLines(text: string): Generator<{ line: number; content: string }> {
  let start = 0;
  let parts: string[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const part = raw.trim();
    if (/^[#;]/.test(part)) continue;
    if (parts.length === 0) start = index + 1;
    if (part.endsWith('\\')) {
      parts.push(part.slice(0, -1).trimEnd());
      continue;
    }
    const content = [...parts, part].join(' ').trim();
    parts = [];
    if (content !== '') yield { line: start, content };
  }
  const content = parts.join(' ').trim();
  if (content !== '') yield { line: start, content };
}

/** Splits a command line into words as systemd does: blanks separate, '…' and "…" group, \ escapes outside '…'. */
export function splitWords(text: string): string[] | undefined {
  const words: string[] = [];
  const token = /\s*((?:"(?:[^"\\]|\\.)*"|'[^']*'|\\.|[^\s"'\\])+)/gsy;
  let end = 0;
  for (let match = token.exec(text); match !== null; match = token.exec(text)) {
    end = token.lastIndex;
    words.push(unquote(match[1] ?? ''));
  }
  return text.slice(end).trim() === '' ? words : undefined;
}

function unquote(word: string): string {
  return word.replace(
    /"((?:[^"\\]|\\.)*)"|'([^']*)'|\\(.)/gs,
    (_, double?: string, single?: string, escaped?: string) => {
      if (double !== undefined) return double.replace(/\\(.)/gs, '$1');
      return single ?? escaped ?? '';
    },
  );
}
