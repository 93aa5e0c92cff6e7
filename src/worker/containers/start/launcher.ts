import { constants, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { SlipwayError } from '#errors/errors.ts';
import type { EventPublisher } from '../../events/event-publisher.ts';
import type { Sandbox, Sandboxes } from '../../networks/sandbox.ts';
import type { Runtime, Task } from '../../runtime/runtime.ts';
import type { OciSpec } from '../../runtime/spec/oci-spec.ts';
import type { SpecRequest } from '../../runtime/spec/spec-request.ts';
import type { Mounter } from '../../snapshots/mount.ts';
import { volatileMount } from '../../snapshots/mount-options.ts';
import type { Snapshotter } from '../../snapshots/snapshotter.ts';
import type { Container } from '../container.ts';
import { ContainerFiles } from '../container-files.ts';
import type { ContainerStore } from '../container-store.ts';
import { linkedHosts } from './linked-hosts.ts';
import { prepareSources, withSubpaths } from './mount-sources.ts';
import { sandboxRequestOf } from './sandbox-request-of.ts';
import { processNamespaces, sharedNetwork } from './shared-namespaces.ts';
import { specRequestOf } from './spec-request-of.ts';
import { runtimeWords } from './start-error.ts';

export interface LauncherPorts {
  readonly store: ContainerStore;
  readonly runtime: Runtime;
  readonly createSpec: (request: SpecRequest) => Promise<OciSpec>;
  readonly snapshotter: Snapshotter;
  readonly mounter: Mounter;
  readonly sandboxes: Sandboxes;
  readonly events: EventPublisher;
  readonly log: Logger;
  readonly root: string;
}

/**
 * Brings up what a container needs around its process and takes it down again. What does not depend on each
 * other runs at once: a start's time is what its user feels most.
 */
export class Launcher {
  readonly #ports: LauncherPorts;
  readonly #teardowns = new Set<Promise<void>>();

  constructor(ports: LauncherPorts) {
    this.#ports = ports;
  }

  /** A task just before its first instruction. If that fails nothing of it is left. */
  async launch(container: Container): Promise<Task> {
    const namespace = Promise.withResolvers<string>();
    const attached = this.#attach(container, namespace.resolve);
    attached.catch(namespace.reject);
    const mounted = this.#mount(container);
    const created = this.#create(container, namespace.promise, mounted);
    const [network, task] = await Promise.allSettled([attached, created, mounted]);
    if (network.status === 'fulfilled' && task.status === 'fulfilled') {
      container.sandbox = network.value;
      return task.value;
    }
    if (task.status === 'fulfilled')
      await this.#quietly(container, () => this.#ports.runtime.destroy(container.id));
    await this.takeDown(container);
    throw network.status === 'rejected' ? network.reason : (task as PromiseRejectedResult).reason;
  }

  /** Everything around a process that has ended; its task is deleted already. Never fails. */
  async takeDown(container: Container): Promise<void> {
    container.sandbox = undefined;
    await Promise.all([
      this.unmount(container),
      this.#quietly(container, () => this.#ports.sandboxes.detach(container.id)),
    ]);
  }

  /**
   * The same after a run. Resolves when everything is free that a user could ask for next: a port, a network, an
   * address. What nobody can ask for (a place on the default bridge) goes away behind the caller's back.
   */
  async release(container: Container): Promise<void> {
    const { sandbox } = container;
    container.sandbox = undefined;
    const detached = this.#quietly(container, () => this.#ports.sandboxes.detach(container.id));
    const unnoticed = sandbox?.endpoints.every((endpoint) => endpoint.networkName === 'bridge');
    if (!sandbox || sandbox.ports.length > 0 || !unnoticed) return detached;
    this.leaveToFinish(detached);
  }

  /** Unmounts the root file system; it may take the kernel a while to write back what was changed. */
  async unmount(container: Container): Promise<void> {
    await this.#quietly(container, () => this.#ports.mounter.unmount(this.#files(container).rootfs));
    publishVolumes(this.#ports.events, container, 'unmount');
  }

  /** Lets something finish that nobody waits for, except for the worker's own end. */
  leaveToFinish(task: Promise<void>): void {
    this.#teardowns.add(task);
    void task.finally(() => this.#teardowns.delete(task));
  }

  /** What was left to finish is done. */
  async settled(): Promise<void> {
    await Promise.all(this.#teardowns);
  }

  async #attach(container: Container, onNamespace: (path: string) => void): Promise<Sandbox | undefined> {
    const { store, sandboxes, root } = this.#ports;
    const shared = sharedNetwork(container, store, root);
    if (shared) {
      onNamespace(shared.namespace);
      return undefined;
    }
    try {
      const request = sandboxRequestOf(container.record, linkedHosts(container, store));
      const sandbox = await sandboxes.attach(request, { onNamespace });
      onNamespace(sandbox.namespace);
      await this.writeNetworkFiles(container, sandbox);
      return sandbox;
    } catch (error) {
      throw networkingError(error);
    }
  }

  /** In place: a running container has these very files mounted. */
  async writeNetworkFiles(container: Container, sandbox: Sandbox): Promise<void> {
    const files = this.#files(container);
    await Promise.all([
      writeFile(files.hosts, sandbox.hosts),
      writeFile(files.resolvConf, sandbox.resolvConf),
    ]);
  }

  async #mount(container: Container): Promise<void> {
    const { snapshotter, mounter, events } = this.#ports;
    const [mount] = await Promise.all([snapshotter.mount(container.id), prepareSources(container.record)]);
    // Nothing of a container that removes itself has to reach the disk.
    const chosen = container.record.hostConfig.AutoRemove ? volatileMount(mount) : mount;
    const { rootfs } = this.#files(container);
    await mounter.mount(chosen, rootfs);
    await markRootfs(rootfs);
    publishVolumes(events, container, 'mount');
  }

  async #create(container: Container, namespace: Promise<string>, mounted: Promise<void>): Promise<Task> {
    const { store, runtime, createSpec, root } = this.#ports;
    const { config } = container.record;
    const [network] = await Promise.all([namespace, mounted]);
    const files = this.#files(container);
    const shared = sharedNetwork(container, store, root);
    const namespaces = { network, ...processNamespaces(container, store) };
    const own = await withSubpaths(container.record);
    const record = shared ? { ...own, config: { ...own.config, Hostname: shared.hostname } } : own;
    const spec = await createSpec(specRequestOf(record, files, namespaces, shared?.identity ?? files));
    try {
      return await runtime.create({
        id: container.id,
        spec,
        terminal: config.Tty,
        openStdin: config.OpenStdin,
        // A terminal outlives those who sit in front of it.
        stdinOnce: config.StdinOnce && !config.Tty,
        logPath: files.log,
      });
    } catch (error) {
      throw runtimeWords(error);
    }
  }

  #files(container: Container): ContainerFiles {
    return new ContainerFiles(this.#ports.root, container.id);
  }

  async #quietly(container: Container, task: () => Promise<unknown>): Promise<void> {
    try {
      await task();
    } catch (error) {
      this.#ports.log.warn({ err: error, container: container.id }, 'taking a container down');
    }
  }
}

/** The file by which programs tell that they are in a container. A read-only or odd root goes without. */
async function markRootfs(rootfs: string): Promise<void> {
  const flags = constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW | constants.O_WRONLY;
  const file = await open(join(rootfs, '.dockerenv'), flags, 0o755).catch(() => undefined);
  await file?.close();
}

function networkingError(error: unknown): unknown {
  if (!(error instanceof SlipwayError)) return error;
  // Docker answers a taken port with 500, not with 409.
  const kind = error.kind === 'conflict' ? 'unavailable' : error.kind;
  return new SlipwayError(kind, `failed to set up container networking: ${error.message}`, { cause: error });
}

function publishVolumes(events: EventPublisher, container: Container, action: 'mount' | 'unmount'): void {
  for (const mount of container.record.mounts) {
    if (mount.type !== 'volume' || mount.name === undefined) continue;
    const attributes: Record<string, string> = { driver: mount.driver ?? 'local', container: container.id };
    if (action === 'mount') {
      attributes.destination = mount.destination;
      attributes['read/write'] = String(mount.writable);
      attributes.propagation = mount.propagation;
    }
    events.publish({ type: 'volume', action, actor: { id: mount.name, attributes } });
  }
}
