import type { Access } from '#auth/access.ts';
import { OPEN_ACCESS } from '#auth/access.ts';
import { notFound } from '#errors/errors.ts';
import type { RepositoryName } from '#oci/reference.ts';
import type { EventFeed } from '../events/event-feed.ts';
import type { RecordedEvent } from '../events/recorded-event.ts';
import type { Consumer } from '../outbox/consumer.ts';
import type { Delivery, DeliveryState, OutboxRepository } from '../outbox/outbox-repository.ts';
import type { RepositoriesRepository } from '../repositories/repositories-repository.ts';
import type { TagsRepository } from '../tags/tags-repository.ts';
import type { ReplicationConsumer } from './replication-consumer.ts';
import { isReplicated, type ReplicationRule } from './replication-rule.ts';

const PAGE = 500;

/** How far a rule is. */
export interface ReplicationStatus {
  readonly rule: ReplicationRule;
  readonly jobs: Record<DeliveryState, number>;
}

/** What is pushed on to other registries. The rules are the operator's; the jobs are in the outbox. */
export class Replication {
  readonly #consumers: readonly ReplicationConsumer[];
  readonly #outbox: OutboxRepository;
  readonly #feed: EventFeed;
  readonly #repositories: RepositoriesRepository;
  readonly #tags: TagsRepository;

  constructor(
    ports: {
      outbox: OutboxRepository;
      feed: EventFeed;
      repositories: RepositoriesRepository;
      tags: TagsRepository;
    },
    consumers: readonly ReplicationConsumer[],
  ) {
    this.#outbox = ports.outbox;
    this.#feed = ports.feed;
    this.#repositories = ports.repositories;
    this.#tags = ports.tags;
    this.#consumers = consumers;
  }

  get consumers(): readonly Consumer[] {
    return this.#consumers;
  }

  async status(): Promise<ReplicationStatus[]> {
    return await Promise.all(
      this.#consumers.map(async ({ name, rule }) => ({ rule, jobs: await this.#outbox.counts(name) })),
    );
  }

  /** Throws `not-found`, as all below. */
  async jobs(
    rule: string,
    options: { state?: DeliveryState | undefined; before?: number | undefined; limit: number },
  ): Promise<Delivery[]> {
    return await this.#outbox.list(this.#find(rule).name, options);
  }

  async retry(rule: string, job: number): Promise<void> {
    const { name } = this.#find(rule);
    if (!(await this.#outbox.redeliver(name, job))) throw notFound(`rule ${rule} has no job ${job}`);
  }

  /**
   * Makes a job of every tag that the rule is for: what was pushed before there was the rule. Returns how many. Tags
   * that the target has as they are cost a few requests each.
   */
  async synchronize(ruleName: string): Promise<number> {
    const { name, rule } = this.#find(ruleName);
    await this.#outbox.subscribe(name, await this.#feed.head());
    let jobs = 0;
    for await (const repository of this.#names(OPEN_ACCESS)) {
      if (!isReplicated(rule, repository)) continue;
      for (let last: string | undefined; ; ) {
        const tags = (await this.#tags.list(repository, PAGE, last)) ?? [];
        await this.#outbox.enqueue(
          name,
          tags.map((tag) => push(repository, tag)),
        );
        jobs += tags.length;
        last = tags.at(-1);
        if (tags.length < PAGE) break;
      }
    }
    return jobs;
  }

  async *#names(access: Access): AsyncGenerator<RepositoryName> {
    for (let last: string | undefined; ; ) {
      const names = await this.#repositories.list({ limit: PAGE, last, access });
      yield* names as RepositoryName[];
      last = names.at(-1);
      if (names.length < PAGE) return;
    }
  }

  #find(rule: string): ReplicationConsumer {
    const consumer = this.#consumers.find((it) => it.rule.name === rule);
    if (!consumer) throw notFound(`there is no replication rule ${rule}`);
    return consumer;
  }
}

function push(repository: string, tag: string): RecordedEvent {
  return {
    id: 0,
    at: Date.now(),
    action: 'manifest.push',
    outcome: 'done',
    actor: 'system',
    address: null,
    userAgent: null,
    requestId: null,
    repository,
    digest: null,
    tag,
    mediaType: null,
    size: null,
    detail: null,
  };
}
