// The flags that every daemon takes, and its --help. Unknown ones are errors: a mistyped flag must not start a daemon.
import { parseArgs } from 'node:util';

export interface Flags {
  conf?: string;
  state?: string;
  listen: string[];
  json: boolean;
  /** Those of the daemon's own flags that were given. */
  switches: string[];
  action: 'run' | 'check' | 'show-config' | 'version' | 'help';
}

/**
 * `own`: flags of this daemon alone, without a value; `listens`: whether it has an address. @throws Error that says
 * which flag is wrong
 */
export function readFlags(args: string[], own: string[] = [], listens = true): Flags {
  const { values } = parseArgs({
    args,
    options: {
      ...Object.fromEntries(own.map((name) => [name, { type: 'boolean' as const }])),
      check: { type: 'boolean' },
      'show-config': { type: 'boolean' },
      version: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
      conf: { type: 'string' },
      state: { type: 'string' },
      listen: { type: 'string', multiple: true },
      json: { type: 'boolean' },
    },
  });
  const action = (['help', 'version', 'check', 'show-config'] as const).find((flag) => values[flag] === true);
  const { conf, state, listen = [], json = false } = values;
  if (listen.length > 0 && !listens) throw new Error('it has no address: --listen makes no sense');
  return {
    ...(conf === undefined ? {} : { conf }),
    ...(state === undefined ? {} : { state }),
    listen,
    json,
    switches: own.filter((name) => name in values),
    action: action ?? 'run',
  };
}

const listenHelp =
  '  --listen ADDR    listen here if no socket is passed: 5533, 192.0.2.1:5533, [::1]:5533; may be repeated\n';

export function helpFor({
  name,
  summary,
  switches = {},
  listens = true,
}: {
  name: string;
  summary: string;
  switches?: Record<string, string>;
  listens?: boolean;
}): string {
  const own = Object.entries(switches).map(([flag, help]) => `  ${`--${flag}`.padEnd(16)} ${help}\n`);
  return `lares-${name}: ${summary}

  --conf FILE      read this configuration file alone
  --state DIR      keep state here instead of /var/lib/lares/${name}
${listens ? listenHelp : ''}  --json           log as JSON lines on standard output
  --check          parse the configuration, say what is wrong, exit 0 or 6
  --show-config    print the effective configuration
  --version
${own.join('')}
SIGHUP reloads, SIGTERM and SIGINT stop. Exit codes: 0 ok, 1 runtime, 2 usage, 4 permission, 6 not configured.
`;
}
