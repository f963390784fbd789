// The totals as Prometheus' text format, for node_exporter's textfile collector: counters that only rise, written
// whole.
import { writeFileAtomic } from '../../lib/atomic.ts';
import type { Flows } from './core/flows.ts';
import { metricsText } from './core/metrics.ts';
import type { Names } from './core/naming.ts';
import type { Store } from './store.ts';

/** @throws Error with an errno code */
export function writeTextfile(file: string, store: Store, flows: Flows, names: Names): void {
  const { drops, crashes } = store.facts;
  const text = metricsText(store.series, names, {
    flows: flows.size,
    drops,
    crashes,
    lostFlows: flows.lost.flows,
    lostBytes: flows.lost.bytes,
  });
  writeFileAtomic(file, text, 0o644);
}
