// `lares ddns keygen`: a new key pair, the secret for the client, the public key for the zone.
import type { Command } from 'commander';
import type { Io } from '../../../lib/command.ts';
import { makeKey } from '../keyfile.ts';

export function registerKeygen(program: Command, io: Io): void {
  program
    .command('keygen')
    .description('make a key pair: the secret for the client, the public key for the zone')
    .option('-o, --output <file>', 'write the secret key there (mode 0600) instead of printing it')
    .option('--json', 'print JSON')
    .action(({ output, json = false }: { output?: string; json?: boolean }) => {
      const { secret, publicText, keyId } = makeKey(output);
      const zoneLine = `# dynamic: 0 ${publicText}`;
      if (json) {
        const where = output === undefined ? { secretKey: secret } : { secretFile: output };
        io.out(`${JSON.stringify({ keyId, publicKey: publicText, zoneLine, ...where })}\n`);
        return;
      }
      io.out(`Signing key (for the client only):\n   ${output === undefined ? secret : `in ${output}`}\n\n`);
      io.out(`Verify key (for the zone):\n   ${publicText}\n\n`);
      io.out(`Key id (in packets and in the journal):\n   ${keyId}\n\n`);
      io.out(`In the zone, above the lines that this key may update:\n   ${zoneLine}\n`);
    });
}
