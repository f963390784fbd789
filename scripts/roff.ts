// Markdown to roff, for man pages: a small renderer over the tokens of `marked`, in the man(7) macros that man-db and
// mandoc both know. Takes what docs/man uses and refuses the rest, so that nothing silently vanishes from a page.
//
//     # NAME(SECTION) -- what it is      first line: heading and NAME section
//     ## SECTION, ### Subsection
//     * term:                            an item whose first line ends with a colon is a tagged paragraph
//       text                             (other items are bullets)
//     `code` and **bold** are bold, *word* is what the reader replaces; indented and fenced blocks are examples.
import { lexer, type Token, type Tokens } from 'marked';

export interface Page {
  name: string;
  section: string;
  roff: string;
}

const indent = 4;

/** @throws Error that names what a page may not hold */
export function renderPage(markdown: string, { version, manual }: { version: string; manual: string }): Page {
  const [head, ...rest] = lexer(markdown).filter(({ type }) => type !== 'space' && type !== 'html');
  const title = /^(\S+)\((\d)\) -- (\S.*)$/.exec(
    head?.type === 'heading' ? (head as Tokens.Heading).text : '',
  );
  const [, name, section, summary] = title ?? [];
  if (name === undefined || section === undefined || summary === undefined)
    throw new Error('the first line is not "# NAME(SECTION) -- SUMMARY"');
  // The date is left empty: the same sources give the same bytes.
  const body = blocks(rest);
  const lines = [
    // Tells man(1) to run tbl.
    ...(body.includes('.TS') ? [`'\\" t`] : []),
    `.TH "${text(name.toUpperCase())}" "${section}" "" "lares ${version}" "${text(manual)}"`,
    // No hyphenation, left-adjusted: commands and paths stay whole.
    '.nh',
    '.ad l',
    '.SH NAME',
    `${text(name)} \\- ${text(summary)}`,
    ...body,
  ];
  return { name, section, roff: `${lines.join('\n')}\n` };
}

/** Paragraphs open with `.PP`, except the first below a heading. */
function blocks(tokens: Token[]): string[] {
  const some = tokens.filter(({ type }) => type !== 'space');
  return some.flatMap((token, at) =>
    block(token, at === 0 || some[at - 1]?.type === 'heading' ? [] : ['.PP']),
  );
}

function block(token: Token, opening: string[]): string[] {
  switch (token.type) {
    case 'heading': {
      const { depth, tokens } = token as Tokens.Heading;
      return [`${depth === 2 ? '.SH' : '.SS'} ${plain(tokens)}`];
    }
    case 'paragraph':
    case 'text':
      return [...opening, ...sentence((token as Tokens.Paragraph).tokens)];
    case 'code':
      return [...opening, ...example((token as Tokens.Code).text)];
    case 'list':
      return (token as Tokens.List).items.flatMap(item);
    case 'table':
      return [...opening, ...grid(token as Tokens.Table)];
    default:
      throw new Error(`a man page cannot hold this: ${token.raw.trim()}`);
  }
}

function example(code: string): string[] {
  return [
    `.RS ${indent}`,
    '.nf',
    ...code
      .trimEnd()
      .split('\n')
      .map((line) => guarded(text(line))),
    '.fi',
    '.RE',
  ];
}

/** `* term:` and text below it make a tagged paragraph, anything else a bullet. */
function item({ tokens }: Tokens.ListItem): string[] {
  const [first, ...rest] = tokens.filter(({ type }) => type !== 'space');
  const inner = first === undefined || !('tokens' in first) ? [] : (first.tokens ?? []);
  const [tag, body] = splitTag(inner);
  if (tag === undefined) {
    const [opening, more] = first?.type === 'list' ? [[], tokens] : [sentence(inner), rest];
    return ['.IP \\(bu 3', ...opening, ...nested(more)];
  }
  return ['.TP', ...sentence(tag), ...sentence(body), ...nested(rest)];
}

function nested(tokens: Token[]): string[] {
  if (tokens.length === 0) return [];
  const isParagraph = ({ type }: Token): boolean => type === 'paragraph' || type === 'text';
  // Paragraphs keep the indentation of their item by .IP; lists and examples need a region of their own.
  return tokens
    .filter(({ type }) => type !== 'space')
    .flatMap((token) =>
      isParagraph(token)
        ? ['.IP', ...sentence((token as Tokens.Paragraph).tokens)]
        : ['.RS', ...blocks([token]), '.RE'],
    );
}

function splitTag(tokens: Token[]): [Token[] | undefined, Token[]] {
  const at = tokens.findIndex(({ type, raw }) => type === 'text' && /(^|[^:]):(\n|$)/.test(raw));
  const found = tokens[at] as Tokens.Text | undefined;
  if (found === undefined) return [undefined, tokens];
  const end = found.raw.search(/:(\n|$)/);
  const isLastWord = end === found.raw.length - 1 && at === tokens.length - 1;
  if (tokens.slice(0, at).some(({ raw }) => raw.includes('\n')) || found.raw.slice(0, end).includes('\n'))
    return [undefined, tokens];
  const part = (raw: string): Tokens.Text[] => (raw === '' ? [] : [{ type: 'text', raw, text: raw }]);
  const tag = [...tokens.slice(0, at), ...part(found.raw.slice(0, end))];
  return [tag, isLastWord ? [] : [...part(found.raw.slice(end + 2)), ...tokens.slice(at + 1)]];
}

/** Columns as wide as their text: the first ones tags, the last one filled. */
function grid({ header, rows }: Tokens.Table): string[] {
  const cell = ({ tokens }: Tokens.TableCell): string => `T{\n${sentence(tokens).join('\n')}\nT}`;
  const line = (cells: Tokens.TableCell[]): string => cells.map(cell).join('\t');
  const columns = header.map((_, column) => (column === header.length - 1 ? 'lx' : 'l'));
  const head = header.map(({ tokens }) => `T{\n\\fB${plain(tokens)}\\fR\nT}`).join('\t');
  return ['.TS', `${columns.join(' ')}.`, head, ...rows.map(line), '.TE'];
}

/** Inline tokens as lines of roff; each source line stays a line. */
function sentence(tokens: Token[]): string[] {
  return tokens.map(inline).join('').split('\n').map(guarded);
}

function inline(token: Token): string {
  const tokens = 'tokens' in token ? (token.tokens ?? []) : [];
  switch (token.type) {
    case 'text':
      return tokens.length > 0 ? tokens.map(inline).join('') : text(unescaped((token as Tokens.Text).raw));
    case 'escape':
      return text((token as Tokens.Escape).text);
    case 'codespan':
      return `\\fB${text((token as Tokens.Codespan).text)}\\fR`;
    case 'strong':
      return `\\fB${tokens.map(inline).join('')}\\fR`;
    case 'em':
      return `\\fI${tokens.map(inline).join('')}\\fR`;
    case 'link':
      return text((token as Tokens.Link).href);
    case 'br':
      return '\n.br\n';
    default:
      throw new Error(`a man page cannot hold this: ${token.raw}`);
  }
}

function plain(tokens: Token[]): string {
  return text(tokens.map((token) => ('text' in token ? String(token.text) : token.raw)).join(''));
}

function unescaped(raw: string): string {
  return raw.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
}

const glyphs: Record<string, string> = {
  '\\': '\\e',
  '-': '\\-',
  '~': '\\(ti',
  '^': '\\(ha',
  '`': '\\(ga',
  "'": '\\(aq',
  '…': '\\&...',
  '→': '\\(->',
  '≤': '\\(<=',
  '∞': '\\(if',
};

/** ASCII as it was typed: roff would make typographic marks of - ~ ^ ` '. */
function text(raw: string): string {
  return raw.replace(/[\\\-~^`'…→≤∞]/g, (character) => glyphs[character] ?? character);
}

/** A line that begins with a dot or a quote would be a request. */
function guarded(line: string): string {
  return /^[.']/.test(line) && line !== '.br' ? `\\&${line}` : line;
}
