import type { Logger } from 'pino';
import type { ContentStore } from '#content/content-store.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import type { Metrics } from '#observability/metrics.ts';
import { BlobsRepository } from './blobs/blobs-repository.ts';
import { Fsck } from './fsck/fsck.ts';
import { FsckRepository } from './fsck/fsck-repository.ts';
import { BlobReviewsRepository } from './gc/blob-reviews-repository.ts';
import { ContentDeletionsRepository } from './gc/content-deletions-repository.ts';
import { GarbageCollector } from './gc/garbage-collector.ts';
import { GcPlanRepository } from './gc/gc-plan-repository.ts';
import { GcStatusRepository } from './gc/gc-status-repository.ts';
import { LinkReviewsRepository } from './gc/link-reviews-repository.ts';
import { ManifestReviewsRepository } from './gc/manifest-reviews-repository.ts';
import { QuotasRepository } from './quotas/quotas-repository.ts';
import { UsageCompactionRepository } from './quotas/usage-compaction-repository.ts';
import { ImmutableTagsRepository } from './retention/immutable-tags-repository.ts';
import { Retention } from './retention/retention.ts';
import { RetentionRepository } from './retention/retention-repository.ts';
import { RetentionRulesRepository } from './retention/retention-rules-repository.ts';

/** What keeps the registry from growing for ever. */
export interface Housekeeping {
  readonly collector: GarbageCollector;
  readonly gcStatus: GcStatusRepository;
  readonly gcPlan: GcPlanRepository;
  readonly fsck: Fsck;
  readonly retention: Retention;
  readonly retentionRules: RetentionRulesRepository;
  readonly immutableTags: ImmutableTagsRepository;
  readonly quotas: QuotasRepository;
  readonly usage: UsageCompactionRepository;
}

export function createHousekeeping(ports: {
  db: RegistryDatabase;
  content: ContentStore;
  logger: Logger;
  metrics: Metrics;
}): Housekeeping {
  const { db, content, logger, metrics } = ports;
  const rules = new RetentionRulesRepository(db);
  const immutable = new ImmutableTagsRepository(db);
  const gcStatus = new GcStatusRepository(db);
  metrics.gauge({
    name: 'slipway_gc_queue_length',
    help: 'What waits for garbage collection to look at it, by queue; due is what it should have looked at.',
    labels: ['queue', 'state'],
    async read() {
      const queues = await gcStatus.queues();
      return queues.flatMap(({ queue, waiting, due }) => [
        { labels: { queue, state: 'waiting' }, value: waiting - due },
        { labels: { queue, state: 'due' }, value: due },
      ]);
    },
  });
  return {
    collector: new GarbageCollector({
      manifests: new ManifestReviewsRepository(db),
      links: new LinkReviewsRepository(db),
      blobs: new BlobReviewsRepository(db),
      deletions: new ContentDeletionsRepository(db),
      content,
      rules: () => rules.list(),
      logger,
      metrics,
    }),
    gcStatus,
    gcPlan: new GcPlanRepository(db),
    fsck: new Fsck({ repository: new FsckRepository(db), blobs: new BlobsRepository(db), content }),
    retention: new Retention({ rules, immutable, repository: new RetentionRepository(db), logger }),
    retentionRules: rules,
    immutableTags: immutable,
    quotas: new QuotasRepository(db),
    usage: new UsageCompactionRepository(db),
  };
}
