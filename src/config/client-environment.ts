import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { parseListenAddress } from './address.ts';
import { ConfigError } from './config-error.ts';

/** Where a worker of this machine listens, unless it was told otherwise. */
const DEFAULT_HOST = 'unix:///run/slipway/docker.sock';

/** What a client shows, and whom it believes: PEM. */
export interface ClientTls {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/** Where a worker is, or the gateway of a pool; with `tls` it is spoken to in TLS. */
export type ClientHost =
  | { readonly path: string }
  | { readonly host: string; readonly port: number; readonly tls?: ClientTls };

/** What the commands that talk to a worker take from their environment. */
export interface ClientEnvironment {
  /** The worker's address. */
  readonly host: ClientHost;
  /** Of the docker CLI: its `config.json` has credentials. */
  readonly dockerConfig: string;
  /** Of the ssh agent. */
  readonly agentSocket: string | undefined;
  /** For build arguments and secrets that name a variable. */
  variable(name: string): string | undefined;
}

/**
 * `host` comes before `SLIPWAY_HOST`, that before `DOCKER_HOST`. TLS is spoken to `https://`, and to all of TCP where
 * `DOCKER_TLS_VERIFY` is set, with the `ca.pem`, `cert.pem` and `key.pem` of `DOCKER_CERT_PATH` or the docker CLI's own
 * directory. Throws `ConfigError` for an address that is none, and for files that cannot be read.
 */
export function clientEnvironment(
  host: string | undefined,
  environment: NodeJS.ProcessEnv = process.env,
): ClientEnvironment {
  const given = host || environment.SLIPWAY_HOST || environment.DOCKER_HOST || DEFAULT_HOST;
  const address = parseListenAddress(given.replace(/^https?:\/\//, 'tcp://'));
  if (!address) throw new ConfigError(`'${given}' is no worker's address: unix:///path or tcp://host:port`);
  const dockerConfig = environment.DOCKER_CONFIG || join(environment.HOME || homedir(), '.docker');
  const secure =
    'host' in address && (given.startsWith('https://') || Boolean(environment.DOCKER_TLS_VERIFY));
  return {
    host: secure ? { ...address, tls: clientTls(environment.DOCKER_CERT_PATH || dockerConfig) } : address,
    dockerConfig,
    agentSocket: environment.SSH_AUTH_SOCK || undefined,
    variable: (name) => environment[name],
  };
}

/** Files that are not there are done without: an authority of everybody's, a server that asks for no certificate. */
function clientTls(directory: string): ClientTls {
  const [ca, cert, key] = ['ca.pem', 'cert.pem', 'key.pem'].map((name) => fileIn(directory, name));
  if (Boolean(cert) !== Boolean(key)) {
    throw new ConfigError(`${directory}: cert.pem and key.pem go together, and one is missing`);
  }
  return { ...(ca && { ca }), ...(cert && key && { cert, key }) };
}

function fileIn(directory: string, name: string): Buffer | undefined {
  try {
    return readFileSync(join(directory, name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new ConfigError(`${join(directory, name)} cannot be read: ${(error as Error).message}`);
  }
}
