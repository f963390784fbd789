// Goal: `lares doctor` finds what keeps the kernel from counting, and says what to type.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Finding } from '../../lib/command.ts';
import { Accounting } from '../support/accounting.ts';
import { lares } from '../support/lares.ts';
import { lacksTracking } from '../support/netns.ts';

const skip = lacksTracking();

async function findings(accounting: Accounting): Promise<Finding[]> {
  const { out } = await lares(['doctor', '--json'], accounting.network.server);
  return (JSON.parse(out) as Record<string, Finding[]>)['traffic'] ?? [];
}

test('each switch that is off is found, and so is a firewall that tracks nothing', { skip }, async (t) => {
  const accounting = new Accounting(t);
  const texts = async (): Promise<string> =>
    (await findings(accounting))
      .map(({ health, text, advice = '' }) => `${health} ${text} → ${advice}`)
      .join('\n');
  assert.match(await texts(), /^ok accounting, events and times are switched on/m);
  assert.match(await texts(), /^ok 1 flow of at most \d+/m);
  for (const [name, wanted] of [
    ['acct', /nf_conntrack_acct is 0: .* → sysctl -w net\.netfilter\.nf_conntrack_acct=1/],
    ['events', /nf_conntrack_events is 0: no end is told → sysctl -w/],
    ['timestamp', /nf_conntrack_timestamp is 0: .* → sysctl -w/],
  ] as const) {
    accounting.set(name, 0);
    assert.match(await texts(), wanted);
    accounting.set(name, 1);
  }
  accounting.set('events', 2);
  assert.match(await texts(), /^note nf_conntrack_events is 2/m);
  accounting.flush();
  accounting.inServer(['nft', 'delete', 'table', 'inet', 'lares']);
  const advice = /no flow is tracked: no rule asks for it → (.*)/.exec(await texts())?.[1] ?? '';
  // What it says to type mends it.
  accounting.inServer(['sh', '-c', advice]);
  assert.match(await texts(), /^ok 1 flow of at most/m);
});
