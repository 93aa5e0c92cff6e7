import { join } from 'node:path';
import type { Config } from '#config/schema.ts';
import { parseImageReference } from '#oci/reference.ts';
import { generationOf } from '#pool/tenants/tenant-header.ts';
import type { TenantPlace } from '#pool/tenants/tenant-places.ts';
import { allowsRegistry } from '#pool/tenants/tenant-policy.ts';

/** Of a tenant's part of `worker.tenants.subnet`: 4,096 addresses, a quarter of them the default bridge's. */
const PART = 20;
const BLOCK = 22;
/** Networks without a subnet of their own have 62 addresses. */
const NETWORK = 26;

/** How many tenants the subnet has parts for. */
export function tenantRoom({ worker }: Config): number {
  return 2 ** Math.max(0, PART - Number(worker.tenants.subnet.split('/')[1]));
}

/** The settings of a tenant's engine on a worker: folders, a bridge, subnets and a build cache of its own. */
export function tenantConfig(config: Config, place: TenantPlace): Config {
  const { name, number, policy } = place;
  const { worker } = config;
  const blocks = [0, 1, 2, 3].map((block) => subnetOf(worker.tenants.subnet, number - 1, block));
  const { cacheRepository } = worker.build;
  const caches =
    cacheRepository !== null && allowsRegistry(policy, parseImageReference(cacheRepository).domain);
  return {
    ...config,
    dataDir: join(config.dataDir, 'tenants', name),
    // Short: sockets below it may have names of 107 bytes.
    runDir: join(config.runDir, 't', String(number)),
    worker: {
      ...worker,
      pool: { ...worker.pool, join: null },
      network: {
        defaultBridge: {
          name: `${worker.network.defaultBridge.name.slice(0, 11)}t${number}`,
          subnet: blocks[0]!,
        },
        addressPools: blocks.slice(1).map((base) => ({ base, size: NETWORK })),
      },
      build: {
        ...worker.build,
        entitlements: [],
        refusedNetworks: [...worker.build.refusedNetworks, ...worker.tenants.refusedNetworks],
        cacheRepository: caches ? `${cacheRepository}/${repositoryPart(place)}` : null,
      },
    },
  };
}

/**
 * Names of tenants may have what names of repositories may not: two dots in a row, hyphens after dots. Who gets a name after
 * somebody else has a repository below it, which no other tenant's name comes to.
 */
function repositoryPart(place: TenantPlace): string {
  const isName = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/.test(place.name);
  const part = isName ? place.name : `x${Buffer.from(place.name).toString('hex')}`;
  const generation = generationOf(place);
  return generation === 0 ? part : `${part}/${generation}`;
}

function subnetOf(base: string, part: number, block: number): string {
  const start = base
    .split('/')[0]!
    .split('.')
    .reduce((sum, octet) => sum * 256 + Number(octet), 0);
  const address = start + part * 2 ** (32 - PART) + block * 2 ** (32 - BLOCK);
  return `${[24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.')}/${BLOCK}`;
}
