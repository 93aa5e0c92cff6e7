import type { Config } from '#config/schema.ts';
import type { RoleName } from './process/role.ts';
import { version } from './version.ts';

export interface ServingRole {
  readonly name: RoleName;
  readonly title: string;
  readonly addresses: readonly string[];
}

/** What the operator sees once everything serves. */
export function banner(config: Config, roles: readonly ServingRole[], seconds: number): string {
  const rows = roles.map(({ title, addresses }) => `  ${title.padEnd(9)} ${addresses.join(', ')}`);
  const worker = roles.find(({ name }) => name === 'gateway') ?? roles.find(({ name }) => name === 'worker');
  const registry = config.registry.listen;
  return [
    '',
    `Slipway ${version} serves, ${seconds.toFixed(1)} s after it was started.`,
    ...rows,
    `  data      ${config.dataDir}`,
    '',
    ...(worker ? tryWorker(worker.addresses[0]!, registry) : withoutWorker(registry)),
    '',
    '',
  ].join('\n');
}

function tryWorker(address: string, registry: string): string[] {
  return [
    'To try it, in a folder with a Dockerfile:',
    `  export DOCKER_HOST=${address}`,
    `  docker build -t ${registry}/hello . && docker push ${registry}/hello`,
    `  docker run --rm ${registry}/hello`,
  ];
}

function withoutWorker(registry: string): string[] {
  return [
    'Only the registry: the worker, which builds and runs containers, needs root. To try it:',
    `  docker push ${registry}/hello`,
  ];
}

/** The same for a log collector. */
export function summary(roles: readonly ServingRole[]): string {
  return `Slipway ${version} serves ${roles.flatMap(({ addresses }) => addresses).join(', ')}`;
}
