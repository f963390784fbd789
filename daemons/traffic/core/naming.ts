// Names of peers: the longest network that an address or a group lies in has the name. Pure.
import ipaddr from 'ipaddr.js';
import { isInside, type Network, parseNetwork } from '../../../lib/networks.ts';

export interface Named {
  network: Network;
  name: string;
}

const cachedNames = 16_384;
const nameChars = 80;
const namesAtMost = 100_000;

export class Names {
  readonly #named: Named[];
  readonly #known = new Map<string, string>();

  constructor(named: Named[]) {
    this.#named = named.toSorted((a, b) => b.network[1] - a.network[1]);
  }

  /** The name of a peer, or the peer as it is. */
  nameOf(peer: string): string {
    const known = this.#known.get(peer);
    if (known !== undefined) return known;
    if (this.#known.size >= cachedNames) this.#known.clear();
    const name = this.#find(peer) ?? peer;
    this.#known.set(peer, name);
    return name;
  }

  #find(peer: string): string | undefined {
    const [address = '', bits] = peer.split('/');
    if (this.#named.length === 0 || !ipaddr.isValid(address)) return undefined;
    const parsed = ipaddr.parse(address);
    const width = bits === undefined ? 128 : Number(bits);
    return this.#named.find(({ network }) => network[1] <= width && isInside(parsed, network))?.name;
  }
}

export interface NameLines {
  named: Named[];
  /** Names of WireGuard's public keys. */
  keys: Map<string, string>;
  problems: { line: number; message: string }[];
}

/** Lines `ADDRESS NAME`, `NETWORK NAME` or `PUBLICKEY NAME`; `#` begins a comment. Total. */
export function parseNames(text: string): NameLines {
  const found: NameLines = { named: [], keys: new Map(), problems: [] };
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.replace(/(^|\s)#.*$/s, '').trim();
    if (line === '') continue;
    const [, who = '', name = ''] = /^(\S+)\s+(.+)$/.exec(line) ?? [];
    const complain = (message: string): number => found.problems.push({ line: index + 1, message });
    if (name === '') complain(`'${line.slice(0, nameChars)}' is no 'ADDRESS NAME', ignored`);
    else if (name.length > nameChars || /\p{Cc}/u.test(name))
      complain(`a name has at most ${nameChars} characters and no control characters, ignored`);
    else if (found.named.length + found.keys.size >= namesAtMost) {
      complain(`more than ${namesAtMost} names, the rest is ignored`);
      return found;
    } else if (/^[A-Za-z0-9+/]{43}=$/.test(who)) found.keys.set(who, name);
    else {
      try {
        found.named.push({ network: parseNetwork(who), name });
      } catch (error) {
        complain(`${error instanceof Error ? error.message : String(error)}, ignored`);
      }
    }
  }
  return found;
}

/** What `wg show INTERFACE allowed-ips` prints: a public key, a tab, networks with blanks between. */
export function parseAllowedIps(text: string, keys: ReadonlyMap<string, string>): Named[] {
  return text.split('\n').flatMap((line) => {
    const [key = '', networks = ''] = line.split('\t');
    const name = keys.get(key) ?? key;
    return networks
      .split(' ')
      .filter((one) => one.includes('/'))
      .map((one) => ({ network: parseNetwork(one), name }));
  });
}
