import type { Logger } from 'pino';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { type Metrics, NO_METRICS } from '#observability/metrics.ts';
import { TargetPolicy } from '#webhooks/target-policy.ts';
import { EventFeedRepository } from './events/event-feed-repository.ts';
import { createMirror, type MirrorOptions } from './mirror/create-mirror.ts';
import type { Mirror } from './mirror/mirror.ts';
import type { RetryPlan } from './outbox/consumer.ts';
import { FeedReader } from './outbox/feed-reader.ts';
import { OutboxRepository } from './outbox/outbox-repository.ts';
import { OutboxRunner } from './outbox/outbox-runner.ts';
import type { Registry } from './registry.ts';
import { createReplication, type ReplicationOptions } from './replication/create-replication.ts';
import type { Replication } from './replication/replication.ts';
import { SearchIndexer } from './search/search-indexer.ts';
import { SearchRepository } from './search/search-repository.ts';
import { PullStatistics } from './statistics/pull-statistics.ts';
import { PullsRepository } from './statistics/pulls-repository.ts';
import type { EventSource } from './webhooks/envelopes.ts';
import { WebhookSender } from './webhooks/webhook-sender.ts';
import { Webhooks } from './webhooks/webhooks.ts';
import { WebhooksRepository } from './webhooks/webhooks-repository.ts';

export interface FederationOptions {
  /** What this registry calls itself when it tells others of its events. */
  readonly source: EventSource;
  /** None unless said otherwise. */
  readonly mirrors?: MirrorOptions | undefined;
  /** None unless said otherwise. */
  readonly replication?: ReplicationOptions | undefined;
  readonly webhooks: {
    /** Networks beyond the internet that webhooks may be in. */
    readonly allowedNetworks: readonly string[];
    readonly retry: RetryPlan;
    /** How long a receiver may take to answer, in milliseconds. */
    readonly timeout: number;
    /** How long deliveries that are settled can be looked at, in milliseconds. */
    readonly keep: number;
  };
}

/** Work that goes on until the signal aborts, and a little longer. */
export interface Background {
  run(signal: AbortSignal): Promise<void>;
}

/** What the registry has to do with others: it tells them of changes, and keeps count of what they pull. */
export interface Federation {
  readonly webhooks: Webhooks;
  readonly replication: Replication;
  readonly mirror: Mirror | undefined;
  readonly statistics: PullStatistics;
  readonly pulls: PullsRepository;
  readonly search: SearchRepository;
  /** Makes pushes searchable, as long as somebody runs it. */
  readonly indexing: Background;
  /** Delivers events, as long as somebody runs it. */
  readonly runner: OutboxRunner;
}

export function createFederation(
  ports: { db: RegistryDatabase; registry: Registry; logger: Logger; metrics?: Metrics },
  options: FederationOptions,
): Federation {
  const { db, registry, logger, metrics = NO_METRICS } = ports;
  const outbox = new OutboxRepository(db);
  const feed = new EventFeedRepository(db);
  const { allowedNetworks, retry, timeout, keep } = options.webhooks;
  const targets = new TargetPolicy({
    allowed: allowedNetworks,
    setting: 'registry.webhooks.allowedNetworks',
  });
  const sender = new WebhookSender({ targets }, { source: options.source, timeout });
  const webhooks = new Webhooks(
    { webhooks: new WebhooksRepository(db), outbox, feed, targets, sender },
    { retry },
  );
  const pulls = new PullsRepository(db);
  const replication = createReplication(
    { db, registry, outbox, feed },
    options.replication ?? { rules: [], retry },
  );
  const consumers = async () => [...(await webhooks.consumers()), ...replication.consumers];
  const search = new SearchRepository(db);
  const indexer = new SearchIndexer({ manifests: registry.manifests, blobs: registry.blobs, search, logger });
  const reader = new FeedReader({ outbox, feed, logger }, 'search');
  return {
    mirror: options.mirrors && createMirror({ ...ports, metrics }, options.mirrors),
    search,
    indexing: { run: (signal) => reader.run((events) => indexer.read(events), signal) },
    webhooks,
    replication,
    pulls,
    statistics: new PullStatistics({ pulls, logger }),
    runner: new OutboxRunner({ outbox, feed, logger, consumers }, { keep }),
  };
}
