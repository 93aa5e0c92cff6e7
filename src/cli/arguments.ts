import { parseArgs } from 'node:util';
import { messageOf } from '#errors/errors.ts';
import { Refusal } from './refusal.ts';

export const usage = `Usage: slipway COMMAND [OPTIONS]

A self-hosted image registry with a build and run worker for every Docker client.

Commands:
  serve      Run the registry and the worker, supervised; with --workers N a gateway and N workers
  registry   Run the registry alone
  worker     Run the worker alone (needs root); with --join as one of a pool's
  gateway    Run the Docker host that stands for all workers of a pool
  doctor     Say what this host lacks and how to get it
  version    Print the version

Commands that ask a worker (COMMAND --help says more):
  build      Build an image from a directory or a git repository
  builds     What was built, how long each step took and why, logs
  job        Builds and runs that are queued: ask for them, see what became of them
  trigger    What asks for jobs by itself: cron lines, images that change, pushes
  hook       Who is told of jobs by HTTP

Commands on the pool's data, whether or not a gateway runs:
  pool       Tokens that let workers join; workers
  worker drain|resume NAME  Whether a worker gets anything new

Commands on the registry's data, whether or not it runs (COMMAND --help says more):
  audit      Say what was changed or denied
  fsck       Compare the metadata with what is stored, and repair it
  gc         Delete what nothing needs any more
  immutable  Tags that stay what they are
  quota      How much namespaces may hold
  retention  Which tags and untagged manifests are kept
  policy     Who may do what, and whose word is trusted
  robot      Accounts for machines
  token      Access tokens, secrets of robots, signing keys
  user       People who may log in
  migrate    Bring the registry's database forward to this version

Options:
  --config FILE      Settings that differ from config/default.yaml (or SLIPWAY_CONFIG)
  --set KEY=VALUE    One setting, such as registry.listen=127.0.0.1:5001; repeatable
  --workers N        serve: so many workers (16 at most) behind a gateway, to try a pool on one machine
  --join URL         worker: the gateway, https://host:port or unix:///path (worker.pool.join)
  --token TOKEN      worker: from 'slipway pool token-create', needed once (worker.pool.token; better: --token-file)
  --token-file FILE  worker: a file that holds it (worker.pool.tokenFile)
  -h, --help         Print this
  -v, --version      Print the version
`;

/** On one machine: each gets a sixteenth of the subnets. */
export const MAX_WORKERS = 16;

export interface Arguments {
  readonly command: string;
  readonly config: string | undefined;
  readonly set: readonly string[];
  /** How many workers `serve` runs behind a gateway; undefined: one, without. */
  readonly workers?: number | undefined;
}

/** The command, and all the rest of the line, of which `--config` and `--set` may come before it. */
export function splitCommand(argv: readonly string[]): [command: string | undefined, rest: string[]] {
  let index = 0;
  while (/^--(?:config|set)(?:=|$)/.test(argv[index] ?? '')) index += argv[index]!.includes('=') ? 1 : 2;
  return [argv[index], argv.toSpliced(index, 1)];
}

/** Reads the command line; throws `Refusal` with exit code 2. No command is `help`. */
export function parseArguments(argv: readonly string[]): Arguments {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        config: { type: 'string' },
        set: { type: 'string', multiple: true },
        workers: { type: 'string' },
        join: { type: 'string' },
        token: { type: 'string' },
        'token-file': { type: 'string' },
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean', short: 'v' },
      },
    });
    const [command = 'help', surplus] = positionals;
    if (surplus !== undefined) throw new Error(`unexpected argument '${surplus}'`);
    const shortcut = values.help ? 'help' : values.version ? 'version' : undefined;
    const set = [...(values.set ?? []), ...membershipOf(command, values)];
    const workers = workersOf(command, values.workers);
    return { command: shortcut ?? command, config: values.config, set, ...(workers && { workers }) };
  } catch (error) {
    throw new Refusal(messageOf(error).split('. ')[0]!, { exitCode: 2, cause: error });
  }
}

/** Options of `worker` that are settings. */
function membershipOf(
  command: string,
  values: { join?: string; token?: string; 'token-file'?: string },
): string[] {
  const given = [
    ['join', values.join],
    ['token', values.token],
    ['tokenFile', values['token-file']],
  ].filter(([, value]) => value !== undefined);
  if (given.length > 0 && command !== 'worker') throw new Error(`--join and --token are for 'worker'`);
  return given.map(([key, value]) => `worker.pool.${key}=${value}`);
}

function workersOf(command: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (command !== 'serve') throw new Error(`--workers is for 'serve'`);
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && count <= MAX_WORKERS) return count;
  throw new Error(`--workers ${text}: expected a number from 1 to ${MAX_WORKERS}`);
}

/** The options as a role's process has to get them. */
export function optionFlags(options: Pick<Arguments, 'config' | 'set'>): string[] {
  const config = options.config === undefined ? [] : ['--config', options.config];
  return [...config, ...options.set.flatMap((pair) => ['--set', pair])];
}
