// What `lares ddns status` tells: the zone's names with what is known of the key that last updated each, and refusals.
// Pure; made by the receiver for its control socket, or by the verb from a state folder.
import type { Family } from './core/address.ts';
import { typeOf } from './core/rewrite.ts';
import type { Zone } from './core/zone.ts';
import type { Peer, Refused, Status } from './store.ts';

export interface Row {
  name: string;
  type: 'A' | 'AAAA';
  address: string;
  keyId: string;
  /** Unix milliseconds. */
  lastSeen: number | null;
  lastChange: number | null;
  /** Client's clock less ours when last seen, milliseconds; network delay included. */
  skewMs: number | null;
  /** The zone has yet to say the newest address. */
  pending: boolean;
}

export interface Report {
  zone: string;
  names: Row[];
  refusals: Refused[];
  /** Records that the hook has yet to hear of. */
  unpublished: number;
}

export function reportOf(file: string, { blocks }: Zone, status: Status, unpublished: number): Report {
  const peers = new Map(status.peers.map((peer) => [`${peer.keyId} ${peer.family}`, peer]));
  const names = blocks.flatMap(({ keyIds, records }) =>
    records.map(({ name, family, address }) => {
      const { keyId, peer } = latest(keyIds, family, peers);
      return {
        name,
        type: typeOf(family),
        address,
        keyId,
        lastSeen: peer?.seenMs ?? null,
        lastChange: peer?.changedMs ?? null,
        skewMs: peer === undefined ? null : Math.round(peer.stamp * 1_000 - peer.seenMs),
        pending: peer?.due ?? false,
      };
    }),
  );
  return { zone: file, names, refusals: status.refusals, unpublished };
}

/** Of several keys of a block the one that was seen last. */
function latest(
  keyIds: string[],
  family: Family,
  peers: Map<string, Peer>,
): { keyId: string; peer: Peer | undefined } {
  const all = keyIds.map((keyId) => ({ keyId, peer: peers.get(`${keyId} ${family}`) }));
  return all.reduce(
    (best, one) => ((one.peer?.seenMs ?? -1) > (best.peer?.seenMs ?? -1) ? one : best),
    all[0] ?? { keyId: '', peer: undefined },
  );
}
