import { conflict, forbidden, notFound } from '#errors/errors.ts';
import type { Build, BuildService, BuildStart } from '../build-service.ts';
import type { LiveBuild } from '../history/build-catalog.ts';
import type { BuildHistory } from '../history/build-history.ts';
import type { BuildLog } from '../history/build-log.ts';
import type { BuildMetrics } from '../history/build-metrics.ts';
import type { RecordFormat } from '../history/record-format.ts';
import { FairSlots } from '../solve/fair-slots.ts';
import type { BuildLimits, StepBounds } from '../solve/op-driver.ts';
import type { ProgressSink } from '../solve/progress.ts';
import { requestedLimits } from './requested-limits.ts';
import { type BuildOutcome, RunningBuild, type RunningBuildPorts } from './running-build.ts';
import { withoutSecrets } from './without-secrets.ts';

export interface BuildsPorts extends RunningBuildPorts {
  readonly history: BuildHistory;
  readonly format: RecordFormat;
  readonly metrics?: BuildMetrics | undefined;
  /** Told of what failed beside a build. */
  readonly report: (error: unknown) => void;
}

export interface BuildsOptions {
  /** Builds beyond it wait for their turn. */
  readonly maxConcurrent: number;
  /** What clients may ask for their steps. */
  readonly entitlements: BuildLimits['entitlements'];
  /** What steps get as of now, whatever is asked for. */
  readonly bounds?: () => StepBounds;
}

interface Known {
  readonly build: RunningBuild;
  readonly log: BuildLog;
  readonly internal: boolean;
  /** It is in the history. */
  begun?: Promise<void>;
  /** Set when it has ended. */
  forgetting?: NodeJS.Timeout;
}

/** How long one that has ended can be found, and how long one that is about to begin is waited for. */
const LINGER_MS = 60_000;
const PATIENCE_MS = 6_000;

/** The builds of a worker. Call `stop` at the end. */
export class Builds implements BuildService {
  readonly #ports: BuildsPorts;
  readonly #options: BuildsOptions;
  readonly #turns: FairSlots;
  readonly #known = new Map<string, Known>();
  readonly #awaited = new Map<string, Set<(build: Build) => void>>();

  constructor(ports: BuildsPorts, options: BuildsOptions) {
    this.#ports = ports;
    this.#options = options;
    this.#turns = new FairSlots(options.maxConcurrent);
  }

  begin(start: BuildStart): Build {
    const before = this.#known.get(start.ref);
    if (before && !before.forgetting) throw conflict(`build ${start.ref} exists already`);
    if (before) this.#forget(before);
    const asked = requestedLimits(start.frontendOptions);
    const entitlements = this.#granted(start.entitlements);
    const limits = { ...asked, entitlements, ...start.limits, bounds: this.#options.bounds?.() };
    const { history } = this.#ports;
    const log = history.openLog(start.ref);
    const ended = (outcome: BuildOutcome, error?: unknown) => this.#ended(known, outcome, error);
    const build = new RunningBuild(this.#ports, start, { log, turns: this.#turns, limits, ended });
    const known: Known = { build, log, internal: start.internal };
    this.#known.set(start.ref, known);
    if (!start.internal)
      known.begun = history.begun(withoutSecrets(build.record())).catch(this.#ports.report);
    for (const tell of this.#awaited.get(start.ref) ?? []) tell(build);
    return build;
  }

  async find(ref: string, { signal }: { signal: AbortSignal }): Promise<Build> {
    const known = this.#known.get(ref);
    if (known) return known.build;
    const { promise, resolve, reject } = Promise.withResolvers<Build>();
    const patience = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]);
    const give = () => reject(notFound(`no such job ${ref}`));
    patience.addEventListener('abort', give, { once: true });
    const waiting = this.#awaited.get(ref) ?? new Set();
    this.#awaited.set(ref, waiting.add(resolve));
    try {
      return await promise;
    } finally {
      patience.removeEventListener('abort', give);
      waiting.delete(resolve);
      if (waiting.size === 0) this.#awaited.delete(ref);
    }
  }

  /** One that is under way and will be in the history. */
  running(ref: string): LiveBuild | undefined {
    const known = this.#known.get(ref);
    if (!known || known.internal || known.forgetting) return undefined;
    const { build, log } = known;
    return {
      record: withoutSecrets(build.record()),
      read: (options) => log.read(options),
      cancel: () => build.cancel(),
    };
  }

  /** How many have begun, or wait for their turn. */
  underWay(): number {
    return [...this.#known.values()].filter(({ internal, forgetting }) => !internal && !forgetting).length;
  }

  /** Ends running builds and waits for them. */
  async stop(): Promise<void> {
    const all = [...this.#known.values()];
    for (const { build, forgetting } of all) if (!forgetting) build.cancel();
    await Promise.allSettled(all.map(({ build }) => build.done));
    for (const known of all) this.#forget(known);
  }

  #granted(wanted: readonly string[]): BuildLimits['entitlements'] {
    const allowed = this.#options.entitlements;
    const granted = new Set(wanted) as Set<string> as BuildLimits['entitlements'];
    const refused = [...granted].find((entitlement) => !allowed.has(entitlement));
    if (refused)
      throw forbidden(`granting entitlement ${refused} is not allowed by build daemon configuration`);
    return granted;
  }

  async #ended(known: Known, outcome: BuildOutcome, error: unknown): Promise<void> {
    const { build, log, internal } = known;
    try {
      if (!internal) await this.#remember(build, log, outcome, error);
    } catch (failure) {
      this.#ports.report(failure);
    }
    known.forgetting = setTimeout(() => this.#forget(known), LINGER_MS).unref();
  }

  async #remember(build: RunningBuild, log: BuildLog, outcome: BuildOutcome, error: unknown): Promise<void> {
    const { history, format, metrics } = this.#ports;
    const record = withoutSecrets(build.record(outcome));
    metrics?.ended(record);
    const failure = record.error && { error, message: record.error.message };
    const replay = (sink: ProgressSink) => log.replay(sink, { signal: new AbortController().signal });
    await history.ended(record, {
      logBytes: await log.keep(),
      attach: (writer) => build.documents.write(writer, { format, record, replay, failure }),
    });
  }

  #forget(known: Known): void {
    clearTimeout(known.forgetting);
    if (this.#known.get(known.build.ref) === known) this.#known.delete(known.build.ref);
    known.log.close({ keep: !known.internal }).catch(this.#ports.report);
  }
}
