// The README's path on a server under systemd, typed as it stands there: each command, and what a person will see.
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { deb, lacksPackage } from '../support/ddns-machine.ts';
import { Machine } from '../support/machine.ts';
import { lacksTracking } from '../support/netns.ts';
import { TrafficMachine } from '../support/traffic-machine.ts';

const skip = await lacksPackage();
const headings = {
  ddns: '## In five minutes, for real: a server under systemd',
  traffic: '## In one minute, for real: who uses the link',
};
/** Documentation's addresses may not enter a zone; this one may, and is the machine's own. */
const [written, real] = ['203.0.113.7', '5.6.7.8'] as const;
const zone = '/etc/tinydns/root/data';
/** Commands that only look, at what comes a moment later. */
const looks = /^(dig|journalctl|lares (ddns )?status|lares doctor|lares traffic)\b/;

interface Block {
  language: string;
  text: string;
}

/** The fenced blocks of a section. */
function blocks(heading: string): Block[] {
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
    .replaceAll(/\b\d+(\.\d+)? ([KMGT]i)?B\b/g, 'SIZE')
    .replaceAll(/\d+ flows of at most \d+/g, 'FLOWS')
    .replaceAll(/[·▁▂▃▄▅▆▇█▏▎▍▌▋▊▉]+/g, 'SHAPE')
    .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\dZ/g, 'TIME')
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

/** Types every command of a section, and compares what comes. @returns how many there were */
async function follow(machine: Machine, heading: string): Promise<number> {
  const sh = (command: string) => machine.run('sh', '-c', `cd /root && ${command}`);
  let key = '';
  let typed = 0;
  for (const { language, text } of blocks(heading)) {
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
  return typed;
}

test('the path of the README for ddns works as it is written', { skip, timeout: 120_000 }, async (t) => {
  const machine = await Machine.boot(t);
  mkdirSync(machine.path('/root/dist'));
  cpSync(deb, machine.path(`/root/dist/${path.basename(deb)}`));

  // The server that the README takes for granted: a name, an address, tinydns.
  await machine.must('ip', 'addr', 'add', `${real}/32`, 'dev', 'lo');
  machine.write('/etc/hosts', `127.0.0.1 localhost\n${real} ns.example.net\n`);
  machine.write(zone, '.example.net:192.0.2.53:ns.example.net\n');
  await machine.must('sh', '-c', `cd ${path.dirname(zone)} && tinydns-data`);
  const tinydns = (await machine.must('sh', '-c', 'command -v tinydns')).trim();
  const environment = [`ROOT=${path.dirname(zone)}`, `IP=${real}`, 'UID=65534', 'GID=65534'];
  await machine.must('systemd-run', '--quiet', ...environment.map((one) => `--setenv=${one}`), tinydns);

  const typed = await follow(machine, headings.ddns);
  assert.ok(typed >= 14, `only ${typed} commands found in the README`);
  assert.deepEqual(await machine.failed(), []);
});

test('the path of the README for traffic works as it is written', {
  skip: skip || lacksTracking(),
  timeout: 120_000,
}, async (t) => {
  const one = await TrafficMachine.boot(t);
  // The client that the README shows is at work all the time.
  const work = new AbortController();
  const sending = (async () => {
    while (!work.signal.aborted)
      await one.send({ firstPort: 10_000, ports: 100, packets: 10, payload: 100, perSecond: 500 });
  })();
  const typed = await follow(one.machine, headings.traffic).finally(() => work.abort());
  await sending;
  assert.ok(typed >= 4, `only ${typed} commands found in the README`);
  assert.deepEqual(await one.machine.failed(), []);
});
