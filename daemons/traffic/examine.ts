// What `lares doctor` asks about traffic: the kernel's switches, whether anything is tracked at all, and what the
// daemon itself has to complain of. Looks only; every finding that is not well says what to type.
import { createSocket } from 'node:dgram';
import { existsSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { Finding } from '../../lib/command.ts';
import { configFiles, loadConfig } from '../../lib/config.ts';
import { ask } from '../../lib/control.ts';
import { explain } from '../../lib/errors.ts';
import { examineConfig, examineControl } from '../../lib/examine.ts';
import { plural } from '../../lib/table.ts';
import { config } from './config.ts';
import type { Report } from './report.ts';
import { controlSocket } from './source.ts';
import { sysctl } from './sysctl.ts';

const enableIt = 'systemctl enable --now lares-traffic.socket';
const nearlyFull = 0.9;
/** The least that makes the kernel track what comes. */
const trackingRule =
  'add table inet lares; add chain inet lares track { type filter hook prerouting priority -150; }; ' +
  'add rule inet lares track ct state new';

export async function examine(hasUnits: boolean): Promise<Finding[]> {
  const ofConfig = examineConfig(loadConfig(config, configFiles('traffic')));
  const isUsed = existsSync(controlSocket);
  if (hasUnits && !isUsed)
    return [...ofConfig, { health: 'note', subject: 'accounting', text: 'off', advice: enableIt }];
  const ofKernel = [...examineSwitches(hasUnits), ...(await examineTracking())];
  if (!hasUnits) return [...ofConfig, ...ofKernel.map(asNote)];
  return [...ofConfig, ...ofKernel, ...examineControl('traffic'), ...(await examineDaemon())];
}

/** In a terminal it is for a person to say whether it matters. */
function asNote(finding: Finding): Finding {
  return finding.health === 'bad' ? { ...finding, health: 'note' } : finding;
}

function examineSwitches(hasUnits: boolean): Finding[] {
  const subject = 'conntrack';
  const acct = sysctl('acct');
  if (acct === undefined)
    return [
      {
        health: 'bad',
        subject,
        text: 'connection tracking is not loaded, nothing can be counted',
        advice: hasUnits ? enableIt : 'modprobe nf_conntrack_netlink',
      },
    ];
  const set = (name: string): string =>
    hasUnits
      ? 'systemctl restart lares-traffic-sysctl.service'
      : `sysctl -w net.netfilter.nf_conntrack_${name}=1`;
  const findings: Finding[] = [];
  if (acct !== 1)
    findings.push({
      health: 'bad',
      subject,
      text: 'nf_conntrack_acct is 0: flows that are born now are never counted',
      advice: set('acct'),
    });
  const events = sysctl('events');
  if (events === 0)
    findings.push({
      health: 'bad',
      subject,
      text: 'nf_conntrack_events is 0: no end is told',
      advice: set('events'),
    });
  else if (events === 2)
    findings.push({
      health: 'note',
      subject,
      text: 'nf_conntrack_events is 2: of flows that are born while nobody listens no end is told',
      advice: set('events'),
    });
  if (sysctl('timestamp') === 0)
    findings.push({
      health: 'note',
      subject,
      text: 'nf_conntrack_timestamp is 0: bytes of an ended flow fall into the interval of its end',
      advice: set('timestamp'),
    });
  return findings.length > 0
    ? findings
    : [{ health: 'ok', subject, text: 'accounting, events and times are switched on' }];
}

/** Flows exist only where a rule of the firewall, or address translation, asks for connection tracking. */
async function examineTracking(): Promise<Finding[]> {
  const subject = 'tracking';
  const count = await countWithProbe();
  const max = sysctl('max') ?? 0;
  if (count === undefined) return [];
  if (count === 0)
    return [
      {
        health: 'bad',
        subject,
        text: 'no flow is tracked: no rule asks for it',
        advice: `nft '${trackingRule}'`,
      },
    ];
  if (count >= max * nearlyFull)
    return [
      {
        health: 'bad',
        subject,
        text: `${count} of at most ${max} flows: the kernel drops what is beyond`,
        advice: 'sysctl -w net.netfilter.nf_conntrack_max=…',
      },
    ];
  return [{ health: 'ok', subject, text: `${plural(count, 'flow')} of at most ${max}` }];
}

/** Where nothing is tracked, a datagram to ourselves would be. */
async function countWithProbe(): Promise<number | undefined> {
  const count = sysctl('count');
  if (count !== 0) return count;
  const socket = createSocket('udp4');
  const sent = Promise.withResolvers<undefined>();
  // The discard port: whether somebody listens makes no difference.
  socket.on('error', () => sent.resolve(undefined)).send('', 9, '127.0.0.1', () => sent.resolve(undefined));
  await sent.promise;
  await pause(20);
  socket.close();
  return sysctl('count');
}

async function examineDaemon(): Promise<Finding[]> {
  if (!existsSync(controlSocket)) return [];
  const subject = 'accounting';
  try {
    return findingsOf(await ask(controlSocket, 'Status'));
  } catch (error) {
    return [{ health: 'note', subject, text: explain(error), advice: 'sudo lares doctor' }];
  }
}

/** What the daemon says of itself, judged. */
export function findingsOf(report: Partial<Report> & { status?: string; degraded?: boolean }): Finding[] {
  const subject = 'accounting';
  const { drops = 0, lostTail, uncounted = 0, offloaded = 0, dumpTrouble, stateTrouble } = report;
  const findings: Finding[] = [];
  const journal = 'journalctl -t lares-traffic -x';
  for (const trouble of [dumpTrouble, stateTrouble])
    if (typeof trouble === 'string')
      findings.push({ health: 'bad', subject, text: trouble, advice: journal });
  if (report.degraded === true)
    findings.push({ health: 'bad', subject, text: report.status ?? 'degraded', advice: journal });
  if (uncounted > 0)
    findings.push({
      health: 'note',
      subject,
      text: `${plural(uncounted, 'living flow')} without counters, born before nf_conntrack_acct was 1`,
      advice: 'conntrack -D …, or wait for their end',
    });
  if (drops > 0)
    findings.push({
      health: 'note',
      subject,
      text: `${plural(drops, 'event')} dropped, ${plural(lostTail?.flows ?? 0, 'tail')} lost`,
      advice: 'a larger ReceiveBuffer= in lares-traffic.socket, or Reliable=yes in traffic.conf',
    });
  if (offloaded > 0)
    findings.push({
      health: 'note',
      subject,
      text: `${plural(offloaded, 'flow')} offloaded: counters may stand still; see the counter of nft's flowtable`,
    });
  return findings.length > 0 ? findings : [{ health: 'ok', subject, text: report.status ?? 'works' }];
}
