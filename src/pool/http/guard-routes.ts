import { forbidden } from '#errors/errors.ts';
import { givenJson, readJson } from '#worker/http/body.ts';
import { containerPath } from '#worker/http/container-path.ts';
import { listQuery, stringQuery } from '#worker/http/query.ts';
import type { EngineContext, EngineRouter } from '#worker/http/router.ts';
import { checkContainer, checkUpdate, checkVolumeDriver } from '../tenants/check-container.ts';
import type { TenantPolicy } from '../tenants/tenant-policy.ts';

interface Guarded {
  /** As it is now. */
  readonly policy: () => TenantPolicy;
  readonly countContainers: () => number | Promise<number>;
}

type Body = Readonly<Record<string, unknown>>;

/** Options of networks that concern nothing but them. */
const NETWORK_OPTIONS = new Set([
'com.docker.network.bridge.enable_icc', 'com.docker.network.bridge.enable_ip_masquerade',
  'com.docker.network.driver.mtu', 'com.docker.network.container_iface_prefix', 'encrypted',
]); // biome-ignore format: one word after another

/**
 * Holds those who ask for a tenant to its policy, whoever has let them in. Before all other routes: what these pass on is
 * what the others read.
 */
export function guardRoutes(router: EngineRouter, { policy, countContainers }: Guarded): void {
  const checked =
    (check: (body: Body, ctx: EngineContext) => unknown) =>
    async (ctx: EngineContext, next: () => Promise<unknown>) => {
      const body = (await readJson(ctx)) ?? {};
      givenJson(ctx, (await check(body as Body, ctx)) ?? body);
      await next();
    };

  router.post(
    '/containers/create',
    checked(async (body) => {
      const { containers } = policy();
      if (containers !== null && (await countContainers()) >= containers) {
        throw forbidden(`your tenant's policy does not allow more than ${containers} containers`);
      }
      return checkContainer(body, policy());
    }),
  );
  router.post(
    containerPath('update'),
    checked((body) => checkUpdate(body, policy())),
  );
  router.post(
    containerPath('exec'),
    checked(({ Privileged }) => allow(policy().privileged || Privileged !== true, 'privileged execs')),
  );
  router.post(
    '/volumes/create',
    checked(({ DriverOpts }) => checkVolumeDriver(DriverOpts, policy())),
  );
  router.post(
    '/networks/create',
    checked((body) => checkNetwork(body, policy())),
  );

  router.post('/images/create', async (ctx, next) => {
    const source = stringQuery(ctx, 'fromSrc');
    allow(source === undefined || source === '' || source === '-', 'images from addresses');
    await next();
  });
  router.post('/build', async (ctx, next) => {
    const mode = stringQuery(ctx, 'networkmode') ?? '';
    allow(policy().hostNamespaces || mode !== 'host', 'the network of the machine');
    allow(policy().unconfined || !stringQuery(ctx, 'cgroupparent'), 'a cgroup of their choice');
    allow(
      listQuery(ctx, 'securityopt').every((each) => each === '' || each === '[]'),
      'security options',
    );
    await next();
  });
}

function checkNetwork(body: Body, { subnets, overlays }: TenantPolicy): void {
  const { Driver = '', Options, IPAM } = body as { Driver?: unknown; Options?: unknown; IPAM?: unknown };
  const drivers = ['', 'default', 'bridge', null, ...(overlays === 0 ? [] : ['overlay'])];
  allow(drivers.includes(Driver as string | null), `networks of the driver ${Driver}`);
  const option = Object.keys((Options ?? {}) as object).find((name) => !NETWORK_OPTIONS.has(name));
  allow(option === undefined, `the network option ${option}`);
  const config = (IPAM as { Config?: unknown } | null | undefined)?.Config;
  const chosen = Array.isArray(config) && config.some((each) => Object.keys(each ?? {}).length > 0);
  allow(subnets || !chosen, 'subnets of their choice');
}

function allow(is: boolean, what: string): void {
  if (!is) throw forbidden(`your tenant's policy does not allow ${what}`);
}
