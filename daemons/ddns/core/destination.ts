// `host[:port]` as the old client took it, several separated by slashes. An IPv6 address belongs in brackets; without
// them its last decimal group after a whole address is the port, as it always was (`::1:5533`).
import ipaddr from 'ipaddr.js';
import { LaresError } from '../../../lib/errors.ts';

export const defaultPort = 5533;

export interface HostPort {
  host: string;
  port: number;
}

/**
 * `fallbackPort` is what a missing port means: 5533 for destinations, 0 (any) for sources. @throws LaresError
 * E_DDNS_HOST
 */
export function parseHosts(text: string, fallbackPort: number): HostPort[] {
  return text.split('/').map((part) => parseHost(part, fallbackPort));
}

function parseHost(text: string, fallbackPort: number): HostPort {
  const bracketed = /^\[([^\]]+)\](?::(\d+))?$/.exec(text);
  const at = text.lastIndexOf(':');
  const head = text.slice(0, at);
  const tail = text.slice(at + 1);
  const plain =
    at === -1 || (ipaddr.IPv6.isValid(text) && !(/^\d+$/.test(tail) && ipaddr.IPv6.isValid(head)));
  const host = bracketed?.[1] ?? (plain ? text : head);
  const portText = bracketed === null ? (plain ? undefined : tail) : bracketed[2];
  const port =
    portText === undefined ? fallbackPort : /^\d{1,5}$/.test(portText) ? Number(portText) : Number.NaN;
  // The sign that ends a key is in no name: one in the wrong place must not go to a name server.
  if (host === '' || /[\s[\]=]/.test(host) || !(port <= 65_535)) {
    throw new LaresError(
      'E_DDNS_HOST',
      `'${text}' is no host; write name, name:port, 192.0.2.1:port or [2001:db8::1]:port`,
    );
  }
  return { host, port };
}
