// `make bench`: every figure beside its peers and its bound, measured in this run on this machine, in one table a noun.
// A figure beyond its bound is shown, never an error: machines differ. `main.ts [--json] [NOUN…]`
import { paintFor, table } from '../../lib/table.ts';
import { boundOf, type Figure, isWithin, Owned, type Section, Skip, shown } from './figure.ts';
import { sections } from './sections.ts';

const json = process.argv.includes('--json');
const wanted = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const say = (text: string): void => void process.stderr.write(text);

const results: { section: Section; figures: Figure[] }[] = [];
for (const noun of wanted.length === 0 ? Object.keys(sections) : wanted) {
  const make = sections[noun];
  if (make === undefined)
    throw new Error(`no figures of '${noun}'; there are: ${Object.keys(sections).join(' ')}`);
  say(`${noun}: peers …\n`);
  const section = await make();
  const figures = await measured(section);
  results.push({ section, figures });
  if (!json) process.stdout.write(`${results.length > 1 ? '\n' : ''}${text(section, figures)}`);
}
if (json) {
  const figures = results.flatMap((one) =>
    one.figures.map((figure) => ({ noun: one.section.noun, ...figure })),
  );
  const peers = results.flatMap(({ section: { noun, peers } }) => peers.map((peer) => ({ noun, ...peer })));
  process.stdout.write(`${JSON.stringify({ figures, peers })}\n`);
}

async function measured({ rows }: Section): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const measure of rows) {
    const owned = new Owned();
    try {
      for (const figure of [await measure(owned)].flat()) {
        say(`${figure.name} …\n`);
        figures.push(figure);
      }
    } catch (error) {
      if (!(error instanceof Skip)) throw error;
      say(`left out: ${error.message}\n`);
    } finally {
      await owned.finish();
    }
  }
  return figures;
}

function text({ noun, peers }: Section, figures: Figure[]): string {
  const paint = paintFor(process.stdout);
  const cells = figures.map((figure) => [
    figure.name,
    shown(figure.value, figure.unit),
    paint(isWithin(figure) ? 'green' : 'red', boundOf(figure)),
    ...peers.map(({ name }) => {
      const beside = figure.beside?.[name] ?? '';
      return typeof beside === 'number' ? shown(beside, figure.unit) : beside;
    }),
    figure.note,
  ]);
  const head = [noun.toUpperCase(), 'HERE', 'BOUND', ...peers.map(({ title }) => title), 'NOTE'];
  return table(head, cells, paint);
}
