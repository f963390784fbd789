// Knot as a benchmark peer: knotd in the foreground, updated by knsupdate. Durability is knotd's default,
// journal-db-mode robust: for each update it commits to the LMDB journal, fdatasync for the pages and
// then a synchronous write of the page that makes them count, and only then replies. Most of its wall
// time is a 10 ms wait of its RCU library between two updates of a zone, which takes no CPU.
import { keyName, measure, type PeerResult, type Setup, zone } from './updates.ts';

export async function measureKnot(): Promise<PeerResult> {
  return measure({
    name: 'Knot',
    server: 'knotd',
    client: 'knsupdate',
    querier: 'kdig',
    versionArgs: ['-V'],
    missing: 'knot is not installed (apt-get install knot knot-dnsutils)',
    config,
    clientKey: (secret) => `hmac-sha256:${keyName}:${secret}\n`,
    serverArgs: (configFile) => ['-c', configFile],
  });
}

function config({ folder, port, zoneFile, secret }: Setup): string {
  return `
server:
  listen: 127.0.0.1@${port}
  rundir: ${folder}
control:
  listen: ${folder}/control
database:
  storage: ${folder}
log:
  - target: stderr
    any: warning
key:
  - id: ${keyName}
    algorithm: hmac-sha256
    secret: ${secret}
acl:
  - id: update
    key: ${keyName}
    action: update
zone:
  - domain: ${zone}
    file: ${zoneFile}
    acl: update
    # By default knotd also rewrites the whole zone file after each update, which costs it several times as
    # much as the update. Its manual advises against that for such a zone, and the journal is durable without.
    zonefile-sync: -1
`;
}
