// What the kernel's switches of connection tracking say (nf_conntrack-sysctl.rst of the kernel's documentation). Reads
// only; lares-traffic-sysctl.service sets them.
import { readFileSync } from 'node:fs';
import { errnoOf } from '../../lib/errors.ts';

export type Switch = 'acct' | 'events' | 'timestamp' | 'count' | 'max';

/** Of net.netfilter.nf_conntrack_NAME; undefined where the kernel has none. @throws Error with an errno code */
export function sysctl(name: Switch): number | undefined {
  try {
    return Number(readFileSync(`/proc/sys/net/netfilter/nf_conntrack_${name}`, 'utf8'));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
