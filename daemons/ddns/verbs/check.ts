// `lares ddns check ZONE`: every problem of a zone with its line, as an editor's error list would have it.
import type { Command } from 'commander';
import { wallMs } from '../../../lib/clock.ts';
import type { Io } from '../../../lib/command.ts';
import { paintFor } from '../../../lib/table.ts';
import type { Zone, ZoneProblem } from '../core/zone.ts';
import { describeZone } from '../describe.ts';
import { readZone } from '../readzone.ts';

export function registerCheck(program: Command, io: Io): void {
  program
    .command('check')
    .description('say what is wrong in a zone; exit status 0 if every block is good, else 1')
    .argument('<zone>', 'the file with the "# dynamic:" blocks')
    .option('--json', 'print JSON')
    .action((file: string, { json = false }: { json?: boolean }) => {
      const { zone } = readZone(file);
      const problems = [...zone.problems, ...futureStamps(zone)].sort((a, b) => a.line - b.line);
      const records = zone.blocks.reduce((sum, block) => sum + block.records.length, 0);
      const summary = { file, blocks: zone.blocks.length, keys: zone.keys.size, records };
      if (json) io.out(`${JSON.stringify({ ...summary, problems })}\n`);
      else {
        const paint = paintFor(io.stdout);
        for (const { line, severity, message } of problems) {
          io.out(`${file}:${line}: ${paint(severity === 'bad' ? 'red' : 'yellow', severity)}: ${message}\n`);
        }
        io.out(`${file}: ${describeZone(zone)}
`);
      }
      if (problems.some(({ severity }) => severity === 'bad')) io.exit(1);
    });
}

function futureStamps({ blocks }: Zone): ZoneProblem[] {
  return blocks
    .filter(({ stamp }) => stamp * 1_000 > wallMs())
    .map(({ line }) => ({
      line,
      severity: 'note',
      message: 'the stamp lies in the future; it counts only once the clock is near it',
    }));
}
