// The addon of the package sd-notify, which calls libsystemd. Loaded only when asked for: it is built where the suite
// is installed or packaged, and a daemon in a terminal never needs it. Its own index.js is passed over: it finds the
// addon by walking stack frames, and its log functions crash on data with a percent sign.
import { createRequire } from 'node:module';
import { explain, LaresError } from '../errors.ts';

export interface SdNotify {
  /** Lines `KEY=VALUE` of sd_notify(3). */
  sendState: (lines: string) => void;
  /** Milliseconds of WATCHDOG_USEC if it is meant for this process, else 0. */
  watchdogInterval: () => number;
}

// Beside the bundle in an installed tree, where npm has built it in a checkout.
const inSources = import.meta.filename.endsWith('.ts');
const file = inSources ? '../../node_modules/sd-notify/build/Release/notify.node' : './native/notify.node';

/** @throws LaresError E_NOTIFY where it is not built */
export function loadNotify(): SdNotify {
  try {
    return createRequire(import.meta.url)(file) as SdNotify;
  } catch (cause) {
    throw new LaresError(
      'E_NOTIFY',
      `a service manager listens, but the addon to speak to it is missing (${explain(cause)}): ` +
        'run make install or make deb, which build it',
      { cause },
    );
  }
}
