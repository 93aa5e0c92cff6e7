import { readFile } from 'node:fs/promises';
import { parseResolvConf, type ResolvConf } from './resolv-conf.ts';

/** Written by systemd-resolved with the servers behind its own stub on 127.0.0.53. */
const BEHIND_SYSTEMD = '/run/systemd/resolve/resolv.conf';

/** The host's resolver settings as they are now. */
export async function readHostResolvConf(path = '/etc/resolv.conf'): Promise<ResolvConf> {
  const host = parseResolvConf(await readFile(path, 'utf8').catch(() => ''));
  const stub = host.nameservers.length === 1 && host.nameservers[0] === '127.0.0.53';
  if (!stub) return host;
  return parseResolvConf(await readFile(BEHIND_SYSTEMD, 'utf8').catch(() => ''));
}
