// Networks as a person writes them: CIDR, or an address alone. Pure.
import ipaddr from 'ipaddr.js';
import { LaresError } from './errors.ts';

/** Base and length in bits. An IPv4-mapped address is IPv4. */
export type Network = [ipaddr.IPv4 | ipaddr.IPv6, number];

/** A blank- or comma-separated list of CIDRs, bare addresses included. @throws LaresError E_NETWORK */
export function parseNetworks(text: string): Network[] {
  return text
    .split(/[\s,]+/)
    .filter((part) => part !== '')
    .map(parseNetwork);
}

/** @throws LaresError E_NETWORK */
export function parseNetwork(text: string): Network {
  const [base = '', bits, ...rest] = text.split('/');
  const isAddress = ipaddr.isValid(base) && (base.includes(':') || ipaddr.IPv4.isValidFourPartDecimal(base));
  const address = isAddress && !base.includes('%') ? ipaddr.process(base) : undefined;
  const width = address?.kind() === 'ipv4' ? 32 : 128;
  const length = bits === undefined ? width : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN;
  if (address === undefined || rest.length > 0 || !(length <= width)) {
    throw new LaresError(
      'E_NETWORK',
      `'${text}' is no network; write for example 192.168.0.0/16 or fd00::/8`,
    );
  }
  return [address, length];
}

/** Whether an address lies in a network. */
export function isInside(address: ipaddr.IPv4 | ipaddr.IPv6, [base, bits]: Network): boolean {
  return base.kind() === address.kind() && address.match([base, bits] as [never, number]);
}
