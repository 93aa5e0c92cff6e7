import type { Logger } from 'pino';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { EventFeedRepository } from './events/event-feed-repository.ts';
import type { RetryPlan } from './outbox/consumer.ts';
import { OutboxRepository } from './outbox/outbox-repository.ts';
import { OutboxRunner } from './outbox/outbox-runner.ts';
import { PullStatistics } from './statistics/pull-statistics.ts';
import { PullsRepository } from './statistics/pulls-repository.ts';
import type { EventSource } from './webhooks/envelopes.ts';
import { TargetPolicy } from './webhooks/target-policy.ts';
import { WebhookSender } from './webhooks/webhook-sender.ts';
import { Webhooks } from './webhooks/webhooks.ts';
import { WebhooksRepository } from './webhooks/webhooks-repository.ts';

export interface FederationOptions {
  /** What this registry calls itself when it tells others of its events. */
  readonly source: EventSource;
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

/** What the registry has to do with others: it tells them of changes, and keeps count of what they pull. */
export interface Federation {
  readonly webhooks: Webhooks;
  readonly statistics: PullStatistics;
  readonly pulls: PullsRepository;
  /** Delivers events, as long as somebody runs it. */
  readonly runner: OutboxRunner;
}

export function createFederation(
  { db, logger }: { db: RegistryDatabase; logger: Logger },
  options: FederationOptions,
): Federation {
  const outbox = new OutboxRepository(db);
  const feed = new EventFeedRepository(db);
  const { allowedNetworks, retry, timeout, keep } = options.webhooks;
  const targets = new TargetPolicy({ allowed: allowedNetworks });
  const sender = new WebhookSender({ targets }, { source: options.source, timeout });
  const webhooks = new Webhooks(
    { webhooks: new WebhooksRepository(db), outbox, feed, targets, sender },
    { retry },
  );
  const pulls = new PullsRepository(db);
  return {
    webhooks,
    pulls,
    statistics: new PullStatistics({ pulls, logger }),
    runner: new OutboxRunner({ outbox, feed, logger, consumers: () => webhooks.consumers() }, { keep }),
  };
}
