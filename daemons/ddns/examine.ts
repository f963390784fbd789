// What `lares doctor` asks about ddns: configuration, zone, rights, hook. Looks only; every finding that is not well
// says what to type.
import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';
import type { Finding } from '../../lib/command.ts';
import { configFiles, loadConfig } from '../../lib/config.ts';
import { explain } from '../../lib/errors.ts';
import { plural } from '../../lib/table.ts';
import { type Config, config } from './config.ts';
import { describeZone } from './describe.ts';
import { readZone } from './readzone.ts';

export function examine(): Finding[] {
  const { values, problems, files } = loadConfig(config, configFiles('ddns'));
  const findings: Finding[] = problems.map(({ place, message }) => ({
    health: 'bad',
    subject: 'configuration',
    text: `${place}: ${message}`,
  }));
  if (values.zone === '') {
    return [
      ...findings,
      {
        health: 'note',
        subject: 'configuration',
        text: 'no Zone= set, the receiver is off',
        advice: 'lares ddns setup ZONE',
      },
    ];
  }
  return [
    ...findings,
    { health: 'ok', subject: 'configuration', text: files.join(', ') },
    ...examineZone(values),
    ...examineHook(values),
  ];
}

function examineZone({ zone }: Config): Finding[] {
  const findings: Finding[] = [];
  try {
    const { zone: parsed, target } = readZone(zone);
    const bad = parsed.problems.filter(({ severity }) => severity === 'bad').length;
    findings.push(
      bad === 0
        ? {
            health: 'ok',
            subject: 'zone',
            text: `${zone}: ${describeZone(parsed)}`,
          }
        : {
            health: 'bad',
            subject: 'zone',
            text: `${zone}: ${plural(bad, 'problem')}`,
            advice: `lares ddns check ${zone}`,
          },
    );
    const folder = path.dirname(target);
    const { uid, gid } = statSync(target);
    findings.push({
      health: 'note',
      subject: 'rights',
      text: `${target} belongs to uid ${uid}, gid ${gid}: the receiver has to run as that user, in that group`,
      advice: `lares ddns setup ${zone}`,
    });
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    findings.push({
      health: 'bad',
      subject: 'zone',
      text: explain(error),
      advice: `lares ddns setup ${zone}`,
    });
  }
  return findings;
}

function examineHook({ hook }: Config): Finding[] {
  const [program] = hook;
  if (program === undefined)
    return [
      { health: 'note', subject: 'hook', text: 'no Hook= set: the zone changes, but nothing publishes it' },
    ];
  try {
    accessSync(program, constants.X_OK);
    return [{ health: 'ok', subject: 'hook', text: hook.join(' ') }];
  } catch (error) {
    return [
      {
        health: 'bad',
        subject: 'hook',
        text: explain(error),
        advice: 'correct Hook= in /etc/lares/ddns.conf',
      },
    ];
  }
}
