import { join } from 'node:path';
import type { Config } from '#config/schema.ts';
import { TenantPlaces } from '#pool/tenants/tenant-places.ts';
import { rememberingFailures } from './failed-starts.ts';
import { tenantRoom } from './tenant-config.ts';
import { TenantEngine, type TenantEnginePorts } from './tenant-engine.ts';
import { TenantEngines } from './tenant-engines.ts';

/** Those of the tenants that this worker knows are there when it resolves. */
export async function openTenantEngines(
  ports: TenantEnginePorts,
  config: Config,
  closing: AsyncDisposableStack,
): Promise<TenantEngines> {
  const places = await TenantPlaces.open(join(config.dataDir, 'tenants', 'tenants.json'), tenantRoom(config));
  const engines = closing.use(
    new TenantEngines({
      start: rememberingFailures((place) => TenantEngine.start(ports, config, place)),
      places,
      log: ports.log,
    }),
  );
  await engines.begin();
  return engines;
}
