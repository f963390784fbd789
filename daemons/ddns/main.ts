// lares-ddns: receives signed UDP packets and keeps the addresses in a tinydns zone. Declares only; see receiver.ts.
import { runDaemon } from '../../lib/daemon.ts';
import { config } from './config.ts';
import { messages } from './messages.ts';
import { Receiver } from './receiver.ts';
import { Store } from './store.ts';

runDaemon({
  name: 'ddns',
  summary: 'dynamic-DNS receiver: signed UDP packets keep the addresses in a tinydns zone',
  config,
  listen: { kind: 'udp', name: 'udp', fallback: '5533' },
  idleExitMs: ({ idleExitMs }) => idleExitMs,
  switches: { 'publish-by-unit': 'leave the hook to lares-ddns-publish.service' },
  start: async ({ config, switches, onStop, ...outside }) => {
    const lost = (kept: string): void =>
      outside.log.say(messages.stateLost, `the database is damaged and was moved to ${kept}`);
    const store = Store.open(outside.stateFolder, outside.clock.wallMs(), lost);
    onStop(() => store.close());
    const receiver = await Receiver.start(config, store, {
      ...outside,
      publishByUnit: switches.includes('publish-by-unit'),
    });
    onStop(() => receiver.stop());
    return receiver;
  },
});
