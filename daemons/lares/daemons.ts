// The daemons of the suite: the one place that names them. Adding one is a line here, its folder, its units.
import type { DaemonCommands } from '../../lib/command.ts';

export const daemons: Record<string, () => Promise<DaemonCommands>> = {
  ddns: async () => (await import('../ddns/commands.ts')).commands,
  traffic: async () => (await import('../traffic/commands.ts')).commands,
};
