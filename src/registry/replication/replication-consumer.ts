import { KeyedLock } from '#async/keyed-lock.ts';
import { isKind, messageOf, SlipwayError } from '#errors/errors.ts';
import type { Digest } from '#oci/digest.ts';
import type { RepositoryName, Tag } from '#oci/reference.ts';
import type { RecordedEvent } from '../events/recorded-event.ts';
import type { ManifestReference } from '../manifests/manifests.ts';
import type { Consumer, Outcome, RetryPlan } from '../outbox/consumer.ts';
import type { Delivery } from '../outbox/outbox-repository.ts';
import { isReplicated, type ReplicationRule } from './replication-rule.ts';
import type { Replicator } from './replicator.ts';

export function consumerName(rule: string): string {
  return `replication:${rule}`;
}

/** A rule as the outbox sees it: each push and delete of what it is for is a job. */
export class ReplicationConsumer implements Consumer {
  readonly name: string;
  readonly retry: RetryPlan;
  readonly concurrency = 4;
  readonly rule: ReplicationRule;
  readonly #replicator: Replicator;
  /** One job a repository at a time: two would send the same blobs. */
  readonly #locks = new KeyedLock();

  constructor(rule: ReplicationRule, ports: { replicator: Replicator }, options: { retry: RetryPlan }) {
    this.rule = rule;
    this.name = consumerName(rule.name);
    this.retry = options.retry;
    this.#replicator = ports.replicator;
  }

  wants({ action, outcome, repository }: RecordedEvent): boolean {
    if (outcome !== 'done' || repository === null || !isReplicated(this.rule, repository)) return false;
    const deletes = action === 'tag.delete' || action === 'manifest.delete';
    return action === 'manifest.push' || (this.rule.deletes && deletes);
  }

  async deliver({ event }: Delivery, { signal }: { signal: AbortSignal }): Promise<Outcome> {
    const repository = event.repository as RepositoryName;
    const reference = referenceOf(event);
    if (!reference) return { kind: 'refused', result: 'the event names no manifest' };
    try {
      return await this.#locks.run(repository, async () => {
        signal.throwIfAborted();
        return event.action === 'manifest.push'
          ? await this.#push(repository, reference, signal)
          : await this.#delete(repository, reference, signal);
      });
    } catch (error) {
      const detail = error instanceof SlipwayError ? error.detail : undefined;
      const { retryAfterMs: retryAfter } = (detail ?? {}) as { retryAfterMs?: number };
      return { kind: 'failed', result: messageOf(error), retryAfter };
    }
  }

  async #push(
    repository: RepositoryName,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<Outcome> {
    const done = await this.#replicator.replicate(this.rule, repository, reference, signal);
    if (!done) return { kind: 'delivered', result: 'it is gone' };
    const { manifests, uploaded, present } = done;
    const result = `${manifests} manifests, ${uploaded} blobs uploaded, ${present} there already`;
    return { kind: 'delivered', result };
  }

  async #delete(
    repository: RepositoryName,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<Outcome> {
    try {
      const removed = await this.#replicator.remove(this.rule, repository, reference, signal);
      return { kind: 'delivered', result: removed ? 'deleted' : 'nothing to delete' };
    } catch (error) {
      if (!isKind(error, 'unsupported')) throw error;
      return { kind: 'refused', result: 'the target does not delete that' };
    }
  }
}

function referenceOf({ action, tag, digest }: RecordedEvent): ManifestReference | undefined {
  if (tag !== null && action !== 'manifest.delete') return { tag: tag as Tag };
  return digest === null ? undefined : { digest: digest as Digest };
}
