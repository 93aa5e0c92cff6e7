import { z } from 'zod';
import { messageOf } from '#errors/errors.ts';
import type { Containers } from '../containers/containers.ts';
import type { Exec } from '../exec/exec.ts';
import { readJson } from './body.ts';
import { containerOf, containerPath } from './container-path.ts';
import { converse, sizeQuery } from './containers-attach-routes.ts';
import { flag, text, texts, words } from './lenient-schema.ts';
import type { EngineRouter } from './router.ts';

const consoleSize = z
  .tuple([z.number(), z.number()])
  .nullish()
  .transform((value) => (value ? { height: value[0], width: value[1] } : undefined));

const createShape = z.object({
  AttachStdin: flag,
  AttachStdout: flag,
  AttachStderr: flag,
  DetachKeys: text,
  Tty: flag,
  Env: texts,
  Cmd: words,
  Privileged: flag,
  User: text,
  WorkingDir: text,
  ConsoleSize: consoleSize,
});
const startShape = z.object({ Detach: flag, Tty: flag, ConsoleSize: consoleSize });

/** `docker exec`. */
export function execRoutes(
  router: EngineRouter,
  { store, execs }: Pick<Containers, 'store' | 'execs'>,
): void {
  router.post(containerPath('exec'), async (ctx) => {
    const container = containerOf(ctx, store);
    const body = await readJson(ctx, createShape);
    const exec = execs.create(container, {
      attachStdin: body.AttachStdin,
      attachStdout: body.AttachStdout,
      attachStderr: body.AttachStderr,
      terminal: body.Tty,
      detachKeys: body.DetachKeys,
      env: body.Env ?? [],
      command: body.Cmd ?? [],
      privileged: body.Privileged,
      user: body.User,
      workingDir: body.WorkingDir,
      ...(body.ConsoleSize && { consoleSize: body.ConsoleSize }),
    });
    ctx.status = 201;
    ctx.body = { Id: exec.id };
  });

  router.post('/exec/:id/start', async (ctx) => {
    const exec = execs.get(ctx.params.id!);
    const { Detach: detach, Tty: terminal, ConsoleSize } = await readJson(ctx, startShape);
    const how = { detach, ...(ConsoleSize && { consoleSize: ConsoleSize }) };
    execs.requireStartable(exec);
    if (detach) {
      await execs.start(exec, how);
      ctx.body = '';
      return;
    }
    // Whether there are frames goes by what starts it, whatever it was made with.
    await converse(ctx, terminal, async (client) => {
      try {
        await execs.start(exec, how, client);
      } catch (error) {
        // The reply has begun: the reason goes where its output would.
        await client.output('stdout', Buffer.from(`${messageOf(error)}\r\n`));
      }
    });
  });

  router.post('/exec/:id/resize', async (ctx) => {
    await execs.resize(execs.get(ctx.params.id!), sizeQuery(ctx));
    ctx.body = '';
  });

  router.get('/exec/:id/json', (ctx) => {
    ctx.body = execShape(execs.get(ctx.params.id!));
  });
}

function execShape({ id, containerId, config, state, exitCode, pid }: Exec): object {
  const [entrypoint, ...args] = config.command;
  return {
    ID: id,
    Running: state === 'running',
    ExitCode: exitCode ?? null,
    ProcessConfig: {
      tty: config.terminal,
      entrypoint,
      arguments: args,
      privileged: config.privileged,
      ...(config.user && { user: config.user }),
    },
    OpenStdin: config.attachStdin,
    OpenStderr: config.attachStderr,
    OpenStdout: config.attachStdout,
    CanRemove: false,
    ContainerID: containerId,
    DetachKeys: config.detachKeys,
    Pid: pid,
  };
}
