// lares-traffic-carbon: brings the history by interval to Graphite's carbon, without any right but to ask the
// accounting. Declares only; see sink.ts.
import { runDaemon } from '../../../lib/daemon.ts';
import { config } from '../config.ts';
import { Sink } from '../sink.ts';

runDaemon({
  name: 'traffic-carbon',
  configOf: 'traffic',
  summary: 'brings the history of traffic to Graphite',
  config,
  idleExitMs: () => Number.POSITIVE_INFINITY,
  start: ({ config, onStop, ...outside }) => {
    const sink = new Sink(config, outside);
    onStop(() => sink.stop());
    return Promise.resolve(sink);
  },
});
