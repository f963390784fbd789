// The README's path on a server under systemd, typed as it stands there: each command, and what a person will see.
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { deb, lacksPackage } from '../support/ddns-machine.ts';
import { Machine } from '../support/machine.ts';

const skip = await lacksPackage();
const heading = '## In five minutes, for real: a server under systemd';
/** Documentation's addresses may not enter a zone; this one may, and is the machine's own. */
const [written, real] = ['203.0.113.7', '5.6.7.8'] as const;
const zone = '/etc/tinydns/root/data';
/** Commands that only look, at what comes a moment later. */
const looks = /^(dig|journalctl|lares (ddns )?status|lares doctor)\b/;

interface Block {
  language: string;
  text: string;
}

/** The fenced blocks of that section. */
function blocks(): Block[] {
  const readme = readFileSync(path.join(import.meta.dirname, '../../README.md'), 'utf8');
  const section = readme.split(heading)[1]?.split('\n## ')[0] ?? '';
  return [...section.matchAll(/^ *```(\w+)\n(.*?)^ *```$/gms)].map(([, language = '', text = '']) => ({
    language,
    text: text.replaceAll(/^ {3}/gm, ''),
  }));
}

/** Commands with the output that follows each. */
function steps(text: string): { command: string; output: string }[] {
  return text
    .split(/^[#$] /m)
    .slice(1)
    .map((step) => {
      const [command = '', ...output] = step.split('\n');
      return { command, output: output.join('\n') };
    });
}

/** What differs between two runs of one command, made equal. */
function plain(output: string): string {
  return output
    .replaceAll('\r', '')
    .replaceAll(/[\w-]{43}=/g, 'KEY')
    .replaceAll(/\b[\w-]{28}\b/g, 'ID')
    .replaceAll(/\b\d+s ago/g, 'AGO')
    .replaceAll(/[+-]\d+(\.\d+)?m?s\b/g, 'SKEW')
    .replaceAll(written, real)
    .replaceAll(/[ \t]+/g, ' ')
    .trim();
}

/** … stands for anything within a line, and alone on a line for any lines. */
function pattern(expected: string): RegExp {
  const source = plain(expected)
    .split('\n')
    .map((line) => (line === '…' ? '(?:.*\\n)*?.*' : line.split('…').map(RegExp.escape).join('.*')))
    .join('\\n');
  return new RegExp(`^${source}$`);
}

test('the path of the README works as it is written', { skip, timeout: 120_000 }, async (t) => {
  const machine = await Machine.boot(t);
  mkdirSync(machine.path('/root/dist'));
  cpSync(deb, machine.path(`/root/dist/${path.basename(deb)}`));
  const sh = (command: string) => machine.run('sh', '-c', `cd /root && ${command}`);

  // The server that the README takes for granted: a name, an address, tinydns.
  await machine.must('ip', 'addr', 'add', `${real}/32`, 'dev', 'lo');
  machine.write('/etc/hosts', `127.0.0.1 localhost\n${real} ns.example.net\n`);
  machine.write(zone, '.example.net:192.0.2.53:ns.example.net\n');
  assert.equal((await sh(`cd ${path.dirname(zone)} && tinydns-data`)).code, 0);
  const tinydns = (await machine.must('sh', '-c', 'command -v tinydns')).trim();
  const environment = [`ROOT=${path.dirname(zone)}`, `IP=${real}`, 'UID=65534', 'GID=65534'];
  await machine.must('systemd-run', '--quiet', ...environment.map((one) => `--setenv=${one}`), tinydns);

  let key = '';
  let typed = 0;
  for (const { language, text } of blocks()) {
    if (language === 'tinydns') machine.write(zone, text.replace(/[\w-]{43}=/, key));
    else
      for (const { command, output } of steps(text)) {
        const expected = pattern(output);
        const argv = command.replace(/lares_\S+\.deb/, path.basename(deb));
        let seen = await sh(argv);
        if (looks.test(command))
          await machine
            .until(command, async () => {
              seen = await sh(argv);
              return expected.test(plain(seen.stdout));
            })
            .catch(() => undefined);
        assert.equal(seen.code, 0, `${command}: ${seen.stderr}`);
        // systemctl says what it links on standard error.
        const both = command.startsWith('systemctl') ? seen.stderr : seen.stdout;
        assert.match(plain(both), expected, command);
        key = /[\w-]{43}=/.exec(seen.stdout)?.[0] ?? key;
        typed += 1;
      }
  }
  assert.ok(typed >= 14, `only ${typed} commands found in the README`);
  assert.deepEqual(await machine.failed(), []);
});
