import type { RegistryDatabase } from '#database/registry/open.ts';
import { BlobsRepository } from '../blobs/blobs-repository.ts';
import type { EventFeed } from '../events/event-feed.ts';
import type { RetryPlan } from '../outbox/consumer.ts';
import type { OutboxRepository } from '../outbox/outbox-repository.ts';
import type { Registry } from '../registry.ts';
import { Replication } from './replication.ts';
import { ReplicationConsumer } from './replication-consumer.ts';
import type { ReplicationRule } from './replication-rule.ts';
import { Replicator } from './replicator.ts';

export interface ReplicationOptions {
  readonly rules: readonly ReplicationRule[];
  readonly retry: RetryPlan;
}

export function createReplication(
  ports: { db: RegistryDatabase; registry: Registry; outbox: OutboxRepository; feed: EventFeed },
  { rules, retry }: ReplicationOptions,
): Replication {
  const { registry, outbox, feed } = ports;
  const { manifests, blobs, referrers, repositories, tags } = registry;
  const replicator = new Replicator({ manifests, blobs, referrers, stored: new BlobsRepository(ports.db) });
  const consumers = rules.map((rule) => new ReplicationConsumer(rule, { replicator }, { retry }));
  return new Replication({ outbox, feed, repositories, tags }, consumers);
}
