// What a daemon declares to runDaemon, and what runDaemon gives it.
import type { Clock } from './clock.ts';
import type { Table, Values } from './config.ts';
import type { Methods } from './control.ts';
import type { Receive } from './listen.ts';
import type { Log } from './messages.ts';

export interface Context<T extends Table> {
  config: Values<T>;
  /** Exists, belongs to this daemon alone. */
  stateFolder: string;
  log: Log;
  clock: Clock;
  /** The environment that a program started by the daemon gets. */
  environment: Record<string, string>;
  /** Those of the daemon's own flags that were given. */
  switches: string[];
  /** Of this boot of this machine, the same for all of its containers. */
  bootId: () => string;
  /** The netlink socket, for a daemon that declares one. */
  netlink: () => number;
  /** Says that `status` may answer something else now. */
  changed: () => void;
  /** Registers what undoes a step; called in reverse order at the stop. */
  onStop: (undo: () => void | Promise<void>) => void;
  /** For errors in callbacks that nobody awaits: logged once, ends the process with 1. */
  fail: (error: unknown) => void;
}

export interface Running<T extends Table> {
  /** Takes one datagram. Called only after `start` has resolved, and no more once the stop has begun. */
  receive?: Receive;
  /** One line for a person: what the daemon is doing. */
  status: () => string;
  /** Whether nothing waits to be done, so that the daemon may go away until the next datagram. */
  idle: () => boolean;
  /** Rejects, or does not come back, if the daemon cannot work any more and has to be started anew. */
  check: () => void | Promise<void>;
  /** What the control socket answers to `Status`, beside the status line. */
  report: () => object;
  /** What else it answers; reading only, and every parameter is a stranger's. */
  methods?: () => Methods;
  /** @throws LaresError where the new configuration cannot be in force; the old one is then */
  reload: (config: Values<T>) => void | Promise<void>;
}

export interface UdpInput {
  kind: 'udp';
  /** FileDescriptorName= of the socket unit. */
  name: string;
  /** Where to listen when none is passed. */
  fallback: string;
}

/** A socket that the daemon reads itself. What it has not read at its stop, the next process finds there. */
export interface NetlinkInput {
  kind: 'netlink';
  name: string;
  /** Opens one when none is passed. */
  open: () => number;
}

export interface DaemonSpec<T extends Table> {
  name: string;
  summary: string;
  config: T;
  /** Whose configuration it reads, if not its own. */
  configOf?: string;
  /** What wakes it; nothing for one that finds its work by itself. */
  listen?: UdpInput | NetlinkInput;
  /** How long without input until a daemon with passed sockets leaves, milliseconds; Infinity: never. */
  idleExitMs: (config: Values<T>) => number;
  /** Flags of its own, without a value: name → help. */
  switches?: Record<string, string>;
  start: (context: Context<T>) => Promise<Running<T>>;
}

/** The control socket's FileDescriptorName=, in every daemon. */
export const controlName = 'control';
