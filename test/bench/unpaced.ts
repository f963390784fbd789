// The receiver with its pace of one rewrite a second lifted, to measure changes back to back as those of its peers are:
// the same code on real sockets and a real disk, with a clock for pauses that runs a million times faster.

import { config } from '../../daemons/ddns/config.ts';
import { Receiver } from '../../daemons/ddns/receiver.ts';
import { Store } from '../../daemons/ddns/store.ts';
import { monotonicMs, wallMs } from '../../lib/clock.ts';
import { loadConfig } from '../../lib/config.ts';
import { openLog } from '../../lib/journal.ts';
import { bindUdp, formatEndpoint } from '../../lib/listen.ts';
import { commonMessages } from '../../lib/messages.ts';

const [conf = '', state = ''] = process.argv.slice(2);
const fail = (error: unknown): never => {
  throw error;
};
const log = openLog('ddns', 'json', 1);
const clock = { wallMs, monotonicMs: () => monotonicMs() * 1e6 };
const store = Store.open(state, wallMs(), fail);
const { values } = loadConfig(config, [conf]);
const receiver = await Receiver.start(values, store, {
  log,
  clock,
  environment: {},
  stateFolder: state,
  publishByUnit: false,
  changed: () => undefined,
  fail,
});
const socket = await bindUdp({ host: '127.0.0.1', port: 0 }, (datagram, from) =>
  receiver.receive(datagram, from),
);
const { address: host, port } = socket.address();
log.say(commonMessages.ready, `ready: listening on ${formatEndpoint({ host, port })}; unpaced`);
process.on('SIGTERM', () => {
  socket.close();
  void receiver.stop().then(() => store.close());
});
