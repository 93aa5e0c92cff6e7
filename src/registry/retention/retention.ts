import type { Logger } from 'pino';
import { covers } from '#auth/policies/pattern.ts';
import type { ImmutableTags, ImmutableTagsRepository } from './immutable-tags-repository.ts';
import type { NamedRepository, RetentionRepository, TagFacts } from './retention-repository.ts';
import { keptBy, notKeptBy, type RetentionRule } from './retention-rule.ts';
import { type RetentionRulesRepository, rulesFor } from './retention-rules-repository.ts';
import { matchesTag } from './tag-pattern.ts';

const PAGE = 200;

/** What becomes of a tag that a rule is about, and why. */
export interface Decision {
  readonly repository: string;
  readonly tag: string;
  readonly manifest: string;
  readonly action: 'keep' | 'delete';
  /** The rule that keeps it; when it goes, those that do not. */
  readonly rules: readonly number[];
  readonly why: string;
}

/** Applies the rules for what is kept. Tags go at once, what they named when the collector finds it unused. */
export class Retention {
  readonly #rules: RetentionRulesRepository;
  readonly #immutable: ImmutableTagsRepository;
  readonly #repository: RetentionRepository;
  readonly #logger: Logger;

  constructor(ports: {
    rules: RetentionRulesRepository;
    immutable: ImmutableTagsRepository;
    repository: RetentionRepository;
    logger: Logger;
  }) {
    this.#rules = ports.rules;
    this.#immutable = ports.immutable;
    this.#repository = ports.repository;
    this.#logger = ports.logger;
  }

  /** Deletes what no rule keeps, and has the collector look at what is untagged. Returns how many tags went. */
  async run(options: { signal?: AbortSignal } = {}): Promise<{ tags: number }> {
    const rules = await this.#rules.list();
    let tags = 0;
    for await (const repository of this.#repositories(rules, options.signal)) {
      for await (const batch of this.#judge(repository, rules)) {
        const doomed = batch.filter(({ decision }) => decision.action === 'delete');
        if (doomed.length === 0) continue;
        tags += await this.#repository.deleteTags(
          repository,
          doomed.map(({ facts, decision }) => ({ ...facts, why: decision.why })),
        );
      }
      if (rulesFor(rules, 'untagged', repository.name).length > 0) {
        await this.#repository.reviewUntagged(repository);
      }
    }
    if (tags > 0) this.#logger.info({ tags }, 'deleted tags that no retention rule keeps');
    return { tags };
  }

  /** What `run` would do now with the tags that rules are about. Nothing is changed. */
  async *plan(
    options: { repository?: string; signal?: AbortSignal; rules?: readonly RetentionRule[] } = {},
  ): AsyncGenerator<Decision> {
    const rules = options.rules ?? (await this.#rules.list());
    for await (const repository of this.#repositories(rules, options.signal)) {
      if (options.repository !== undefined && repository.name !== options.repository) continue;
      for await (const batch of this.#judge(repository, rules)) yield* batch.map((it) => it.decision);
    }
  }

  /** The repositories that a rule is about. */
  async *#repositories(
    rules: readonly RetentionRule[],
    signal?: AbortSignal,
  ): AsyncGenerator<NamedRepository> {
    if (rules.length === 0) return;
    for (let last = ''; ; ) {
      const page = await this.#repository.repositories(PAGE, last);
      for (const repository of page) {
        signal?.throwIfAborted();
        if (rules.some((rule) => covers(rule.repositories, repository.name))) yield repository;
      }
      if (page.length < PAGE) return;
      last = page.at(-1)!.name;
    }
  }

  async *#judge(
    repository: NamedRepository,
    all: readonly RetentionRule[],
  ): AsyncGenerator<{ facts: TagFacts; decision: Decision }[]> {
    const rules = rulesFor(all, 'tagged', repository.name);
    if (rules.length === 0) return;
    const immutable = (await this.#immutable.list()).filter((it) => covers(it.repositories, repository.name));
    const judge = new TagJudge(repository.name, rules, immutable);
    for (let last: TagFacts | undefined; ; ) {
      const page = await this.#repository.tagsByAge(repository.id, PAGE, last);
      yield page.flatMap((facts) => {
        const decision = judge.decide(facts);
        return decision ? [{ facts, decision }] : [];
      });
      if (page.length < PAGE) return;
      last = page.at(-1)!;
    }
  }
}

/** Decides on the tags of a repository, which it has to be shown in the order of their age, the newest first. */
class TagJudge {
  readonly #repository: string;
  readonly #rules: readonly { rule: RetentionRule; seen: number }[];
  readonly #immutable: readonly ImmutableTags[];
  readonly #now = Date.now();

  constructor(repository: string, rules: readonly RetentionRule[], immutable: readonly ImmutableTags[]) {
    this.#repository = repository;
    this.#rules = rules.map((rule) => ({ rule, seen: 0 }));
    this.#immutable = immutable;
  }

  /** Undefined when no rule is about it. */
  decide({ name: tag, manifest, pushedAt, pulledAt, mirrored }: TagFacts): Decision | undefined {
    const about = this.#rules.filter(({ rule }) => matchesTag(rule.tags, tag));
    if (about.length === 0 || mirrored) return undefined;
    const judged = about.map((entry) => {
      const facts = { pushedAt, pulledAt, newer: entry.seen++ };
      const kept = keptBy(entry.rule, facts, this.#now);
      return { id: entry.rule.id, kept, why: kept?.why ?? notKeptBy(entry.rule, facts, this.#now) };
    });
    const decided = { repository: this.#repository, tag, manifest };
    if (this.#immutable.some(({ tags }) => matchesTag(tags, tag))) {
      return { ...decided, action: 'keep', rules: [], why: 'is immutable' };
    }
    const keeper = judged.find(({ kept }) => kept);
    if (keeper) return { ...decided, action: 'keep', rules: [keeper.id], why: keeper.why };
    return {
      ...decided,
      action: 'delete',
      rules: judged.map(({ id }) => id),
      why: judged.map(({ id, why }) => `rule ${id}: ${why}`).join('; '),
    };
  }
}
