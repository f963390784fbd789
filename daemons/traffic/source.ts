// Where the commands have their answers from: the daemon, over its control socket, which looks at living flows before
// it answers; or a state folder, read as it is.
import path from 'node:path';
import type { Command } from 'commander';
import { wallMs } from '../../lib/clock.ts';
import { configFiles, loadConfig } from '../../lib/config.ts';
import { ask } from '../../lib/control.ts';
import { LaresError } from '../../lib/errors.ts';
import { type Database, openForReading } from '../../lib/sqlite.ts';
import { config } from './config.ts';
import type { Names } from './core/naming.ts';
import { flowsOf, type Live, type LiveFlow, liveOf } from './live.ts';
import { readNames } from './names.ts';
import { type Answer, answer, type Question } from './query.ts';
import type { Report } from './report.ts';
import { fileName, readFacts, readFlows, readSeries } from './store.ts';

export const controlSocket = '/run/lares/traffic.sock';

/** Options of every verb that asks. */
export interface Where {
  socket: string;
  state?: string;
  conf?: string;
}

export interface FlowList {
  at: number;
  total: number;
  flows: LiveFlow[];
}

export interface Source {
  live: () => Promise<Live>;
  flows: () => Promise<FlowList>;
  report: (question: Question) => Promise<Answer>;
  status: () => Promise<Partial<Report> & { status?: string }>;
}

export function addWhere(command: Command): Command {
  return command
    .option('--socket <path>', 'control socket of the daemon', controlSocket)
    .option('--state <dir>', 'read this state folder instead, of a daemon that has no control socket')
    .option('--conf <file>', 'with --state: configuration of the daemon, for names of peers');
}

/** Gives `use` a source, and closes what it needed. @throws LaresError E_CONTROL, E_STATE_OPEN, E_CONFIG */
export async function withSource<T>(
  { socket, state, conf }: Where,
  use: (source: Source) => Promise<T>,
): Promise<T> {
  if (state === undefined) return use(asking(socket));
  const file = path.join(state, fileName);
  const db = openForReading(file);
  if (db === undefined)
    throw new LaresError('E_CONFIG', `there is no ${file}: name the state folder of the daemon`);
  try {
    return await use(reading(db, namesOf(conf)));
  } finally {
    db.close();
  }
}

function asking(socket: string): Source {
  const typed = async <T>(method: string, parameters = {}): Promise<T> =>
    (await ask(socket, method, parameters)) as T;
  return {
    live: () => typed('Live'),
    flows: () => typed('Flows'),
    report: ({ by, sinceMs }) =>
      typed('Report', { by, ...(sinceMs === undefined ? {} : { since: sinceMs }) }),
    status: () => typed('Status'),
  };
}

/** Everything in one method is of one state of the ledger. */
function reading(db: Database, names: Names): Source {
  const atOnce = <T>(read: () => T): Promise<T> => Promise.resolve(db.transaction(read)());
  return {
    live: () =>
      atOnce(() => {
        const { lostFlows, lostBytes } = readFacts(db);
        const flows = { size: livingIn(db), lost: { flows: lostFlows, bytes: lostBytes } };
        return liveOf(readSeries(db), names, flows, wallMs());
      }),
    flows: () => atOnce(() => flowsOf(readFlows(db), names, wallMs())),
    report: (question) => atOnce(() => answer(db, names, question)),
    status: () =>
      atOnce(() => {
        const { drops, crashes, lostFlows, lostBytes } = readFacts(db);
        const peers = new Set(readSeries(db).map(({ peer }) => peer)).size;
        const lostTail = { flows: lostFlows, bytes: lostBytes };
        const unseenAtMost = Math.max(0, drops - lostFlows);
        return { peers, flows: livingIn(db), drops, lostTail, unseenAtMost, crashes };
      }),
  };
}

function livingIn(db: Database): number {
  const found = db.prepare('SELECT count(*) AS count FROM flow WHERE missing_ms = 0').get() as {
    count: number;
  };
  return found.count;
}

function namesOf(conf: string | undefined): Names {
  const { values } = loadConfig(config, conf === undefined ? configFiles('traffic') : [conf]);
  return readNames(values.names).names;
}
