// `lares ddns status`: who was seen when, with what address, and what was refused.
import type { Command } from 'commander';
import { wallMs } from '../../../lib/clock.ts';
import type { Io } from '../../../lib/command.ts';
import { configFiles, loadConfig } from '../../../lib/config.ts';
import { LaresError } from '../../../lib/errors.ts';
import { roughSpan } from '../../../lib/span.ts';
import { paintFor, table } from '../../../lib/table.ts';
import { config } from '../config.ts';
import type { Family } from '../core/address.ts';
import { typeOf } from '../core/rewrite.ts';
import type { Zone } from '../core/zone.ts';
import { readZone } from '../readzone.ts';
import { type Peer, type Refused, readStatus } from '../store.ts';

interface Row {
  name: string;
  type: 'A' | 'AAAA';
  address: string;
  keyId: string;
  lastSeen: number | null;
  lastChange: number | null;
  /** Client's clock less ours when last seen, milliseconds; network delay included. */
  skewMs: number | null;
  pending: boolean;
}

export function registerStatus(program: Command, io: Io): void {
  program
    .command('status')
    .description('show each name: address, last seen, last change, clock skew; and refusals by reason')
    .option('--conf <file>', 'configuration of the receiver')
    .option('--state <dir>', 'state folder of the receiver', '/var/lib/lares/ddns')
    .option('--json', 'print JSON')
    .action(({ conf, state, json = false }: { conf?: string; state: string; json?: boolean }) => {
      const { values, problems } = loadConfig(config, conf === undefined ? configFiles('ddns') : [conf]);
      if (values.zone === '') {
        const why = problems.map(({ place, message }) => `${place}: ${message}; `).join('');
        throw new LaresError(
          'E_CONFIG',
          `${why}no Zone= configured: name the configuration with --conf, or run lares ddns setup`,
        );
      }
      const { zone } = readZone(values.zone);
      const status = readStatus(state) ?? { peers: [], refusals: [] };
      const rows = rowsOf(zone, new Map(status.peers.map((peer) => [`${peer.keyId} ${peer.family}`, peer])));
      const { refusals } = status;
      if (json) io.out(`${JSON.stringify({ zone: values.zone, names: rows, refusals })}\n`);
      else io.out(render(io, rows, refusals));
    });
}

function rowsOf({ blocks }: Zone, peers: Map<string, Peer>): Row[] {
  return blocks.flatMap(({ keyIds, records }) =>
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
        pending: peer !== undefined && peer.due !== 'nobody',
      };
    }),
  );
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

function render(io: Io, rows: Row[], refusals: Refused[]): string {
  const paint = paintFor(io.stdout);
  const nowMs = wallMs();
  const ago = (ms: number | null): string =>
    ms === null ? paint('gray', 'never') : `${roughSpan(nowMs - ms)} ago`;
  const names = rows.map((row) => [
    row.name,
    row.type,
    row.pending ? paint('yellow', `${row.address} (update waits)`) : row.address,
    ago(row.lastSeen),
    ago(row.lastChange),
    row.skewMs === null ? '' : `${row.skewMs >= 0 ? '+' : '-'}${roughSpan(Math.abs(row.skewMs))}`,
    row.keyId,
  ]);
  const refused = refusals.map(({ reason, count, lastMs }) => [reason, String(count), ago(lastMs)]);
  return [
    table(['NAME', 'TYPE', 'ADDRESS', 'SEEN', 'CHANGED', 'SKEW', 'KEY'], names, paint),
    refused.length === 0 ? '' : `\n${table(['REFUSED', 'COUNT', 'LAST'], refused, paint)}`,
  ].join('');
}
