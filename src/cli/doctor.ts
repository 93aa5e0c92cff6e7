import type { Config } from '#config/schema.ts';
import { LIBDEFLATE_PACKAGE } from '#worker/images/gzip/libdeflate.ts';
import { selectGzip } from '#worker/images/gzip/select-gzip.ts';
import type { HostFacts } from '#worker/runtime/host/host-facts.ts';
import { type MissingPart, missingParts } from '#worker/runtime/host/missing-parts.ts';
import { probeHost } from '#worker/runtime/host/probe-host.ts';
import { account } from './process/accounts.ts';
import { version } from './version.ts';

/** Prints what this host has and lacks for each role; 1 when something that a role needs is missing. */
export async function doctor(config: Config): Promise<number> {
  const host = await probeHost();
  const missing = [...missingParts(host), ...missingGzip(config), ...missingAccount(config)];
  process.stdout.write([...hostLines(host), '', ...missingLines(missing), ''].join('\n'));
  return missing.some(({ required }) => required) ? 1 : 0;
}

function hostLines(host: HostFacts): string[] {
  const tools = Object.entries(host.tools).filter(([, tool]) => tool.path !== undefined);
  return [
    `slipway   ${version}`,
    `node      ${process.versions.node}`,
    `kernel    ${host.kernel.release} (${host.architecture})`,
    ...tools.map(([name, tool]) => `${name.padEnd(9)} ${tool.path}`),
  ];
}

function missingLines(missing: readonly MissingPart[]): string[] {
  if (missing.length === 0) return ['Nothing is missing: this host can run the registry and the worker.'];
  return missing.map(({ name, purpose, required, remedy }) => {
    return `${required ? 'missing ' : 'optional'}  ${name}: ${purpose}. To get it: ${remedy}`;
  });
}

function missingGzip({ worker: { gzip } }: Config): MissingPart[] {
  const purpose = 'compresses layers in half the time that zlib takes';
  if (gzip === 'zlib' || selectGzip().library === 'libdeflate') return [];
  const remedy = `apt-get install ${LIBDEFLATE_PACKAGE}`;
  return [{ name: 'libdeflate', purpose, required: gzip === 'libdeflate', remedy }];
}

/** Only root can become someone else, so only root needs the account. */
function missingAccount(config: Config): MissingPart[] {
  const { user } = config.registry;
  if (user === '' || process.getuid?.() !== 0 || account(user)) return [];
  const remedy = `useradd --system --user-group --no-create-home --shell /usr/sbin/nologin ${user}`;
  return [{ name: `user '${user}'`, purpose: 'runs the registry without root', required: true, remedy }];
}
