// Asks the accounting every minute who has reached a quota, and runs the admin's program for each, once a period. What
// was told stands on the disk; a program that fails is run again a minute later.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { writeFileAtomic } from '../../lib/atomic.ts';
import { ask } from '../../lib/control.ts';
import type { Context, Running } from '../../lib/daemon.ts';
import { errnoOf, explain, LaresError } from '../../lib/errors.ts';
import { isWorldly } from '../../lib/exit.ts';
import { runProgram } from '../../lib/program.ts';
import { plural } from '../../lib/table.ts';
import { type Config, type config, quotasOf } from './config.ts';
import {
  type Alert,
  keyOfAlert,
  type PeerSum,
  periodOf,
  reached,
  stillTold,
  type Told,
} from './core/quota.ts';
import { messages } from './messages.ts';
import { controlSocket } from './source.ts';
import { Throttle } from './throttle.ts';

type Outside = Omit<Context<typeof config>, 'config' | 'onStop'>;

const pauseMs = 60_000;
/** Programs that are run in one turn: a limit that is too low must not drown its reader. */
const alertsAtOnce = 20;

export class Watcher implements Running<typeof config> {
  readonly #outside: Outside;
  readonly #file: string;
  readonly #control: string;
  readonly #throttle: Throttle;
  #config: Config;
  #told: Told;
  #timer: NodeJS.Timeout | undefined;
  #turn: Promise<void> = Promise.resolve();
  #isStopped = false;
  #trouble: string | undefined;

  /** @throws LaresError E_NOT_CONFIGURED */
  constructor(config: Config, outside: Outside, control = controlSocket) {
    this.#config = checked(config);
    this.#outside = outside;
    this.#control = control;
    this.#throttle = new Throttle(outside.log, outside.clock);
    this.#file = path.join(outside.stateFolder, 'told');
    this.#told = readTold(this.#file);
    this.#plan(0);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#turn;
  }

  #plan(waitMs: number): void {
    clearTimeout(this.#timer);
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => {
      this.#turn = this.#look().then(() => this.#plan(pauseMs), this.#outside.fail);
    }, waitMs);
  }

  async #look(): Promise<void> {
    try {
      const alerts = await this.#alerts();
      for (const alert of alerts.slice(0, alertsAtOnce)) if (!this.#isStopped) await this.#tell(alert);
      this.#trouble = undefined;
    } catch (error) {
      if (!isWorldly(error)) throw error;
      this.#trouble = explain(error);
      this.#throttle.say(messages.notifyFailed, explain(error));
    }
    this.#outside.changed();
  }

  async #alerts(): Promise<Alert[]> {
    const nowMs = this.#outside.clock.wallMs();
    const quotas = quotasOf(this.#config);
    this.#told = stillTold(this.#told, quotas, nowMs);
    const sums = new Map<number, PeerSum[]>();
    const alerts: Alert[] = [];
    for (const quota of quotas) {
      const { startMs } = periodOf(quota.per, nowMs);
      const known = sums.get(startMs) ?? (await this.#sumsSince(startMs));
      sums.set(startMs, known);
      alerts.push(...reached(quota, known, this.#told, nowMs));
    }
    return alerts;
  }

  async #sumsSince(since: number): Promise<PeerSum[]> {
    return (await ask(this.#control, 'Report', { by: 'peer', since }))['rows'] as PeerSum[];
  }

  async #tell(alert: Alert): Promise<void> {
    const { log, stateFolder, environment } = this.#outside;
    const said: string[] = [];
    const { ok, outcome } = await runProgram({
      argv: this.#config.notify,
      folder: stateFolder,
      environment,
      input: `${JSON.stringify(alert)}\n`,
      output: (line) => said.push(line),
    });
    const what = `${alert.peer} has reached quota ${alert.quota} of ${alert.period}`;
    if (!ok) {
      const words = said.length === 0 ? '' : `: ${said.at(-1) ?? ''}`;
      throw new LaresError(
        'E_TRAFFIC_NOTIFY',
        `${what}, and the program of Notify= failed: ${outcome}${words}`,
      );
    }
    this.#told[keyOfAlert(alert)] = alert.period;
    writeFileAtomic(this.#file, `${JSON.stringify(this.#told)}\n`, 0o600);
    log.say(messages.quotaReached, `${what}: told`);
  }

  reload(config: Config): void {
    this.#config = checked(config);
    this.#plan(0);
  }

  status(): string {
    const [quotas, peers] = [quotasOf(this.#config).length, Object.keys(this.#told).length];
    const told = `${plural(quotas, 'quota')}, ${plural(peers, 'peer')} told of`;
    return this.#trouble === undefined ? told : `${told}; ${this.#trouble}`;
  }

  idle(): boolean {
    return false;
  }

  check(): void {
    // Nothing can hang here that has no bound.
  }

  report(): object {
    return { told: this.#told, trouble: this.#trouble ?? null };
  }
}

function checked(config: Config): Config {
  const missing = config.notify.length === 0 ? 'Program= in [Notify]' : 'Limit= in a section [Quota NAME]';
  if (config.notify.length > 0 && quotasOf(config).length > 0) return config;
  throw new LaresError('E_NOT_CONFIGURED', `${missing} must be set in /etc/lares/traffic.conf`);
}

function readTold(file: string): Told {
  try {
    const found: unknown = JSON.parse(readFileSync(file, 'utf8'));
    const isWhole = typeof found === 'object' && found !== null && !Array.isArray(found);
    return isWhole ? (found as Told) : {};
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || error instanceof SyntaxError) return {};
    throw error;
  }
}
