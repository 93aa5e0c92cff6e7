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
    const {
      namespace,
      resolvConf,
      hosts: known,
    } = await this.#sandboxes.attach(
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
    const hosts = hostsFile(hostname, extraHosts, known);
    return { namespace, resolvConf, hosts, [Symbol.asyncDispose]: () => this.#sandboxes.detach(id) };
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
