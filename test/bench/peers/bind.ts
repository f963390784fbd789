// BIND as a benchmark peer: named in the foreground, updated by nsupdate. Durability is named's default:
// for each update it appends the difference to the zone's journal and calls fsync, rewrites the journal's
// header and calls fsync again, and only then replies. The zone file itself is rewritten up to 15 minutes
// later, so not in here.
import { keyName, measure, type PeerResult, type Setup, zone } from './updates.ts';

export async function measureBind(): Promise<PeerResult> {
  return measure({
    name: 'BIND',
    server: 'named',
    client: 'nsupdate',
    querier: 'dig',
    versionArgs: ['-v'],
    missing: 'bind9 is not installed (apt-get install bind9 bind9-dnsutils)',
    config,
    clientKey: keyStatement,
    // -L is for what comes before the config's own logging takes effect: else it would go to syslog.
    serverArgs: (configFile, logFile) => ['-f', '-c', configFile, '-L', logFile],
  });
}

function keyStatement(secret: string): string {
  return `key "${keyName}" { algorithm hmac-sha256; secret "${secret}"; };\n`;
}

function config({ folder, port, zoneFile, secret }: Setup): string {
  return `
${keyStatement(secret)}
controls { };
# Named notes every update at level info; that is spared it.
logging {
  channel complaints { stderr; severity warning; };
  category default { complaints; };
};
options {
  directory "${folder}";
  pid-file none;
  lock-file none;
  session-keyfile none;
  listen-on port ${port} { 127.0.0.1; };
  listen-on-v6 { none; };
  recursion no;
  dnssec-validation no;
  notify no;
  allow-transfer { none; };
};
zone "${zone}" {
  type primary;
  file "${zoneFile}";
  allow-update { key "${keyName}"; };
};
`;
}
