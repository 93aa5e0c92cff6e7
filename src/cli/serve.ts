import type { Config } from '#config/schema.ts';
import { messageOf } from '#errors/errors.ts';
import { type Arguments, optionFlags } from './arguments.ts';
import { banner, summary } from './banner.ts';
import type { WorkerNamespaces } from './own-workers/namespaces.ts';
import { ownWorkers } from './own-workers/own-workers.ts';
import { InstanceLock } from './process/instance-lock.ts';
import { renderLogLine, wrapLogLine } from './process/log-line.ts';
import type { RoleName } from './process/role.ts';
import { onStopRequest } from './process/stop-requests.ts';
import { SupervisedRole, type SupervisedRoleOptions } from './process/supervised-role.ts';
import { Refusal } from './refusal.ts';

/** The whole pool stops with the gateway; workers in namespaces publish ports where nobody looks for them. */
const ofOwnGateway = ({ pool }: Config) => [
  ...['--set', 'gateway.drainTimeout=0s'],
  ...['--set', `gateway.publishPorts=${pool.namespaces !== null}`],
];

/** Runs every role that this user may run, each as its own process, until it is asked to stop. */
export async function serve(config: Config, options: Arguments): Promise<number> {
  using _lock = await InstanceLock.acquire(config.dataDir);
  const write = config.log.format === 'json' ? wrapLogLine : renderLogLine;
  const say = (name: string, line: string) => process.stdout.write(write(line, name));
  const flags = optionFlags(options);
  const roles: SupervisedRole[] = [];
  const begin = (role: Pick<SupervisedRoleOptions, 'name' | 'title' | 'env' | 'flags' | 'startWith'>) => {
    const title = role.title ?? role.name;
    const supervised = new SupervisedRole({
      ...role,
      onLine: (line) => say(title, line),
      onNote: (note) => say('serve', `the ${title} ${note}`),
      stopTimeout: config.stopTimeout + 2_000,
    });
    roles.push(supervised);
    supervised.start();
    return supervised;
  };

  let namespaces: WorkerNamespaces | undefined;
  const stopped = Promise.withResolvers<void>();
  onStopRequest({
    stop: () => stopped.resolve(),
    hurry: () => {
      for (const role of roles) role.kill();
    },
    reload: () => {
      for (const role of roles) role.reload();
    },
  });

  try {
    for (const name of rolesFor(process.getuid?.(), options.workers)) {
      begin({ name, flags: name === 'gateway' ? [...flags, ...ofOwnGateway(config)] : flags });
    }
    const first = await Promise.race([all(roles), stopped.promise]);
    if (first && options.workers !== undefined) {
      namespaces = await openNamespaces(config);
      for (const worker of await ownWorkers(config, options.workers, namespaces)) {
        begin({ ...worker, name: 'worker', flags: [...flags, ...worker.flags] });
      }
    }
    const ready = await Promise.race([all(roles), stopped.promise]);
    if (ready && config.log.format === 'json') say('serve', summary(ready));
    else if (ready) process.stdout.write(banner(config, ready, process.uptime()));
    await stopped.promise;
    return 0;
  } catch (error) {
    throw new Refusal(messageOf(error), { cause: error });
  } finally {
    await Promise.all(roles.map((role) => role.stop()));
    await namespaces?.[Symbol.asyncDispose]();
  }
}

/** Undefined where workers share this machine's network. */
async function openNamespaces(config: Config): Promise<WorkerNamespaces | undefined> {
  const { namespaces } = config.pool;
  if (namespaces === null) return undefined;
  return await (await import('./own-workers/namespaces.ts')).WorkerNamespaces.open(config, namespaces);
}

/** All that were begun, once they serve. */
function all(roles: readonly SupervisedRole[]) {
  return Promise.all(
    roles.map(async (role) => ({ name: role.name, title: role.title, addresses: await role.ready })),
  );
}

function rolesFor(uid: number | undefined, workers: number | undefined): RoleName[] {
  if (workers !== undefined && uid !== 0) throw new Refusal('--workers: workers need root');
  if (uid !== 0) return ['registry'];
  return workers === undefined ? ['registry', 'worker'] : ['registry', 'gateway'];
}
