// lares-traffic-notify with a control socket of the test's choice: the first argument.
import { config } from '../../daemons/traffic/config.ts';
import { Watcher } from '../../daemons/traffic/watcher.ts';
import { runDaemon } from '../../lib/daemon.ts';

const [control = ''] = process.argv.splice(2, 1);

runDaemon({
  name: 'traffic-notify',
  configOf: 'traffic',
  summary: 'tells when a peer has reached a quota of traffic',
  config,
  idleExitMs: () => Number.POSITIVE_INFINITY,
  start: ({ config, onStop, ...outside }) => {
    const watcher = new Watcher(config, outside, control);
    onStop(() => watcher.stop());
    return Promise.resolve(watcher);
  },
});
