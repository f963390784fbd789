// Which flows are counted and which end of them is ours, by the configuration and the addresses that this machine has
// just now.
import { networkInterfaces } from 'node:os';
import ipaddr from 'ipaddr.js';
import type { Flow } from '../../lib/netlink/conntrack.ts';
import { isInside } from '../../lib/networks.ts';
import { type Config, classesOf } from './config.ts';
import { type Attribution, Attributor, commonMark } from './core/peers.ts';

export class Ours {
  #config: Config;
  #own = '';
  #attributor: Attributor;
  /** What every counted flow has in its mark; undefined: nothing. */
  filter: { value: number; mask: number } | undefined;

  constructor(config: Config) {
    this.#config = config;
    this.#attributor = this.#make();
  }

  attribute(flow: Flow): Attribution | undefined {
    return this.#attributor.attribute(flow);
  }

  adopt(config: Config): void {
    this.#config = config;
    this.#attributor = this.#make();
  }

  /** Addresses come and go. */
  refresh(): void {
    if (this.#config.local.length === 0 && ownAddresses().join(' ') !== this.#own)
      this.#attributor = this.#make();
  }

  #make(): Attributor {
    const { local, groupPrefix4, groupPrefix6 } = this.#config;
    const classes = classesOf(this.#config);
    const own = new Set(ownAddresses());
    this.#own = [...own].join(' ');
    this.filter = commonMark(classes);
    return new Attributor({
      classes,
      isLocal: (text) =>
        local.length === 0 ? own.has(text) : local.some((network) => isInside(ipaddr.parse(text), network)),
      groupBits: { 4: groupPrefix4, 6: groupPrefix6 },
    });
  }
}

/** As conntrack has them: without zones. */
function ownAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []);
  return [...new Set(all.map(({ address }) => address.replace(/%.*$/, '')))].sort();
}
