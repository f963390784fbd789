// What `lares up` runs the receiver on: a scratch zone with one name, a key for it, loopback allowed, and
// tinydns-data as the hook where it is installed. Key and zone are made once and stay; the configuration is written
// anew.
import { accessSync, constants, existsSync } from 'node:fs';
import path from 'node:path';
import { writeFileAtomic } from '../../lib/atomic.ts';
import type { Demo } from '../../lib/command.ts';
import { makeKey } from './keyfile.ts';

const endpoint = '127.0.0.1:15533';
const tinydnsData = '/usr/sbin/tinydns-data';

export function createDemo(folder: string): Demo {
  const key = path.join(folder, 'client.key');
  const zone = path.join(folder, 'data');
  const conf = path.join(folder, 'ddns.conf');
  if (!existsSync(key)) {
    const { publicText } = makeKey(key);
    const lines = [
      '# A scratch zone: packets signed with client.key update the lines of this block.',
      '',
      `# dynamic: 0 ${publicText}`,
      '+laptop.example.net:192.0.2.1:300',
      `:laptop.example.net:28:${'\\000'.repeat(16)}:300`,
      '',
    ];
    writeFileAtomic(zone, lines.join('\n'), 0o644);
  }
  const hook = canRun(tinydnsData) ? `Hook=${tinydnsData}\n` : '';
  writeFileAtomic(conf, `[Receiver]\nZone=${zone}\nAllowAddresses=127.0.0.0/8 ::1\n${hook}`, 0o644);
  return {
    flags: ['--conf', conf, '--listen', endpoint],
    hints: [
      `lares ddns send ${endpoint} ${key}`,
      `lares ddns status --conf ${conf} --state ${path.join(folder, 'state')}`,
      `cat ${zone}`,
    ],
  };
}

function canRun(program: string): boolean {
  try {
    accessSync(program, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
