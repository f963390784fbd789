// One daemon from its start to its stop: begins it, opens its sockets last and closes them first, tells the service
// manager, feeds the watchdog after a self-check, goes away when idle. With passed sockets it never ends because it
// cannot work: input would wait there, start it again at once, and close the socket for good. It starts degraded
// instead: says why, drains, counts, and tries again.
import type { Socket } from 'node:dgram';
import type { Clock } from './clock.ts';
import { type Loaded, loadConfig, type Table, type Values } from './config.ts';
import { type Methods, serveControl } from './control.ts';
import { explain, LaresError } from './errors.ts';
import { isWorldly } from './exit.ts';
import {
  adoptControl,
  adoptNetlink,
  adoptUdp,
  bindUdp,
  closeInherited,
  formatEndpoint,
  type Inherited,
  parseEndpoint,
  type Receive,
} from './listen.ts';
import { type Log, commonMessages as say } from './messages.ts';
import type { Supervisor } from './notify.ts';
import type { Turns } from './signals.ts';
import { type Context, controlName, type DaemonSpec, type Running } from './spec.ts';
import { plural } from './table.ts';
import { version } from './version.ts';

/** What is around the daemon, gathered by lib/daemon.ts. */
export interface Around<T extends Table> {
  load: () => Loaded<T>;
  log: Log;
  clock: Clock;
  supervisor: Supervisor;
  /** Sockets that the service manager has passed. */
  passed: Inherited[];
  /** Where to listen if it has passed none. */
  endpoints: string[];
  /** What the daemon's start gets beside its configuration. */
  context: () => Omit<Context<T>, 'config' | 'changed' | 'onStop' | 'netlink'>;
  fail: (error: unknown) => void;
}

type Undo = () => void | Promise<void>;

const retryMs = 10_000;
const leastPauseMs = 1_000;
// A status that changes with every datagram is told once for all of this time.
const statusMs = 1_000;

export class Service<T extends Table> {
  readonly #spec: DaemonSpec<T>;
  readonly #around: Around<T>;
  readonly #undo: Undo[] = [];
  readonly #closers: (() => void)[] = [];
  readonly #timers = new Set<NodeJS.Timeout>();
  #running: Running<T>;
  #config: Values<T>;
  #netlinkFd: number | undefined;
  #isDegraded = false;
  #isTelling = false;
  #isChecking = false;
  #lastInputMs: number;

  constructor(spec: DaemonSpec<T>, around: Around<T>) {
    this.#spec = spec;
    this.#around = around;
    this.#config = loadConfig(spec.config, []).values;
    this.#running = degraded('starting', false);
    this.#lastInputMs = around.clock.monotonicMs();
  }

  /** @throws what keeps it from working, unless sockets were passed */
  async start(turns: () => Turns): Promise<void> {
    const { clock, log, supervisor, passed } = this.#around;
    try {
      this.#running = await this.#begin();
    } catch (error) {
      if (passed.length === 0 || !isWorldly(error)) throw error;
      this.#degrade(error);
      this.#every(retryMs, () => {
        if (this.#isDegraded) turns().take(() => this.#retry());
      });
    }
    const places = await this.#open();
    supervisor.ready(this.#running.status());
    const where = places.length === 0 ? '' : `listening on ${places.join(', ')}; `;
    log.say(say.ready, `ready: ${where}${this.#running.status()}`);
    if (supervisor.watchdogMs > 0) this.#every(supervisor.watchdogMs / 3, () => void this.#beat());
    // However long the start took: what waits in the sockets comes first.
    this.#lastInputMs = clock.monotonicMs();
    if (passed.length > 0) this.#leaveWhenIdle(turns);
  }

  /** A configuration that cannot be in force changes nothing; only bugs end the daemon. */
  async reload(): Promise<void> {
    const { log, supervisor } = this.#around;
    supervisor.reloading();
    try {
      if (this.#isDegraded) await this.#retry();
      else {
        const next = this.#load();
        await this.#running.reload(next);
        this.#config = next;
        log.say(say.reloaded, `reloaded: ${this.#running.status()}`);
      }
    } catch (error) {
      if (!isWorldly(error)) throw error;
      log.say(say.notReloaded, `not reloaded: ${explain(error)}; the old configuration stays in force`);
    }
    supervisor.ready(this.#running.status());
  }

  /** Input first, so that what still waits in a passed socket is the next process's; then each step in reverse. */
  async stop(): Promise<void> {
    this.#around.supervisor.stopping('stopping');
    // From here on nobody is told anything.
    this.#isTelling = true;
    this.#timers.forEach(clearTimeout);
    for (const close of this.#closers.splice(0).reverse()) close();
    await this.#unwind();
  }

  #load(): Values<T> {
    const { values, problems, missing } = this.#around.load();
    for (const { place, message } of problems)
      this.#around.log.say(say.configProblem, `${place}: ${message}`);
    if (missing.length === 0) return values;
    throw new LaresError(
      'E_NOT_CONFIGURED',
      `${missing.join(', ')} must be set in /etc/lares/${this.#spec.name}.conf`,
    );
  }

  async #begin(): Promise<Running<T>> {
    try {
      this.#config = this.#load();
      return await this.#spec.start({
        ...this.#around.context(),
        config: this.#config,
        changed: this.#changed,
        netlink: () => this.#netlink(),
        onStop: (undo) => this.#undo.push(undo),
      });
    } catch (error) {
      await this.#unwind();
      throw error;
    }
  }

  /** Taken once; a second start, after a degraded one, reads on where it was. */
  #netlink(): number {
    const { listen } = this.#spec;
    if (listen?.kind !== 'netlink') throw new Error(`${this.#spec.name} declares no netlink socket`);
    if (this.#netlinkFd === undefined) {
      const { passed } = this.#around;
      const one = passed.find(({ name }) => name === listen.name);
      if (one === undefined && passed.length > 0)
        throw new LaresError(
          'E_LISTEN_KIND',
          `no socket named '${listen.name}' was passed; see Sockets= of the unit`,
        );
      this.#netlinkFd = one === undefined ? listen.open() : adoptNetlink(one);
    }
    return this.#netlinkFd;
  }

  async #unwind(): Promise<void> {
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) await undo();
  }

  #degrade(error: unknown): void {
    const reason = explain(error);
    this.#running = degraded(reason, this.#spec.listen?.kind === 'udp');
    this.#isDegraded = true;
    // What the kernel tells is worth keeping for as long as it can.
    const meanwhile =
      this.#spec.listen?.kind === 'udp' ? 'datagrams are dropped' : 'what comes waits in its socket';
    this.#around.log.say(
      say.degraded,
      `cannot work: ${reason}; ${meanwhile} until that is mended, looking every ${retryMs / 1_000} s`,
    );
  }

  async #retry(): Promise<void> {
    const { log } = this.#around;
    try {
      this.#running = await this.#begin();
      this.#isDegraded = false;
      log.say(say.reloaded, `works again: ${this.#running.status()}`);
    } catch (error) {
      if (!isWorldly(error)) throw error;
      // Said again only where it is another reason.
      if (!this.#running.status().startsWith(degraded(explain(error), false).status())) this.#degrade(error);
    }
    this.#tell();
  }

  async #open(): Promise<string[]> {
    const { passed, endpoints, log } = this.#around;
    const { listen } = this.#spec;
    const places: string[] = [];
    // The service manager gives them in an order of its own.
    for (const one of passed.toSorted((a, b) => this.#rank(a) - this.#rank(b))) {
      if (one.name === listen?.name) {
        places.push(
          listen.kind === 'udp' ? this.#take(await adoptUdp(one, this.#receive)) : 'the netlink socket',
        );
      } else if (one.name === controlName) {
        this.#closers.push(await serveControl(adoptControl(one), () => this.#methods(), this.#heard));
        places.push('the control socket');
      } else {
        log.say(
          say.unknownFd,
          `closing passed socket '${one.name}' (fd ${one.fd}): this daemon knows only ` +
            this.#names.map((name) => `'${name}'`).join(' and '),
        );
        closeInherited(one);
      }
    }
    if (passed.length > 0) return places;
    if (listen?.kind === 'netlink') places.push('a netlink socket');
    for (const endpoint of endpoints.map(parseEndpoint))
      places.push(this.#take(await bindUdp(endpoint, this.#receive)));
    return places;
  }

  get #names(): string[] {
    const { listen } = this.#spec;
    return listen === undefined ? [controlName] : [listen.name, controlName];
  }

  #rank({ name }: Inherited): number {
    return this.#names.indexOf(name);
  }

  #take(socket: Socket): string {
    socket.on('error', this.#around.fail);
    this.#closers.push(() => socket.close());
    const { address, port } = socket.address();
    return formatEndpoint({ host: address, port });
  }

  readonly #receive: Receive = (datagram, from) => {
    this.#heard();
    this.#running.receive?.(datagram, from);
  };

  readonly #heard = (): void => {
    this.#lastInputMs = this.#around.clock.monotonicMs();
    this.#changed();
  };

  readonly #changed = (): void => {
    if (this.#isTelling || !this.#around.supervisor.listens) return;
    this.#isTelling = true;
    this.#after(statusMs, () => {
      this.#isTelling = false;
      this.#tell();
    });
  };

  #methods(): Methods {
    return {
      ...this.#running.methods?.(),
      Status: () => ({
        daemon: this.#spec.name,
        version,
        status: this.#running.status(),
        degraded: this.#isDegraded,
        ...this.#running.report(),
      }),
    };
  }

  #tell(): void {
    this.#around.supervisor.status(this.#running.status());
  }

  // One that has no answer yet is not asked again, and the manager hears nothing.
  async #beat(): Promise<void> {
    if (this.#isChecking) return;
    this.#isChecking = true;
    try {
      await this.#running.check();
      this.#around.supervisor.alive();
      this.#tell();
    } catch (error) {
      this.#around.log.say(say.unwell, `self-check failed, not fed to the watchdog: ${explain(error)}`);
    } finally {
      this.#isChecking = false;
    }
  }

  #leaveWhenIdle(turns: () => Turns): void {
    const idleMs = this.#spec.idleExitMs(this.#config);
    const quietMs = this.#around.clock.monotonicMs() - this.#lastInputMs;
    if (quietMs >= idleMs && this.#running.idle()) turns().stop('idle');
    else {
      const waitMs = Number.isFinite(idleMs) ? idleMs - quietMs : retryMs;
      this.#after(Math.max(leastPauseMs, waitMs), () => this.#leaveWhenIdle(turns));
    }
  }

  #after(ms: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, ms);
    this.#timers.add(timer);
  }

  #every(ms: number, act: () => void): void {
    this.#timers.add(setInterval(act, ms));
  }
}

/** What stands in for a daemon that cannot work. */
function degraded<T extends Table>(reason: string, drains: boolean): Running<T> {
  let dropped = 0;
  return {
    ...(drains ? { receive: () => void (dropped += 1) } : {}),
    status: () => `cannot work: ${reason}${dropped === 0 ? '' : `; ${plural(dropped, 'datagram')} dropped`}`,
    idle: () => true,
    check: () => undefined,
    report: () => ({ dropped }),
    reload: () => undefined,
  };
}
