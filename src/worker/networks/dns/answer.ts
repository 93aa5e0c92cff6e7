import { isIPv6 } from 'node:net';
import { type Answer, type Question, RCODE, RECORD, reverseAddress } from './dns-message.ts';
import type { Zone } from './zone.ts';

/** Short, for containers come back with other addresses. */
const TTL_SECONDS = 5;

/** What a zone itself says to a question; undefined when that is for others to answer. */
export function answerFrom(zone: Zone, { name, type }: Question): Answer | undefined {
  if (type === RECORD.PTR) {
    const address = reverseAddress(name);
    const owner = address && zone.reverse(address);
    return owner ? { rcode: RCODE.NOERROR, values: [owner], ttl: TTL_SECONDS } : undefined;
  }
  const addresses = zone.lookup(name);
  if (addresses) {
    const wanted = addresses.filter((address) => type === (isIPv6(address) ? RECORD.AAAA : RECORD.A));
    return { rcode: RCODE.NOERROR, values: rotated(wanted), ttl: TTL_SECONDS };
  }
  // No server outside knows names of one label; asking them makes waiting for a container's start slow.
  return name.includes('.') || name === '' ? undefined : { rcode: RCODE.NXDOMAIN };
}

/** So that clients that take the first spread over all. */
function rotated(values: readonly string[]): string[] {
  const start = Math.floor(Math.random() * values.length);
  return [...values.slice(start), ...values.slice(0, start)];
}
