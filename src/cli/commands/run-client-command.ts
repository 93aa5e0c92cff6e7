import { clientEnvironment } from '#config/client-environment.ts';
import { ConfigError } from '#config/config-error.ts';
import { isKind, SlipwayError } from '#errors/errors.ts';
import { Refusal } from '../refusal.ts';
import type { ClientCommand, GroupShape } from './command.ts';
import { Output } from './output.ts';
import { parseInvocation } from './parse-invocation.ts';

/** Options that every one of these commands has. */
const GLOBAL = {
  host: {
    type: 'string',
    short: 'H',
    value: 'ADDRESS',
    description: 'The worker: unix:///path, tcp://host:port (or SLIPWAY_HOST, DOCKER_HOST)',
  },
  json: { type: 'boolean', description: 'Answer in JSON' },
  help: { type: 'boolean', short: 'h', description: 'Print this' },
} as const satisfies ClientCommand['options'];

/** As shells have it for who was interrupted. */
const INTERRUPTED = 130;

/**
 * Runs a command that asks a worker for something: `argv` is what follows its name. The first interrupt ends it in order,
 * the second at once. Resolves to the exit code; throws `Refusal`.
 */
export async function runClientCommand(
  name: string,
  command: ClientCommand | GroupShape<ClientCommand>,
  argv: readonly string[],
): Promise<number> {
  const parsed = parseInvocation(name, command, argv, GLOBAL);
  if (typeof parsed === 'string') {
    process.stdout.write(parsed);
    return 0;
  }
  const { host, json, help, ...options } = parsed.options;
  const interrupted = interruption();
  try {
    const environment = clientEnvironment(host as string | undefined);
    const output = new Output({ json: json === true, write: (text) => process.stdout.write(text) });
    const { signal } = interrupted;
    await parsed.command.run({ environment, options, arguments: parsed.arguments, output, signal });
    return 0;
  } catch (error) {
    if (interrupted.signal.aborted || isKind(error, 'canceled')) return INTERRUPTED;
    if (error instanceof ConfigError) throw new Refusal(error.message, { exitCode: 2, cause: error });
    if (error instanceof SlipwayError) throw new Refusal(error.message, { cause: error });
    throw error;
  }
}

function interruption(): AbortController {
  const controller = new AbortController();
  const stop = () => {
    if (controller.signal.aborted) process.exit(INTERRUPTED);
    controller.abort();
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  return controller;
}
