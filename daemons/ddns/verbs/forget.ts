// `lares ddns forget KEY`: drops a key's high-water mark, for the one case in which it does harm: it was set while a
// clock was far ahead, and every honest packet is older since. Until the next packet only the clock window guards the
// key against replays, so this is never done by itself.
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import type { Io } from '../../../lib/command.ts';
import { LaresError } from '../../../lib/errors.ts';
import { holdFolder } from '../../../lib/state.ts';
import { forgetKey } from '../store.ts';

export function registerForget(program: Command, io: Io): void {
  program
    .command('forget')
    .description("drop a key's high-water mark, where a wrong clock has set it far ahead (refused: locked)")
    .argument('<key-id>', 'as the journal names it')
    // One id in 64 starts with a dash.
    .allowUnknownOption()
    .helpOption('--help')
    .option('--state <dir>', 'state folder of the receiver', '/var/lib/lares/ddns')
    .option('--json', 'print JSON')
    .action((keyId: string, { state, json = false }: { state: string; json?: boolean }) => {
      if (existsSync(state)) holdFolder(state);
      if (!forgetKey(state, keyId))
        throw new LaresError('E_DDNS_NO_MARK', `no mark of key '${keyId}' in ${state}: nothing to forget`);
      io.out(json ? `${JSON.stringify({ forgotten: keyId })}\n` : `forgot the mark of ${keyId}\n`);
    });
}
