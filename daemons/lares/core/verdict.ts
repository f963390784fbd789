// From what systemd says of a daemon's units to what a person wants to know of the daemon. Pure.
import type { Finding } from '../../../lib/command.ts';
import type { JournalRecord, UnitFacts } from '../../../lib/systemd.ts';

export type State = 'awake' | 'asleep' | 'failed' | 'off' | 'not installed';

export interface Row {
  name: string;
  state: State;
  last: JournalRecord | null;
  status: string;
}

const isService = ({ name }: UnitFacts): boolean => name.endsWith('.service');
const isLoaded = ({ load }: UnitFacts): boolean => load !== 'not-found';
const isUp = ({ active }: UnitFacts): boolean =>
  active !== 'inactive' && active !== 'failed' && active !== '';
// Between two tries it is about to start, as far as systemd is concerned.
const hasFailed = ({ active, sub }: UnitFacts): boolean => active === 'failed' || sub === 'auto-restart';

export function rowOf(noun: string, units: UnitFacts[], last: JournalRecord | undefined): Row {
  return { name: noun, state: stateOf(units), last: last ?? null, status: statusOf(units) };
}

function stateOf(units: UnitFacts[]): State {
  if (!units.some(isLoaded)) return 'not installed';
  if (units.some(hasFailed)) return 'failed';
  if (units.some((unit) => isService(unit) && isUp(unit))) return 'awake';
  return units.some(isUp) ? 'asleep' : 'off';
}

function statusOf(units: UnitFacts[]): string {
  const failed = units.filter(hasFailed).map(({ name, result }) => `${name} failed (${result})`);
  // systemd keeps the last status of a service that has ended.
  const said = units.filter((unit) => isUp(unit) && unit.status !== '').map(({ status }) => status);
  return [...failed, ...said].join('; ');
}

/** What is amiss with the units. The first of `units` is the one that an admin enables. */
export function examineUnits(units: UnitFacts[]): Finding[] {
  const subject = 'units';
  if (!units.some(isLoaded))
    return [{ health: 'note', subject, text: 'not installed', advice: 'make install' }];
  const absent = units.filter((unit) => !isLoaded(unit)).map(({ name }) => name);
  const masked = units.filter(({ load }) => load === 'masked').map(({ name }) => name);
  return [
    absent.length === 0
      ? { health: 'ok', subject, text: `${units.length} installed` }
      : {
          health: 'bad',
          subject,
          text: `missing: ${absent.join(', ')}`,
          advice: 'install the package again',
        },
    ...masked.map(
      (name): Finding => ({
        health: 'note',
        subject,
        text: `${name} is masked`,
        advice: `systemctl unmask ${name}`,
      }),
    ),
    ...units.filter(hasFailed).map(
      ({ name, result }): Finding => ({
        health: 'bad',
        subject,
        text: `${name} failed (${result})`,
        advice: `journalctl -e -u ${name}, then systemctl restart ${name}`,
      }),
    ),
    ...units.slice(0, 1).flatMap(examineEntrance),
  ];
}

/** The unit by which input comes. */
function examineEntrance(unit: UnitFacts): Finding[] {
  const { name, sub, enabled } = unit;
  if (!isLoaded(unit) || hasFailed(unit)) return [];
  if (isUp(unit)) {
    const health = enabled === 'disabled' ? 'note' : 'ok';
    const text = `${name}: ${sub}${health === 'note' ? ', but not after the next boot' : ''}`;
    return [
      {
        health,
        subject: 'entrance',
        text,
        ...(health === 'note' ? { advice: `systemctl enable ${name}` } : {}),
      },
    ];
  }
  return enabled === 'disabled'
    ? [
        {
          health: 'note',
          subject: 'entrance',
          text: `${name} is off`,
          advice: `systemctl enable --now ${name}`,
        },
      ]
    : [
        {
          health: 'bad',
          subject: 'entrance',
          text: `${name} is ${enabled} but off`,
          advice: `systemctl start ${name}`,
        },
      ];
}
