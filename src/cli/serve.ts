import type { Config } from '#config/schema.ts';
import { messageOf } from '#errors/errors.ts';
import { type Arguments, optionFlags } from './arguments.ts';
import { banner, summary } from './banner.ts';
import { InstanceLock } from './instance-lock.ts';
import { renderLogLine, wrapLogLine } from './log-line.ts';
import { Refusal } from './refusal.ts';
import type { RoleName } from './role.ts';
import { onStopRequest } from './stop-requests.ts';
import { SupervisedRole } from './supervised-role.ts';

/** Runs every role that this user may run, each as its own process, until it is asked to stop. */
export async function serve(config: Config, options: Arguments): Promise<number> {
  using _lock = await InstanceLock.acquire(config.dataDir);
  const write = config.log.format === 'json' ? wrapLogLine : renderLogLine;
  const say = (name: string, line: string) => process.stdout.write(write(line, name));

  const roles = rolesFor(process.getuid?.()).map(
    (name) =>
      new SupervisedRole({
        name,
        flags: optionFlags(options),
        onLine: (line) => say(name, line),
        onNote: (note) => say('serve', `the ${name} ${note}`),
        stopTimeout: config.stopTimeout + 2_000,
      }),
  );

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
    for (const role of roles) role.start();
    const serving = Promise.all(
      roles.map(async (role) => ({ name: role.name, addresses: await role.ready })),
    );
    const ready = await Promise.race([serving, stopped.promise]);
    if (ready && config.log.format === 'json') say('serve', summary(ready));
    else if (ready) process.stdout.write(banner(config, ready, process.uptime()));
    await stopped.promise;
    return 0;
  } catch (error) {
    throw new Refusal(messageOf(error), { cause: error });
  } finally {
    await Promise.all(roles.map((role) => role.stop()));
  }
}

function rolesFor(uid: number | undefined): RoleName[] {
  return uid === 0 ? ['registry', 'worker'] : ['registry'];
}
