import type { Sandboxes } from '#worker/networks/sandbox.ts';

export interface StepNetworkRequest {
  readonly id: string;
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

/** Gives each step a network of its own, with the rights of an ordinary container. */
export class StepNetworks {
  readonly #sandboxes: Sandboxes;

  constructor(ports: { sandboxes: Sandboxes }) {
    this.#sandboxes = ports.sandboxes;
  }

  /** Throws as `Sandboxes.attach` does. */
  async join(
    { id, mode, hostname, extraHosts }: StepNetworkRequest,
    { signal }: { signal: AbortSignal },
  ): Promise<StepNetwork> {
    const apart = mode === 'none' || mode === 'host';
    const network = mode === 'default' ? 'bridge' : mode;
    const { namespace, resolvConf, hosts } = await this.#sandboxes.attach(
      {
        containerId: id,
        containerName: id.slice(0, 12),
        hostname,
        mode: apart ? mode : 'networks',
        endpoints: apart ? [] : [{ network }],
        ports: [],
        extraHosts,
      },
      { signal },
    );
    return { namespace, resolvConf, hosts, [Symbol.asyncDispose]: () => this.#sandboxes.detach(id) };
  }
}
