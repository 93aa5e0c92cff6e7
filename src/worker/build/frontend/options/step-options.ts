import { isIP } from 'node:net';
import { invalid } from '#errors/errors.ts';
import { csvFields } from '../../dockerfile/csv.ts';

const ULIMITS: ReadonlySet<string> = new Set([
  ...['core', 'cpu', 'data', 'fsize', 'locks', 'memlock', 'msgqueue', 'nice', 'nofile', 'nproc', 'rss'],
  ...['rtprio', 'rttime', 'sigpending', 'stack'],
]);

/** `host=ip,…`; the address may be `host-gateway`. Throws `invalid`. */
export function readExtraHosts(text: string): { host: string; ip: string }[] {
  if (text === '') return [];
  return csvFields(text).map((field) => {
    const equals = field.indexOf('=');
    if (equals < 0) throw invalid(`failed to parse additional hosts: invalid key-value pair ${field}`);
    const host = field.slice(0, equals).toLowerCase();
    const ip = field.slice(equals + 1).toLowerCase();
    if (ip !== 'host-gateway' && isIP(ip) === 0)
      throw invalid(`failed to parse additional hosts: failed to parse IP ${ip}`);
    return { host, ip };
  });
}

/** Bytes; 0: not said. Throws `invalid`. */
export function readShmSize(text: string): number {
  if (text === '') return 0;
  if (!/^[+-]?\d{1,15}$/.test(text)) throw invalid(`failed to parse shm size: ${JSON.stringify(text)}`);
  return Number(text);
}

/** `name=soft[:hard],…`. Throws `invalid`. */
export function readUlimits(text: string): { name: string; soft: number; hard: number }[] {
  if (text === '') return [];
  return csvFields(text).map((field) => {
    const match = /^([a-z]+)=(-?\d{1,18})(?::(-?\d{1,18}))?$/.exec(field);
    if (!match) throw invalid(`failed to parse ulimit: invalid ulimit argument: ${field}`);
    const [, name = '', soft = '', hard = soft] = match;
    if (!ULIMITS.has(name)) throw invalid(`failed to parse ulimit: invalid ulimit type: ${name}`);
    if (Number(hard) !== -1 && (Number(soft) === -1 || Number(soft) > Number(hard))) {
      throw invalid(
        `failed to parse ulimit: ulimit soft limit must be less than or equal to hard limit: ${soft} > ${hard}`,
      );
    }
    return { name, soft: Number(soft), hard: Number(hard) };
  });
}
