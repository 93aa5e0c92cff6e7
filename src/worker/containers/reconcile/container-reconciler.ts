import { stat } from 'node:fs/promises';
import type { Logger } from 'pino';
import type { KeyedLock } from '#async/keyed-lock.ts';
import { messageOf } from '#errors/errors.ts';
import type { Sandboxes } from '../../networks/sandbox.ts';
import type { Runtime } from '../../runtime/runtime.ts';
import type { Mounter } from '../../snapshots/mount.ts';
import type { Container, ContainerRecord } from '../container.ts';
import { ContainerFiles } from '../container-files.ts';
import type { ContainerStore } from '../container-store.ts';
import type { ContainerSupervisor } from '../exit/container-supervisor.ts';
import { startsWithWorker } from '../exit/restart-policy.ts';
import type { ContainerRemover } from '../remove/container-remover.ts';
import type { Launcher } from '../start/launcher.ts';

export interface ReconcilerPorts {
  readonly store: ContainerStore;
  readonly lock: KeyedLock;
  readonly runtime: Runtime;
  readonly mounter: Mounter;
  readonly sandboxes: Sandboxes;
  readonly supervisor: ContainerSupervisor;
  readonly remover: ContainerRemover;
  readonly launcher: Launcher;
  readonly log: Logger;
  readonly root: string;
}

/** Brings what the worker remembers of its containers and what is there of them together, after its start. */
export class ContainerReconciler {
  readonly #ports: ReconcilerPorts;

  constructor(ports: ReconcilerPorts) {
    this.#ports = ports;
  }

  /** Resolves when every container's state is right; policies' starts follow behind. `removing`: from the store. */
  async reconcile(removing: readonly ContainerRecord[]): Promise<void> {
    const { store, runtime, remover, mounter, root, log } = this.#ports;
    for (const record of removing) await remover.clear(record, { volumes: true, running: true });
    for (const id of await runtime.list()) {
      if (store.has(id)) continue;
      log.warn({ container: id }, 'a task that belongs to no container is removed');
      await runtime.destroy(id);
    }
    const results = await Promise.allSettled(store.list().map((container) => this.#reconcile(container)));
    for (const result of results) {
      if (result.status === 'rejected') log.error({ err: result.reason }, 'reconciling a container');
    }
    const mounted = new Set(
      store
        .list()
        .filter((c) => c.running)
        .map((c) => new ContainerFiles(root, c.id).rootfs),
    );
    for (const target of await mounter.mountsBelow(root)) {
      if (!mounted.has(target)) await mounter.unmount(target);
    }
    this.#startByPolicy();
  }

  async #reconcile(container: Container): Promise<void> {
    await this.#ports.lock.run(container.id, async () => {
      const { status } = container.state;
      if (status === 'running' || status === 'paused') await this.#readopt(container);
      else await this.#clearHalfStarted(container);
    });
  }

  async #readopt(container: Container): Promise<void> {
    const { runtime, sandboxes, supervisor, log } = this.#ports;
    const task = await runtime.load(container.id);
    if (task) {
      container.sandbox = await sandboxes.get(container.id);
      // One that has ended meanwhile is concluded by its own wait, as if it had ended just now.
      supervisor.adopt(container, task);
      return;
    }
    log.warn({ container: container.id }, 'its task is gone');
    const at = await this.#lastSign(container);
    await supervisor.concludeLost(container, { code: 137, at, oomKilled: false });
  }

  /** The worker ended while it started or restarted this one. */
  async #clearHalfStarted(container: Container): Promise<void> {
    const { runtime, sandboxes, supervisor, store } = this.#ports;
    if (await runtime.load(container.id)) await runtime.destroy(container.id);
    if (await sandboxes.get(container.id)) await sandboxes.detach(container.id);
    if (container.state.status === 'restarting') supervisor.restartLater(container, 0);
    else if (container.state.status === 'removing') {
      await store.update(container, { state: { ...container.state, status: 'dead' } });
    }
    if (container.state.status === 'exited' && container.record.hostConfig.AutoRemove) {
      await this.#ports.remover.remove(container, { volumes: true });
    }
  }

  async #lastSign(container: Container): Promise<Date> {
    const { log } = new ContainerFiles(this.#ports.root, container.id);
    return stat(log).then(
      ({ mtime }) => mtime,
      () => new Date(),
    );
  }

  #startByPolicy(): void {
    const { store, supervisor, log } = this.#ports;
    for (const container of store.list()) {
      if (container.active || !startsWithWorker(container.record)) continue;
      supervisor.start(container).catch((error: unknown) => {
        log.warn({ container: container.id, reason: messageOf(error) }, 'not started with the worker');
      });
    }
  }
}
