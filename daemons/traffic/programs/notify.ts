// lares-traffic-notify: tells when a peer has reached a quota, without any right but to ask the accounting. Declares
// only; see watcher.ts.
import { runDaemon } from '../../../lib/daemon.ts';
import { config } from '../config.ts';
import { Watcher } from '../watcher.ts';

runDaemon({
  name: 'traffic-notify',
  configOf: 'traffic',
  summary: 'tells when a peer has reached a quota of traffic',
  config,
  idleExitMs: () => Number.POSITIVE_INFINITY,
  start: ({ config, onStop, ...outside }) => {
    const watcher = new Watcher(config, outside);
    onStop(() => watcher.stop());
    return Promise.resolve(watcher);
  },
});
