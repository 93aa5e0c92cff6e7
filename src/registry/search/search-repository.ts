import { setImmediate } from 'node:timers/promises';
import { sql } from 'kysely';
import { Semaphore } from '#async/semaphore.ts';
import type { Access } from '#auth/access.ts';
import { containsText } from '#database/contains-text.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import type { Digest } from '#oci/digest.ts';
import type { RepositoryName } from '#oci/reference.ts';
import { findRepository } from '../repositories/repositories-repository.ts';
import type { ManifestText } from './manifest-text.ts';

/** A repository that was found. */
export interface Found {
  readonly repository: string;
  /** Of its newest manifest that has them. */
  readonly title: string | null;
  readonly description: string | null;
  /** Some of the tags that match, or whose manifest does, in lexical order. */
  readonly tags: readonly string[];
  readonly pulls: number;
}

/** Repositories are looked through in steps of this many. */
const PAGE = 50;
/** How many searches look through the database at once. */
const AT_ONCE = 2;
const MAX_TERMS = 8;
const MAX_TAGS = 20;

export class SearchRepository {
  readonly #db: RegistryDatabase;
  readonly #turns = new Semaphore(AT_ONCE);

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  /** Makes a manifest's text searchable. One that is gone meanwhile is passed over. */
  async put(repository: RepositoryName, digest: Digest, text: ManifestText): Promise<void> {
    const manifest = this.#db
      .selectFrom('manifests')
      .innerJoin('repositories', 'repositories.id', 'manifests.repository_id')
      .select((eb) => [
        'manifests.repository_id',
        'manifests.digest',
        eb.val(text.title ?? null).as('title'),
        eb.val(text.description ?? null).as('description'),
        eb.val(text.text).as('text'),
        'manifests.created_at',
      ])
      .where('repositories.name', '=', repository)
      .where('manifests.digest', '=', digest);
    await this.#db
      .insertInto('manifest_texts')
      .columns(['repository_id', 'digest', 'title', 'description', 'text', 'created_at'])
      .expression(manifest)
      .onConflict((conflict) => conflict.columns(['repository_id', 'digest']).doNothing())
      .execute();
  }

  /**
   * Up to `limit` repositories after `last`, by name, in which each word of `query` is somewhere: in the name, in a
   * tag, in annotations or labels. Only those that the access sees.
   */
  async find(
    query: string,
    options: { limit: number; last?: string | undefined; access: Access },
  ): Promise<Found[]> {
    const terms = query.toLowerCase().split(/\s+/).filter(Boolean).slice(0, MAX_TERMS);
    if (terms.length === 0) return [];
    const names = await this.#turns.run(() => this.#names(terms, options));
    return await Promise.all(names.map((name) => this.#describe(name, terms)));
  }

  /** Looks through a number of repositories at a time, and lets others have their turn between. */
  async #names(
    terms: readonly string[],
    options: { limit: number; last?: string | undefined; access: Access },
  ): Promise<string[]> {
    const found: string[] = [];
    for (let last = options.last ?? ''; found.length < options.limit; ) {
      const page = await this.#page(last);
      const end = page.at(-1);
      if (end === undefined) break;
      const matching = await this.#matching(terms, last, end);
      found.push(...matching.filter((name) => options.access.sees(name as RepositoryName)));
      last = end;
      await setImmediate();
    }
    return found.slice(0, options.limit);
  }

  async #page(last: string): Promise<string[]> {
    const rows = await this.#db
      .selectFrom('repositories')
      .select('name')
      .where('name', '>', last)
      .orderBy('name')
      .limit(PAGE)
      .execute();
    return rows.map(({ name }) => name);
  }

  async #matching(terms: readonly string[], after: string, until: string): Promise<string[]> {
    let query = this.#db
      .selectFrom('repositories')
      .select('name')
      .where('name', '>', after)
      .where('name', '<=', until)
      .where(({ exists, selectFrom }) =>
        exists(selectFrom('manifests').select('digest').whereRef('repository_id', '=', 'repositories.id')),
      )
      .orderBy('name');
    for (const term of terms) {
      query = query.where(({ or, exists, selectFrom }) =>
        or([
          this.#contains('repositories.name', term),
          exists(
            selectFrom('tags')
              .select('tags.name')
              .whereRef('tags.repository_id', '=', 'repositories.id')
              .where(this.#contains('tags.name', term)),
          ),
          exists(
            selectFrom('manifest_texts')
              .select('digest')
              .whereRef('manifest_texts.repository_id', '=', 'repositories.id')
              .where(this.#contains('manifest_texts.text', term)),
          ),
        ]),
      );
    }
    return (await query.execute()).map(({ name }) => name);
  }

  async #describe(repository: string, terms: readonly string[]): Promise<Found> {
    const id = (await findRepository(this.#db, repository as RepositoryName)) ?? -1;
    const [newest, tags, count] = await Promise.all([
      this.#db
        .selectFrom('manifest_texts')
        .select(['title', 'description'])
        .where('repository_id', '=', id)
        .where(({ or, eb }) => or([eb('title', 'is not', null), eb('description', 'is not', null)]))
        .orderBy('created_at', 'desc')
        .limit(1)
        .executeTakeFirst(),
      this.#db
        .selectFrom('tags')
        .leftJoin('manifest_texts', (join) =>
          join
            .onRef('manifest_texts.repository_id', '=', 'tags.repository_id')
            .onRef('manifest_texts.digest', '=', 'tags.manifest'),
        )
        .select('tags.name')
        .where('tags.repository_id', '=', id)
        .where(({ or }) =>
          or(
            terms.flatMap((term) => [
              this.#contains('tags.name', term),
              this.#contains('manifest_texts.text', term),
            ]),
          ),
        )
        .orderBy('tags.name')
        .limit(MAX_TAGS)
        .execute(),
      this.#db
        .selectFrom('pulls')
        .select('pulls')
        .where('repository_id', '=', id)
        .where('kind', '=', 'repository')
        .executeTakeFirst(),
    ]);
    return {
      repository,
      title: newest?.title ?? null,
      description: newest?.description ?? null,
      tags: tags.map(({ name }) => name),
      pulls: count?.pulls ?? 0,
    };
  }

  /** Whether a column has a term, which is in lower case, in it. */
  #contains(column: 'repositories.name' | 'tags.name' | 'manifest_texts.text', term: string) {
    const text = sql.ref<string>(column);
    // Only tags may have upper case.
    return containsText(this.#db, column === 'tags.name' ? sql<string>`lower(${text})` : text, term);
  }
}
