import { z } from 'zod';
import { invalid } from '#errors/errors.ts';
import { LEAST_DISK } from '#worker/disk/least-disk.ts';

const limit = z.number().positive().nullable().default(null);

/**
 * What a tenant's containers and builds may be. What is not said is not allowed: a policy of nothing is that of somebody
 * whom nobody knows.
 */
export const tenantPolicy = z.strictObject({
  privileged: z.boolean().default(false).describe('Containers and execs that are root of the machine.'),
  hostBinds: z
    .array(z.string().regex(/^\/(?:[^/\0]+(?:\/[^/\0]+)*)?$/, 'expected an absolute path'))
    .max(100)
    .default([])
    .describe('Folders of the machine that may be mounted, with all that is below.'),
  hostNamespaces: z.boolean().default(false).describe('--network, --pid, --ipc, --uts, --userns host.'),
  capabilities: z
    .array(z.string().regex(/^(?:CAP_)?[A-Z_]+$/, 'expected a capability such as NET_ADMIN'))
    .max(64)
    .default([])
    .describe('What --cap-add may add; ALL for any.'),
  devices: z.boolean().default(false),
  unconfined: z.boolean().default(false).describe('--security-opt, --sysctl, and to choose a cgroup.'),
  ports: z
    .enum(['none', 'high', 'any'])
    .default('high')
    .describe('Which of the machine may be published: high are those from 1024 on.'),
  gatewayPorts: z
    .array(z.string().regex(/^[1-9]\d{0,4}(?:-[1-9]\d{0,4})?$/, 'expected a port, or 30000-32767'))
    .max(100)
    .default([])
    .describe('Which of those that are published are gateways’ as well, where gateways publish ports.'),
  subnets: z.boolean().default(false).describe('Networks of addresses that they choose themselves.'),
  registries: z
    .array(z.string().min(1).max(300))
    .max(100)
    .nullable()
    .default(null)
    .describe('What may be pulled from and pushed to: docker.io, *.example.com. null: any.'),
  memory: limit.describe('Bytes of a container, or a step of a build: at most, and where nothing is said.'),
  cpus: limit.describe('Cores of a container, or a step of a build: at most, and where nothing is said.'),
  pids: limit.describe('Processes of a container, or a step of a build: at most, and where nothing is said.'),
  worker: z
    .strictObject({
      memory: limit,
      cpus: limit,
      pids: limit,
      disk: z.int().min(LEAST_DISK, 'expected 256 MiB at least').nullable().default(null),
    })
    .prefault({})
    .describe(
      'What all containers and builds together may take of one worker; disk: all that they leave, too.',
    ),
  overlays: z.int().min(0).nullable().default(10).describe('How many overlay networks there may be.'),
  containers: limit.describe('How many containers there may be, in the pool, running or not.'),
});

export type TenantPolicy = z.infer<typeof tenantPolicy>;

/** Throws `invalid` for what is none. */
export function parseTenantPolicy(value: unknown): TenantPolicy {
  const read = tenantPolicy.safeParse(value);
  if (read.success) return read.data;
  const issue = read.error.issues[0];
  throw invalid(`policy: ${issue?.path.join('.') || 'it'}: ${issue?.message ?? 'invalid'}`);
}

/** Whether what is published at a port of workers is at gateways, too. */
export function allowsGatewayPort(
  { gatewayPorts }: Pick<TenantPolicy, 'gatewayPorts'>,
  port: number,
): boolean {
  return gatewayPorts.some((entry) => {
    const [first, last = first] = entry.split('-').map(Number);
    return port >= first! && port <= last!;
  });
}

/** Whether `docker.io`, `registry.example:5000` is one of the registries that a policy names. */
export function allowsRegistry({ registries }: Pick<TenantPolicy, 'registries'>, domain: string): boolean {
  if (registries === null) return true;
  const asked = domain.toLowerCase();
  return registries.some((entry) => {
    const pattern = entry.toLowerCase();
    return pattern.startsWith('*.') ? asked.endsWith(pattern.slice(1)) : asked === pattern;
  });
}
