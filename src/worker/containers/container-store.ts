import { conflict, invalid, notFound } from '#errors/errors.ts';
import { Container, type ContainerRecord } from './container.ts';
import type { ContainerRepository } from './container-repository.ts';

/**
 * The worker's containers: all of them in memory, every change written through. Reading never waits for disk
 * nor for a lock, so that one stuck container cannot keep the others from being listed.
 */
export class ContainerStore {
  readonly #repository: ContainerRepository;
  readonly #byId = new Map<string, Container>();
  readonly #byName = new Map<string, string>();

  constructor(repository: ContainerRepository) {
    this.#repository = repository;
  }

  /** Reads what an earlier process left; answers the ids of containers whose removal it had begun. */
  async load(): Promise<{ removing: ContainerRecord[] }> {
    const removing: ContainerRecord[] = [];
    for (const { record, removing: gone } of await this.#repository.all()) {
      if (gone) removing.push(record);
      else this.#remember(new Container(record));
    }
    return { removing };
  }

  /** Oldest first. */
  list(): Container[] {
    return [...this.#byId.values()];
  }

  /** By full id, then name, then unique id prefix. Throws `not-found`, `invalid`. */
  get(reference: string): Container {
    const container = this.find(reference);
    if (!container) throw notFound(`No such container: ${reference}`);
    return container;
  }

  /** Throws `invalid` for an empty or ambiguous reference. */
  find(reference: string): Container | undefined {
    if (reference === '') throw invalid('invalid name or ID supplied: ""');
    const exact = this.#byId.get(reference) ?? this.findByName(reference);
    if (exact) return exact;
    const matches = [...this.#byId.keys()].filter((id) => id.startsWith(reference));
    if (matches.length > 1) throw invalid(`multiple IDs found with provided prefix: ${reference}`);
    return matches[0] === undefined ? undefined : this.#byId.get(matches[0]);
  }

  findByName(name: string): Container | undefined {
    const id = this.#byName.get(name.replace(/^\//, ''));
    return id === undefined ? undefined : this.#byId.get(id);
  }

  /** Also while the container that is to have it is still being made. */
  isNameTaken(name: string): boolean {
    return this.#byName.has(name);
  }

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  /** Takes a name for a container about to be made, so that no other takes it meanwhile. Throws `conflict`. */
  reserveName(name: string, id: string): void {
    const holder = this.#byName.get(name);
    if (holder !== undefined) throw nameConflict(name, holder);
    this.#byName.set(name, id);
  }

  releaseName(name: string, id: string): void {
    if (this.#byName.get(name) === id) this.#byName.delete(name);
  }

  /** Makes a container visible that is whole now. Its name was reserved before. */
  async reveal(record: ContainerRecord): Promise<Container> {
    await this.#repository.update(record);
    const container = new Container(record);
    this.#remember(container);
    return container;
  }

  /** Changes a container's record, in memory at once and on disk when the promise resolves. */
  async update(container: Container, change: Partial<ContainerRecord>): Promise<void> {
    container.record = { ...container.record, ...change };
    if (this.#byId.get(container.id) !== container) return;
    await this.#repository.update(container.record);
  }

  async rename(container: Container, name: string): Promise<void> {
    const before = container.name;
    this.reserveName(name, container.id);
    try {
      await this.update(container, { name });
    } catch (error) {
      this.releaseName(name, container.id);
      container.record = { ...container.record, name: before };
      throw error;
    }
    this.releaseName(before, container.id);
  }

  /** From here on nobody finds it and its name is free; `purge` follows when nothing of it is left. */
  async hide(container: Container): Promise<void> {
    await this.#repository.markRemoving(container.id);
    this.#byId.delete(container.id);
    this.releaseName(container.name, container.id);
  }

  async purge(id: string): Promise<void> {
    await this.#repository.delete(id);
  }

  #remember(container: Container): void {
    this.#byId.set(container.id, container);
    this.#byName.set(container.name, container.id);
  }
}

export function nameConflict(name: string, holder: string): Error {
  return conflict(
    `Conflict. The container name "/${name}" is already in use by container "${holder}". You have to remove (or rename) that container to be able to reuse that name.`,
  );
}
