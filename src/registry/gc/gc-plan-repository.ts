import type { RegistryDatabase } from '#database/registry/open.ts';
import type { RetentionRule } from '../retention/retention-rule.ts';
import { rulesFor } from '../retention/retention-rules-repository.ts';
import { judge } from './manifest-reviews-repository.ts';
import type { ReviewKey } from './review-key.ts';

const PAGE = 500;

/** What the collector would delete if all of it were due now. */
export interface GcPlan {
  readonly manifests: readonly { readonly repository: string; readonly digest: string }[];
  /** How many blobs repositories would no longer see. */
  readonly links: number;
  readonly blobs: number;
  /** Of those blobs, and of content that is on the list of what to delete already. */
  readonly bytes: number;
}

/** Looks through the collector's queues without changing anything; memory grows with what there is to delete. */
export class GcPlanRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  async plan(rules: readonly RetentionRule[], signal?: AbortSignal): Promise<GcPlan> {
    const manifests = await this.#doomedManifests(rules, signal);
    const links = await this.#doomedLinks(manifests, signal);
    const { blobs, bytes } = await this.#doomedBlobs(links, signal);
    const { left } = await this.#db
      .selectFrom('gc_locations')
      .select(({ fn }) => fn.sum<number | null>('size').as('left'))
      .executeTakeFirstOrThrow();
    const names = await this.#names();
    return {
      manifests: manifests
        .keys()
        .map(({ repository_id, digest }) => ({ repository: names.get(repository_id) ?? '', digest })),
      links: links.size,
      blobs,
      bytes: bytes + Number(left ?? 0),
    };
  }

  /** From those that are queued to those that these keep. */
  async #doomedManifests(rules: readonly RetentionRule[], signal?: AbortSignal): Promise<KeySet> {
    const [doomed, looked, names] = [new KeySet(), new KeySet(), await this.#names()];
    const look = async (first: ReviewKey) => {
      for (const todo = [first]; todo.length > 0; ) {
        signal?.throwIfAborted();
        const key = todo.pop()!;
        const name = names.get(key.repository_id);
        if (name === undefined || !looked.add(key)) continue;
        const verdict = await judge(this.#db, key, rulesFor(rules, 'untagged', name));
        if (verdict.kind !== 'garbage') continue;
        for (const digest of verdict.digests) doomed.add({ ...key, digest });
        todo.push(...(await this.#keptBy(key)));
      }
    };
    for await (const key of this.#queued('gc_manifest_queue')) await look(key);
    return doomed;
  }

  async #keptBy({ repository_id, digest }: ReviewKey): Promise<ReviewKey[]> {
    const children = this.#db
      .selectFrom('manifest_references as reference')
      .innerJoin('manifests as child', (join) =>
        join
          .onRef('child.repository_id', '=', 'reference.repository_id')
          .onRef('child.digest', '=', 'reference.digest'),
      )
      .select(['child.repository_id', 'child.digest'])
      .where('reference.repository_id', '=', repository_id)
      .where('reference.manifest', '=', digest)
      .where('kind', '=', 'manifest');
    const referrers = this.#db
      .selectFrom('referrers')
      .select(['repository_id', 'digest'])
      .where('repository_id', '=', repository_id)
      .where('subject', '=', digest);
    return await children.union(referrers).execute();
  }

  async #doomedLinks(manifests: KeySet, signal?: AbortSignal): Promise<KeySet> {
    const doomed = new KeySet();
    const look = async (key: ReviewKey) => {
      signal?.throwIfAborted();
      const users = await this.#db
        .selectFrom('repository_blobs as link')
        .leftJoin('manifest_references as reference', (join) =>
          join
            .onRef('reference.repository_id', '=', 'link.repository_id')
            .onRef('reference.digest', '=', 'link.digest'),
        )
        .select('reference.manifest')
        .where('link.repository_id', '=', key.repository_id)
        .where('link.digest', '=', key.digest)
        .execute();
      const unused = users.every(
        ({ manifest }) => manifest === null || manifests.has({ ...key, digest: manifest }),
      );
      if (users.length > 0 && unused) doomed.add(key);
    };
    for await (const key of this.#queued('gc_link_queue')) await look(key);
    for (const { repository_id, digest } of manifests.keys()) {
      const named = await this.#db
        .selectFrom('manifest_references')
        .select(['repository_id', 'digest'])
        .where('repository_id', '=', repository_id)
        .where('manifest', '=', digest)
        .execute();
      for (const key of named) await look(key);
    }
    return doomed;
  }

  async #doomedBlobs(links: KeySet, signal?: AbortSignal): Promise<{ blobs: number; bytes: number }> {
    const queued = await this.#db.selectFrom('gc_blob_queue').select('digest').execute();
    const digests = new Set([...links.keys(), ...queued].map(({ digest }) => digest));
    let [blobs, bytes] = [0, 0];
    for (const digest of digests) {
      signal?.throwIfAborted();
      const rows = await this.#db
        .selectFrom('blobs')
        .leftJoin('repository_blobs as link', 'link.digest', 'blobs.digest')
        .select(['blobs.size', 'link.repository_id'])
        .where('blobs.digest', '=', digest)
        .execute();
      const unseen = rows.every(
        ({ repository_id }) => repository_id === null || links.has({ repository_id, digest }),
      );
      if (rows.length === 0 || !unseen) continue;
      blobs++;
      bytes += rows[0]!.size;
    }
    return { blobs, bytes };
  }

  async *#queued(queue: 'gc_manifest_queue' | 'gc_link_queue'): AsyncGenerator<ReviewKey> {
    for (let last: ReviewKey = { repository_id: -1, digest: '' }; ; ) {
      const { repository_id, digest } = last;
      const page = await this.#db
        .selectFrom(queue)
        .select(['repository_id', 'digest'])
        .where(({ eb, refTuple, tuple }) =>
          eb(refTuple('repository_id', 'digest'), '>', tuple(repository_id, digest)),
        )
        .orderBy('repository_id')
        .orderBy('digest')
        .limit(PAGE)
        .execute();
      yield* page;
      if (page.length < PAGE) return;
      last = page.at(-1)!;
    }
  }

  async #names(): Promise<Map<number, string>> {
    const rows = await this.#db.selectFrom('repositories').select(['id', 'name']).execute();
    return new Map(rows.map(({ id, name }) => [id, name]));
  }
}

/** Keys by what they say. */
class KeySet {
  readonly #keys = new Map<string, ReviewKey>();

  get size(): number {
    return this.#keys.size;
  }

  /** False when it was there. */
  add(key: ReviewKey): boolean {
    const text = `${key.repository_id} ${key.digest}`;
    if (this.#keys.has(text)) return false;
    this.#keys.set(text, key);
    return true;
  }

  has({ repository_id, digest }: ReviewKey): boolean {
    return this.#keys.has(`${repository_id} ${digest}`);
  }

  keys(): ReviewKey[] {
    return [...this.#keys.values()];
  }
}
