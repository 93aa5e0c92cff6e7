import { randomBytes } from 'node:crypto';
import { Spare } from '#async/spare.ts';
import type { Sandbox, Sandboxes } from '#worker/networks/sandbox.ts';

/** As BuildKit calls it. */
export const HOSTNAME = 'buildkitsandbox';
/** Longer than it takes from one step to the next. */
const SPARE_MS = 1000;

export interface StepNetworkRequest {
  /** `default`, `none`, `host`, or a network's name. */
  readonly mode: string;
  readonly hostname: string;
  /** `name:address`. */
  readonly extraHosts: readonly string[];
}

export interface StepNetwork extends AsyncDisposable {
  /** A namespace's path, `host`, or `new`. */
  readonly namespace: string;
  /** Contents of the container's files. */
  readonly resolvConf: string;
  readonly hosts: string;
}

type Joined = Pick<Sandbox, 'namespace' | 'resolvConf' | 'hosts'> & AsyncDisposable;

/** What most steps ask for. */
const ORDINARY: StepNetworkRequest = { mode: 'default', hostname: HOSTNAME, extraHosts: [] };

/**
 * Gives each step a network of its own, with the rights of an ordinary container. One may be made beforehand, beside
 * another step, for whichever ordinary one comes next.
 */
export class StepNetworks {
  readonly #sandboxes: Sandboxes;
  readonly #spare = new Spare(() => this.#attach(ORDINARY), { idleMs: SPARE_MS });

  constructor(ports: { sandboxes: Sandboxes }) {
    this.#sandboxes = ports.sandboxes;
  }

  prepare(): void {
    this.#spare.prepare();
  }

  async stop(): Promise<void> {
    await this.#spare[Symbol.asyncDispose]();
  }

  /** Throws as `Sandboxes.attach` does. */
  async join(request: StepNetworkRequest, { signal }: { signal: AbortSignal }): Promise<StepNetwork> {
    const { mode, hostname, extraHosts } = request;
    const ordinary = mode === 'default' && hostname === HOSTNAME && extraHosts.length === 0;
    const spare = ordinary ? await this.#spare.take() : undefined;
    const joined = spare ?? (await this.#attach(request, signal));
    const { namespace, resolvConf, hosts } = joined;
    return {
      namespace,
      resolvConf,
      hosts: hostsFile(hostname, extraHosts, hosts),
      [Symbol.asyncDispose]: () => joined[Symbol.asyncDispose](),
    };
  }

  async #attach({ mode, hostname, extraHosts }: StepNetworkRequest, signal?: AbortSignal): Promise<Joined> {
    const containerId = randomBytes(32).toString('hex');
    const apart = mode === 'none' || mode === 'host';
    const network = mode === 'default' ? 'bridge' : mode;
    const sandbox = await this.#sandboxes.attach(
      {
        containerId,
        containerName: containerId.slice(0, 12),
        hostname,
        mode: apart ? mode : 'networks',
        endpoints: apart ? [] : [{ network }],
        ports: [],
        extraHosts,
      },
      signal && { signal },
    );
    return { ...sandbox, [Symbol.asyncDispose]: () => this.#sandboxes.detach(containerId) };
  }
}

/** As BuildKit writes it, so that files which commands make of it are the same. */
function hostsFile(hostname: string, extraHosts: readonly string[], known: string): string {
  const lines = [`127.0.0.1\tlocalhost ${hostname}`, '::1\tlocalhost ip6-localhost ip6-loopback'];
  for (const extra of extraHosts) {
    const at = extra.search(/[:=]/);
    const [name, address] = [extra.slice(0, at), extra.slice(at + 1)];
    lines.push(`${address === 'host-gateway' ? addressOf(name, known) : address}\t${name}`);
  }
  return `${lines.join('\n')}\n`;
}

/** Of a name in a container's own file, where the network knows better than the build. */
function addressOf(name: string, hosts: string): string {
  const line = hosts.split('\n').find((text) => text.split(/\s+/).slice(1).includes(name));
  return line?.split(/\s+/)[0] ?? '127.0.0.1';
}
