// lares-traffic: counts bytes and packets per peer from the kernel's connection tracking. Declares only; see
// accountant.ts.
import { runDaemon } from '../../lib/daemon.ts';
import { Accountant } from './accountant.ts';
import { config } from './config.ts';
import { messages } from './messages.ts';
import { openEvents } from './socket.ts';
import { Store } from './store.ts';

runDaemon({
  name: 'traffic',
  summary: 'per-peer traffic accounting from connection tracking',
  config,
  listen: { kind: 'netlink', name: 'events', open: openEvents },
  idleExitMs: () => Number.POSITIVE_INFINITY,
  start: async ({ config, onStop, ...outside }) => {
    const lost = (kept: string): void =>
      outside.log.say(messages.stateLost, `the ledger is damaged and was moved to ${kept}; a new one begins`);
    const store = Store.open(outside.stateFolder, outside.clock.wallMs(), lost);
    onStop(() => store.close());
    const accountant = await Accountant.start(config, store, outside);
    onStop(() => accountant.stop());
    return accountant;
  },
});
