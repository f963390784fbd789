// What `lares doctor` asks about ddns: configuration, zone, rights, hook. Looks only; every finding that is not well
// says what to type.
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Finding } from '../../lib/command.ts';
import { configFiles, loadConfig } from '../../lib/config.ts';
import { explain } from '../../lib/errors.ts';
import { examineControl } from '../../lib/examine.ts';
import { plural } from '../../lib/table.ts';
import { type Config, config } from './config.ts';
import { describeZone } from './describe.ts';
import { readZone } from './readzone.ts';
import { planFor } from './verbs/setup.ts';

export function examine(hasUnits: boolean): Finding[] {
  const { values, problems, files } = loadConfig(config, configFiles('ddns'));
  const findings: Finding[] = problems.map(({ place, message }) => ({
    health: 'bad',
    subject: 'configuration',
    text: `${place}: ${message}`,
  }));
  if (values.zone === '') {
    return [
      ...findings,
      ...(hasUnits ? examineControl('ddns') : []),
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
    ...examineZone(values, hasUnits),
    ...examineHook(values),
    ...(hasUnits ? examineControl('ddns') : []),
  ];
}

function examineZone({ zone }: Config, hasUnits: boolean): Finding[] {
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
    findings.push(...(hasUnits ? examineSetup(zone) : examineRights(target)));
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

/** In the foreground the receiver may run as anybody who can keep the owner of the zone. */
function examineRights(target: string): Finding[] {
  const { uid, gid } = statSync(target);
  accessSync(path.dirname(target), constants.W_OK | constants.X_OK);
  const text = `${target} belongs to uid ${uid}, gid ${gid}: the receiver has to run as that user, in that group`;
  return [{ health: 'note', subject: 'rights', text }];
}

/** Rights and drop-ins, as `setup` would leave them; `root` is where it writes. */
export function examineSetup(zone: string, { user = 'lares-ddns', root = '/' } = {}): Finding[] {
  const { files, missing } = planFor(zone, { user, root });
  const advice = `lares ddns setup ${zone}`;
  const units = path.join(root, 'etc/systemd');
  const stale = files.filter(({ file, text }) => file.startsWith(units) && textOf(file) !== text);
  return [
    ...missing.map(
      ({ text, command }): Finding => ({ health: 'bad', subject: 'rights', text, advice: command }),
    ),
    ...stale.map(
      ({ file }): Finding => ({
        health: 'bad',
        subject: 'sandbox',
        text: `${file} is not what the configuration needs`,
        advice: `${advice}; systemctl daemon-reload`,
      }),
    ),
    ...(missing.length + stale.length === 0
      ? [{ health: 'ok', subject: 'rights', text: `${user} may rewrite the zone` } as const]
      : []),
  ];
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
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
