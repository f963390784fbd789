// What a running daemon is told to do, one thing at a time: SIGHUP reloads, SIGTERM and SIGINT stop. Signals are taken
// from the first moment but wait their turn behind the start; after a stop has begun nothing else starts.
import { closeSync, openSync } from 'node:fs';
import { isatty } from 'node:tty';

export interface Acts {
  reload: () => Promise<void>;
  stop: (why: string) => Promise<void>;
  fail: (error: unknown) => void;
}

export interface Turns {
  /** Does `act` when what was asked for before is done. */
  take: (act: () => Promise<void>) => void;
  /** The same for the stop, which is the last. */
  stop: (why: string) => void;
}

export function onSignals(started: Promise<unknown>, { reload, stop, fail }: Acts): Turns {
  let turn: Promise<void> = started.then(() => undefined);
  let stopping = false;
  const hasTerminal = isatty(0);
  const turns: Turns = {
    take: (act) => {
      if (!stopping) turn = turn.then(act).catch(fail);
    },
    stop: (why) => {
      turns.take(() => stop(why));
      stopping = true;
    },
  };
  process.on('SIGTERM', () => turns.stop('SIGTERM'));
  process.on('SIGINT', () => turns.stop('SIGINT'));
  process.on('SIGHUP', () => {
    // A closed terminal hangs up too; then there is nobody to serve in the foreground any more.
    if (hasTerminal && terminalIsGone()) turns.stop('SIGHUP');
    else turns.take(reload);
  });
  return turns;
}

function terminalIsGone(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return false;
  } catch {
    return true;
  }
}
