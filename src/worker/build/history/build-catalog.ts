import { Semaphore } from '#async/semaphore.ts';
import { conflict, notFound } from '#errors/errors.ts';
import type { BuildHistory } from './build-history.ts';
import {
  type BuildPosition,
  type BuildRecord,
  type BuildState,
  type KeptRecord,
  stateOf,
} from './build-record.ts';
import type { ReadOptions, ToldEvent } from './log-parser.ts';
import { LogSearch } from './log-search.ts';
import { type FoundInBuild, SearchPage, type SearchPosition } from './search-page.ts';

/** A build that is under way. */
export interface LiveBuild {
  /** As it would be remembered if it ended now. */
  readonly record: BuildRecord;
  read(options: ReadOptions): AsyncIterable<ToldEvent>;
  cancel(): void;
}

export interface BuildFilter {
  readonly state?: BuildState | undefined;
  /** Part of its ref, of an image's name that it makes, of its source, or of its target. */
  readonly name?: string | undefined;
  /** Not before. */
  readonly since?: Date | undefined;
}

const ROWS_AT_ONCE = 50;
/** How long a search reads before it answers what it has. */
const SEARCH_MS = 2_000;
const SEARCHES_AT_ONCE = 2;

/** The builds of a worker, past and present, for people. */
export class BuildCatalog {
  readonly #history: BuildHistory;
  readonly #running: (ref: string) => LiveBuild | undefined;
  readonly #searches = new Semaphore(SEARCHES_AT_ONCE);

  constructor(ports: { history: BuildHistory; running: (ref: string) => LiveBuild | undefined }) {
    this.#history = ports.history;
    this.#running = ports.running;
  }

  /** The newest first, at most `limit`. */
  async list(filter: BuildFilter, limit: number, after?: BuildPosition): Promise<KeptRecord[]> {
    const found: KeptRecord[] = [];
    for await (const record of this.#walk(after)) {
      if (filter.since && record.createdAt < filter.since) break;
      if (matches(record, filter)) found.push(record);
      if (found.length === limit) break;
    }
    return found;
  }

  /** Throws `not-found`. */
  async find(ref: string): Promise<KeptRecord> {
    const kept = await this.#history.find(ref);
    if (!kept) throw notFound(`no such build: ${ref}`);
    return this.#asOfNow(kept);
  }

  /**
   * What a build has told, from a place in its log on; with `follow` until it is over. Throws `not-found`, and `invalid`
   * for a place where nothing begins.
   */
  async read(ref: string, options: ReadOptions): Promise<AsyncIterable<ToldEvent>> {
    const source = this.#running(ref) ?? { read: (how: ReadOptions) => this.#history.read(ref, how) };
    await this.find(ref);
    // What is wrong is to be said before anything else.
    for await (const _ of source.read({ ...options, follow: false })) break;
    return source.read(options);
  }

  /**
   * Lines that commands have written, of builds that are over, the newest build first. A page has fewer than `limit` of
   * them, or none, when looking has taken long; it says where to go on.
   */
  async search(
    { text, build, since }: { text: string; build?: string | undefined; since?: Date | undefined },
    { limit, from, signal }: { limit: number; from: SearchPosition | undefined; signal: AbortSignal },
  ): Promise<{ items: readonly FoundInBuild[]; next?: SearchPosition }> {
    return this.#searches.run(async () => {
      const page = new SearchPage(limit, Date.now() + SEARCH_MS);
      const builds = build === undefined ? this.#walkFrom(from) : [await this.find(build)];
      for await (const record of builds) {
        signal.throwIfAborted();
        if (since && record.createdAt < since) break;
        if (!record.completedAt) continue;
        const start = from?.ref === record.ref ? from : { from: 0, skip: 0 };
        const told = this.#history.read(record.ref, { from: start.from, signal });
        if (!(await page.look(record, told, new LogSearch(text), start))) break;
      }
      return { items: page.items, ...(page.next && { next: page.next }) };
    });
  }

  /** Throws `not-found`, and `conflict` for one that is under way. */
  async delete(ref: string): Promise<void> {
    if (this.#running(ref)) throw conflict(`build ${ref} is under way: cancel it first`);
    await this.find(ref);
    await this.#history.delete(ref);
  }

  /** Throws `not-found`, and `conflict` for one that is over. */
  async cancel(ref: string): Promise<void> {
    const live = this.#running(ref);
    if (!live) {
      await this.find(ref);
      throw conflict(`build ${ref} is over`);
    }
    live.cancel();
  }

  async *#walk(after?: BuildPosition): AsyncGenerator<KeptRecord> {
    for (let last = after; ; ) {
      const records = await this.#history.page(ROWS_AT_ONCE, last);
      for (const record of records) yield this.#asOfNow(record);
      last = records.at(-1);
      if (records.length < ROWS_AT_ONCE) return;
    }
  }

  /** With the build that a search ended in, if it is still there. */
  async *#walkFrom(position: SearchPosition | undefined): AsyncGenerator<KeptRecord> {
    const first = position && (await this.#history.find(position.ref));
    if (first) yield first;
    yield* this.#walk(position);
  }

  #asOfNow(kept: KeptRecord): KeptRecord {
    const live = kept.completedAt ? undefined : this.#running(kept.ref);
    return live ? { ...kept, ...live.record } : kept;
  }
}

function matches(record: KeptRecord, { state, name }: BuildFilter): boolean {
  if (state !== undefined && stateOf(record) !== state) return false;
  if (name === undefined) return true;
  const wanted = name.toLowerCase();
  return searchedNames(record).some((text) => text.toLowerCase().includes(wanted));
}

function searchedNames({ ref, exporters, frontendOptions }: BuildRecord): string[] {
  const { target = '', context = '', filename = '', 'vcs:source': source = '' } = frontendOptions;
  return [ref, ...exporters.map(({ attrs }) => attrs.name ?? ''), target, context, filename, source];
}
