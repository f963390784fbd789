// The keys part of a conf(5) page, as Markdown, from the table of keys that parses the configuration.
import type { Table } from '../lib/config.ts';

const start = '<!-- keys: written by scripts/samples.ts -->';
const end = '<!-- end of keys -->';
const widthChars = 118;

/** `page` with the part between its two markers written anew. */
export function withKeys(page: string, table: Table): string {
  const [head, rest] = page.split(`${start}\n`);
  const tail = rest?.slice(rest.indexOf(end));
  if (head === undefined || tail?.startsWith(end) !== true)
    throw new Error('the markers of the keys are missing');
  const sections = Map.groupBy(Object.values(table), ({ section }) => section);
  const parts = [...sections].map(([section, keys]) => {
    const items = keys.map(({ key, fallback, required, help }) => {
      const standard = fallback === '' ? '' : ` Default: \`${fallback}\`.`;
      const must = required === true ? ' Must be set.' : '';
      return `* \`${key}=\`:\n${wrapped(`${asMarkdown(help)}${must}${standard}`)}`;
    });
    return `### [${section}]\n\n${items.join('\n')}`;
  });
  return `${head}${start}\n\n${parts.join('\n')}\n${tail}`;
}

/** What help texts quote is literal. */
function asMarkdown(help: string): string {
  return help.replaceAll(/"([^"]+)"/g, '`$1`');
}

function wrapped(text: string): string {
  return text.replaceAll(new RegExp(`(.{1,${widthChars}})(?:\\s+|$)`, 'g'), '  $1\n');
}
