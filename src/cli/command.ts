import { ConfigError } from '#config/config-error.ts';
import type { Config } from '#config/schema.ts';
import { type Arguments, parseArguments, splitCommand, usage } from './arguments.ts';
import type { Command as AdminCommand, ClientCommand, CommandGroup, GroupShape } from './commands/command.ts';
import { Refusal } from './refusal.ts';

type Command = (options: Arguments) => Promise<number>;

/** Loaded when asked for: `slipway version` need not read the registry's code. */
const commands: Readonly<Record<string, Command>> = {
  async serve(options) {
    const { serve } = await import('./serve.ts');
    return serve(await settings(options), options);
  },
  async registry(options) {
    const { runRole } = await import('./process/run-role.ts');
    return runRole('registry', await settings(options));
  },
  async gateway(options) {
    const { runRole } = await import('./process/run-role.ts');
    return runRole('gateway', await settings(options));
  },
  async worker(options) {
    const { runRole } = await import('./process/run-role.ts');
    return runRole('worker', await settings(options));
  },
  async doctor(options) {
    const { doctor } = await import('./doctor.ts');
    return doctor(await settings(options));
  },
  async version() {
    const { version } = await import('./version.ts');
    process.stdout.write(`slipway ${version} (node ${process.versions.node})\n`);
    return 0;
  },
  async help() {
    process.stdout.write(usage);
    return 0;
  },
};

/** Commands on the registry's data, with options of their own. */
const adminCommands: Readonly<Record<string, () => Promise<AdminCommand | CommandGroup>>> = {
  audit: async () => (await import('./commands/audit.ts')).audit,
  fsck: async () => (await import('./commands/fsck.ts')).fsck,
  gc: async () => (await import('./commands/gc.ts')).gc,
  immutable: async () => (await import('./commands/immutable.ts')).immutable,
  quota: async () => (await import('./commands/quota.ts')).quota,
  retention: async () => (await import('./commands/retention.ts')).retention,
  policy: async () => (await import('./commands/policy.ts')).policy,
  robot: async () => (await import('./commands/robot.ts')).robot,
  token: async () => (await import('./commands/token.ts')).token,
  user: async () => (await import('./commands/user.ts')).user,
  migrate: async () => (await import('./commands/migrate.ts')).migrate,
};

/** Commands on the pool's data, which are not the registry's. */
const poolCommands: typeof adminCommands = {
  pool: async () => (await import('./commands/pool.ts')).pool,
  // `drain` and `resume`; the worker itself is a role.
  worker: async () => (await import('./commands/pool.ts')).workerCommands,
};

/** Commands that ask a worker for something, with options of their own. */
const clientCommands: Readonly<Record<string, () => Promise<ClientCommand | GroupShape<ClientCommand>>>> = {
  build: async () => (await import('./commands/build.ts')).build,
  builds: async () => (await import('./commands/builds.ts')).builds,
  job: async () => (await import('./commands/job.ts')).job,
  trigger: async () => (await import('./commands/trigger.ts')).trigger,
  hook: async () => (await import('./commands/hook.ts')).hook,
};

/** Runs a command and ends the process with its exit code: 2 for what the caller has to mend, 1 for the rest. */
export async function runCommand(argv: readonly string[]): Promise<never> {
  try {
    const [name = '', rest] = splitCommand(argv);
    if (Object.hasOwn(adminCommands, name)) process.exit(await administer(name, rest));
    if (name === 'pool') process.exit(await administerPool(name, rest));
    if (name === 'worker' && ['drain', 'resume'].includes(rest[0] ?? ''))
      process.exit(await administerPool(name, rest));
    if (Object.hasOwn(clientCommands, name)) process.exit(await ask(name, rest));
    const options = parseArguments(argv);
    const command = Object.hasOwn(commands, options.command) ? commands[options.command] : undefined;
    if (!command) throw new Refusal(`unknown command '${options.command}'\n\n${usage}`, { exitCode: 2 });
    process.exit(await command(options));
  } catch (error) {
    if (error instanceof Refusal) fail(error.message, error.exitCode);
    if (error instanceof ConfigError) fail(error.message, 2);
    throw error;
  }
}

async function administer(name: string, argv: readonly string[]): Promise<number> {
  const { runAdminCommand } = await import('./commands/run-command.ts');
  return await runAdminCommand(name, await adminCommands[name]!(), argv);
}

async function administerPool(name: string, argv: readonly string[]): Promise<number> {
  const { runAdminCommand } = await import('./commands/run-command.ts');
  return await runAdminCommand(name, await poolCommands[name]!(), argv, { enter: false });
}

async function ask(name: string, argv: readonly string[]): Promise<number> {
  const { runClientCommand } = await import('./commands/run-client-command.ts');
  return await runClientCommand(name, await clientCommands[name]!(), argv);
}

async function settings(options: Arguments): Promise<Config> {
  const { loadConfig } = await import('#config/load.ts');
  return loadConfig({ file: options.config, set: options.set });
}

function fail(message: string, exitCode: number): never {
  process.stderr.write(`slipway: ${message.trimEnd()}\n`);
  process.exit(exitCode);
}
