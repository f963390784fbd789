// lares-traffic-carbon with a control socket of the test's choice: the first argument.
import { config } from '../../daemons/traffic/config.ts';
import { Sink } from '../../daemons/traffic/sink.ts';
import { runDaemon } from '../../lib/daemon.ts';

const [control = ''] = process.argv.splice(2, 1);

runDaemon({
  name: 'traffic-carbon',
  configOf: 'traffic',
  summary: 'brings the history of traffic to Graphite',
  config,
  idleExitMs: () => Number.POSITIVE_INFINITY,
  start: ({ config, onStop, ...outside }) => {
    const sink = new Sink(config, outside, control);
    onStop(() => sink.stop());
    return Promise.resolve(sink);
  },
});
