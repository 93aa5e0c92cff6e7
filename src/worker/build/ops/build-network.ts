import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Sandbox, Sandboxes } from '#worker/networks/sandbox.ts';

export interface StepNetwork {
  readonly namespace: string;
  /** Files to mount over the container's own. */
  readonly resolvConf: string;
  readonly hosts: string;
}

/**
 * The networks of one build. Its steps share a namespace: they run one after another, with the rights of ordinary
 * containers, and setting a bridge up takes longer than most commands do.
 */
export class BuildNetwork implements AsyncDisposable {
  readonly #sandboxes: Sandboxes;
  readonly #options: {
    readonly id: string;
    readonly directory: string;
    readonly extraHosts: readonly string[];
  };
  readonly #attached = new Map<string, Promise<Sandbox>>();

  constructor(
    ports: { sandboxes: Sandboxes },
    options: { id: string; directory: string; extraHosts: readonly string[] },
  ) {
    this.#sandboxes = ports.sandboxes;
    this.#options = options;
  }

  /** `mode` as of `docker build --network`. Throws as `Sandboxes.attach` does. */
  async join(mode: string, signal: AbortSignal): Promise<StepNetwork> {
    const sandbox = await this.#sandbox(mode, signal);
    const directory = join(this.#options.directory, `network-${encodeURIComponent(mode)}`);
    await mkdir(directory, { recursive: true });
    const files = { resolvConf: join(directory, 'resolv.conf'), hosts: join(directory, 'hosts') };
    // Written anew for each step: a command may change them, the next one does not see that.
    await Promise.all([
      writeFile(files.resolvConf, sandbox.resolvConf),
      writeFile(files.hosts, sandbox.hosts),
    ]);
    return { namespace: sandbox.namespace, ...files };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const [mode, attached] of this.#attached) {
      const failed = await attached.then(
        () => false,
        () => true,
      );
      if (!failed) await this.#sandboxes.detach(this.#sandboxId(mode));
    }
  }

  #sandbox(mode: string, signal: AbortSignal): Promise<Sandbox> {
    const known = this.#attached.get(mode);
    if (known) return known;
    const id = this.#sandboxId(mode);
    const network = mode === 'default' ? 'bridge' : mode;
    const isolated = mode === 'none' || mode === 'host';
    const attached = this.#sandboxes.attach(
      {
        containerId: id,
        containerName: id.slice(0, 12),
        hostname: id.slice(0, 12),
        mode: isolated ? mode : 'networks',
        endpoints: isolated ? [] : [{ network }],
        ports: [],
        extraHosts: this.#options.extraHosts,
      },
      { signal },
    );
    this.#attached.set(mode, attached);
    return attached;
  }

  /** One build may use several: `--network` of the build and of a RUN. */
  #sandboxId(mode: string): string {
    const position = [...this.#attached.keys()].indexOf(mode);
    const number = (position < 0 ? this.#attached.size : position).toString(16).padStart(2, '0');
    return this.#options.id.slice(0, -2) + number;
  }
}
