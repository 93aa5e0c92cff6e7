import { unlessGivenUp } from '#async/unless-given-up.ts';
import { canceled, conflict, notFound } from '#errors/errors.ts';

/** How long one request waits for the other: clients send both at once. */
const PATIENCE_MS = 10_000;

interface Handover {
  readonly body: AsyncIterable<Uint8Array>;
  readonly taken: () => void;
  readonly ended: () => void;
}

/** Bodies of requests that belong to builds which come as requests of their own. */
export class HandedOver {
  readonly #given = new Map<string, Handover>();
  readonly #wanted = new Map<string, (given: Handover) => void>();
  readonly #patienceMs: number;

  constructor({ patienceMs = PATIENCE_MS }: { patienceMs?: number } = {}) {
    this.#patienceMs = patienceMs;
  }

  /**
   * Resolves when the build has read it, or needs no more of it. Throws `not-found` where no build wants it, `conflict`
   * for a second one, `canceled`.
   */
  async give(
    id: string,
    body: AsyncIterable<Uint8Array>,
    { signal }: { signal: AbortSignal },
  ): Promise<void> {
    const taken = Promise.withResolvers<true>();
    const ended = Promise.withResolvers<true>();
    const handover = { body, taken: () => taken.resolve(true), ended: () => ended.resolve(true) };
    const wanted = this.#wanted.get(id);
    if (wanted) {
      this.#wanted.delete(id);
      wanted(handover);
      taken.resolve(true);
    } else if (this.#given.has(id)) {
      throw conflict(`a context for build ${id} is there already`);
    } else {
      this.#given.set(id, handover);
    }
    try {
      await this.#within(taken.promise, signal, () => notFound(`no build ${id} wants this context`));
    } finally {
      if (this.#given.get(id) === handover) this.#given.delete(id);
    }
    const wasRead = await unlessGivenUp(ended.promise, { signal });
    if (!wasRead) throw canceled('context canceled');
  }

  /** What is given under this name; `ended` has to be called once nothing more of it is wanted. Throws `not-found`. */
  async take(
    id: string,
    { signal }: { signal: AbortSignal },
  ): Promise<{ body: AsyncIterable<Uint8Array>; ended: () => void }> {
    const given = this.#given.get(id);
    if (given) {
      given.taken();
      return given;
    }
    const { promise, resolve } = Promise.withResolvers<Handover>();
    this.#wanted.set(id, resolve);
    try {
      return await this.#within(promise, signal, () => notFound(`the context of build ${id} does not come`));
    } finally {
      if (this.#wanted.get(id) === resolve) this.#wanted.delete(id);
    }
  }

  async #within<T extends object | true>(
    promise: Promise<T>,
    signal: AbortSignal,
    late: () => Error,
  ): Promise<T> {
    const handed = await unlessGivenUp(promise, { signal, within: this.#patienceMs });
    if (!handed) throw signal.aborted ? canceled('context canceled') : late();
    return handed;
  }
}
