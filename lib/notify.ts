// What the service manager hears of a daemon (sd_notify(3)): ready, status, reload, stop, and that it is alive. Where
// no manager listens (no NOTIFY_SOCKET) nothing is loaded and nothing is said.
import { loadNotify, type SdNotify } from './sys/notify.ts';

export interface Supervisor {
  /** Whether there is one. */
  listens: boolean;
  /** How often it wants to hear that the daemon is alive, milliseconds; 0: not at all. */
  watchdogMs: number;
  ready: (status: string) => void;
  status: (text: string) => void;
  reloading: () => void;
  stopping: (text: string) => void;
  alive: () => void;
  /** The process is about to end with `exitCode`, because of `errno` (a positive number; 0: none). */
  failed: (text: string, exitCode: number, errno: number) => void;
}

const statusChars = 1_000;

/** @throws LaresError E_NOTIFY where a manager listens and the addon is missing */
export function supervisorOf(env: NodeJS.ProcessEnv): Supervisor {
  const nothing = (): void => undefined;
  if ((env['NOTIFY_SOCKET'] ?? '') === '') {
    return {
      listens: false,
      watchdogMs: 0,
      ready: nothing,
      status: nothing,
      reloading: nothing,
      stopping: nothing,
      alive: nothing,
      failed: nothing,
    };
  }
  return speakTo(loadNotify());
}

function speakTo(notify: SdNotify): Supervisor {
  let said = '';
  const send = (...lines: string[]): void => notify.sendState(`${lines.join('\n')}\n`);
  return {
    listens: true,
    watchdogMs: notify.watchdogInterval(),
    ready: (status) => send('READY=1', statusLine(status)),
    status: (text) => {
      if (text !== said) send(statusLine(text));
      said = text;
    },
    // For Type=notify-reload; others ignore the time. hrtime is CLOCK_MONOTONIC.
    reloading: () => send('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1_000n}`),
    stopping: (text) => send('STOPPING=1', statusLine(text)),
    alive: () => send('WATCHDOG=1'),
    failed: (text, exitCode, errno) =>
      send(`EXIT_STATUS=${exitCode}`, ...(errno > 0 ? [`ERRNO=${errno}`] : []), statusLine(text)),
  };
}

/** A newline in a status would be a message of its own. Exported for its test. */
export function statusLine(text: string): string {
  return `STATUS=${text.replaceAll(/\p{Cc}+/gu, ' ').slice(0, statusChars)}`;
}
