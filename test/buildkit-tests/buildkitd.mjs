import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

// What BuildKit's test framework starts as `buildkitd`: a Slipway worker that serves BuildKit's API where it is told to,
// with what its configuration file says that a worker has a setting for.

const { values } = parseArgs({
  strict: false,
  options: { config: { type: 'string' }, root: { type: 'string' }, addr: { type: 'string' } },
});
const root = String(values.root);
const toml = readFileSync(String(values.config), 'utf8');

/**
 * All strings of the lists of this name.
 * @param {string} name
 */
function listed(name) {
  const lists = toml.matchAll(new RegExp(`^\\s*${name}\\s*=\\s*\\[(.*)\\]`, 'gm'));
  return [...lists].flatMap(([, list = '']) => [...list.matchAll(/"([^"]*)"/g)].map(([, text]) => text));
}

const [, parallelism = 'null'] = /^\s*max-parallelism\s*=\s*(\d+)/m.exec(toml) ?? [];

// One of 256 blocks of addresses: several workers run at once.
const block = process.pid % 256;
const network = `172.${16 + (block >> 4)}`;
const third = (block & 15) * 16;
const settings = {
  DATA_DIR: join(root, 'data'),
  RUN_DIR: join(root, 'run'),
  WORKER_LISTEN: `unix://${join(root, 'docker.sock')}`,
  WORKER_BUILDKIT_LISTEN: JSON.stringify([values.addr]),
  WORKER_REGISTRY_MIRRORS: JSON.stringify(listed('mirrors').map((mirror) => `http://${mirror}`)),
  WORKER_BUILD_ENTITLEMENTS: JSON.stringify(listed('insecure-entitlements')),
  WORKER_BUILD_CACHE_REPOSITORY: 'null',
  WORKER_BUILD_PARALLELISM: parallelism,
  WORKER_NETWORK_DEFAULT_BRIDGE_NAME: `slipb${process.pid}`,
  WORKER_NETWORK_DEFAULT_BRIDGE_SUBNET: `${network}.${third}.0/24`,
  WORKER_NETWORK_ADDRESS_POOLS: `[{ base: ${network}.${third + 8}.0/21, size: 24 }]`,
};
for (const [name, value] of Object.entries(settings)) process.env[`SLIPWAY_${name}`] = value;
process.argv.splice(2, process.argv.length, 'worker');
await import('../../src/cli/main.mjs');
