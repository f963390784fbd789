// `lares traffic top`: who uses how much just now. On a terminal drawn again every two seconds; elsewhere one table of
// one interval, or with --json a line for each.
import { setTimeout as pause } from 'node:timers/promises';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Io } from '../../../lib/command.ts';
import { explain } from '../../../lib/errors.ts';
import { parseSpan } from '../../../lib/span.ts';
import { paintFor } from '../../../lib/table.ts';
import { frameOf, type Look, type Order, orders, type Rated, ratesOf, sorted } from '../core/frame.ts';
import { Screen } from '../screen.ts';
import { addWhere, type Source, type Where, withSource } from '../source.ts';

interface TopOptions extends Where {
  interval: number;
  sort: Order;
  count?: number;
  json?: boolean;
}

const pipeColumns = 80;

export function registerTop(program: Command, io: Io): void {
  addWhere(program.command('top'))
    .description('show who uses how much just now; s sorts by something else, q ends')
    .option('--interval <span>', 'between two looks', intervalOf, 2_000)
    .addOption(new Option('--sort <what>', 'what the first row has most of').choices(orders).default('rate'))
    .option('--count <n>', 'end after so many pictures', countOf)
    .option('--json', 'print a JSON line for each picture')
    .action(async ({ json = false, ...options }: TopOptions) => {
      await withSource(options, async (source) => {
        const pictures = watch(source, options);
        if (json) await printLines(pictures, options, io);
        else if (io.stdout.isTTY) await draw(pictures, options, io);
        else await printOnce(pictures, options, io);
      });
    });
}

interface Picture {
  look: Look;
  rated: Rated[];
}

/** Pictures, for as long as somebody takes them. */
async function* watch(source: Source, { interval }: TopOptions): AsyncGenerator<Picture, never> {
  let before = await source.live();
  for (;;) {
    await pause(interval);
    const look = await source.live();
    yield { look, rated: ratesOf(before, look) };
    before = look;
  }
}

async function printLines(
  pictures: AsyncIterable<Picture>,
  { sort, count }: TopOptions,
  io: Io,
): Promise<void> {
  let printed = 0;
  for await (const { look, rated } of pictures) {
    const { at, flows, lostFlows } = look;
    io.out(`${JSON.stringify({ at, flows, lostFlows, peers: sorted(rated, sort) })}\n`);
    printed += 1;
    if (printed === count) return;
  }
}

async function printOnce(
  pictures: AsyncIterable<Picture>,
  { sort, count = 1 }: TopOptions,
  io: Io,
): Promise<void> {
  let printed = 0;
  for await (const { look, rated } of pictures) {
    io.out(`${frameOf(look, rated, sort, pipeColumns, rated.length + 2).join('\n')}\n`);
    printed += 1;
    if (printed === count) return;
  }
}

async function draw(
  pictures: AsyncGenerator<Picture, never>,
  { sort, count }: TopOptions,
  io: Io,
): Promise<void> {
  const paint = paintFor(io.stdout);
  let order = sort;
  let last: Picture | undefined;
  const show = (): void => {
    if (last === undefined) {
      screen.draw(['looking …']);
      return;
    }
    const [summary = '', head = '', ...peers] = frameOf(
      last.look,
      last.rated,
      order,
      screen.columns,
      screen.rows,
    );
    screen.draw([paint('bold', summary), paint('inverse', head), ...peers]);
  };
  const screen = new Screen(io.stdout, process.stdin, (typed) => {
    if (typed === 's') order = orders[(orders.indexOf(order) + 1) % orders.length] ?? 'rate';
    show();
  });
  try {
    show();
    for (let drawn = 0; drawn !== count; drawn += 1) {
      const next = await Promise.race([pictures.next(), screen.stopped]);
      if (next === undefined) return;
      last = next.value;
      show();
    }
  } finally {
    screen.close();
  }
}

function intervalOf(text: string): number {
  try {
    const ms = parseSpan(text);
    if (ms >= 1_000 && ms <= 3_600_000) return ms;
  } catch (error) {
    throw new InvalidArgumentError(explain(error));
  }
  throw new InvalidArgumentError('from 1s to 1h');
}

function countOf(text: string): number {
  if (/^[1-9]\d{0,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('a whole number from 1 is wanted');
}
