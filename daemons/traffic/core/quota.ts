// Who has reached a quota, and whether that was told already: once for each quota, peer and period. Pure.

export type Period = 'day' | 'month';

export interface Quota {
  name: string;
  /** Bytes of both directions. */
  limit: number;
  per: Period;
  /** As it is shown; '' for every peer. */
  peer: string;
}

/** What the program of Notify= gets on standard input. */
export interface Alert {
  quota: string;
  peer: string;
  /** `2026-11-26` or `2026-11`, of UTC. */
  period: string;
  limitBytes: number;
  rxBytes: number;
  txBytes: number;
  /** Unix milliseconds. */
  at: number;
}

export interface PeerSum {
  peer: string;
  rxBytes: number;
  txBytes: number;
}

/** What was told: quota and peer → the period. */
export type Told = Record<string, string>;

export function periodOf(per: Period, nowMs: number): { name: string; startMs: number } {
  const name = new Date(nowMs).toISOString().slice(0, per === 'day' ? 10 : 7);
  return { name, startMs: Date.parse(per === 'day' ? name : `${name}-01`) };
}

export const keyOfAlert = ({ quota, peer }: Pick<Alert, 'quota' | 'peer'>): string => `${quota}\t${peer}`;

/** Peers that have reached `quota` and of whom that was not told in this period. */
export function reached(quota: Quota, sums: PeerSum[], told: Told, nowMs: number): Alert[] {
  const { name: period } = periodOf(quota.per, nowMs);
  return sums
    .filter(({ peer, rxBytes, txBytes }) => {
      if (quota.peer !== '' && quota.peer !== peer) return false;
      return rxBytes + txBytes >= quota.limit && told[keyOfAlert({ quota: quota.name, peer })] !== period;
    })
    .map(({ peer, rxBytes, txBytes }) => ({
      ...{ quota: quota.name, peer, period, limitBytes: quota.limit },
      ...{ rxBytes, txBytes, at: nowMs },
    }));
}

/** Without what belongs to quotas that are gone or to periods that are over. */
export function stillTold(told: Told, quotas: Quota[], nowMs: number): Told {
  const periods = new Map(quotas.map(({ name, per }) => [name, periodOf(per, nowMs).name]));
  return Object.fromEntries(
    Object.entries(told).filter(([key, period]) => periods.get(key.split('\t')[0] ?? '') === period),
  );
}
