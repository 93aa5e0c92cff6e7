import { homedir } from 'node:os';
import { join } from 'node:path';
import { type ListenAddress, parseListenAddress } from './address.ts';
import { ConfigError } from './config-error.ts';

/** Where a worker of this machine listens, unless it was told otherwise. */
const DEFAULT_HOST = 'unix:///run/slipway/docker.sock';

/** What the commands that talk to a worker take from their environment. */
export interface ClientEnvironment {
  /** The worker's address. */
  readonly host: ListenAddress;
  /** Of the docker CLI: its `config.json` has credentials. */
  readonly dockerConfig: string;
  /** Of the ssh agent. */
  readonly agentSocket: string | undefined;
  /** For build arguments and secrets that name a variable. */
  variable(name: string): string | undefined;
}

/** `host` comes before `SLIPWAY_HOST`, that before `DOCKER_HOST`. Throws `ConfigError` for an address that is none. */
export function clientEnvironment(
  host: string | undefined,
  environment: NodeJS.ProcessEnv = process.env,
): ClientEnvironment {
  const given = host || environment.SLIPWAY_HOST || environment.DOCKER_HOST || DEFAULT_HOST;
  const address = parseListenAddress(given.replace(/^http:\/\//, 'tcp://'));
  if (!address) throw new ConfigError(`'${given}' is no worker's address: unix:///path or tcp://host:port`);
  return {
    host: address,
    dockerConfig: environment.DOCKER_CONFIG || join(environment.HOME || homedir(), '.docker'),
    agentSocket: environment.SSH_AUTH_SOCK || undefined,
    variable: (name) => environment[name],
  };
}
