import type { Kysely } from 'kysely';
import type { BuildTables } from '#database/worker/build-schema.ts';
import { formatPlatform } from '#oci/platform.ts';
import type { Vertex } from '../llb/vertex.ts';
import type { MissedStep, MissListener } from '../solve/missed-step.ts';
import { explainMiss, type FindChanges } from './explain-miss.ts';
import { MemoRepository } from './memo-repository.ts';
import { memoOf, readMemo, type StepMemo } from './step-memo.ts';

export interface MissesPorts {
  readonly database: Kysely<BuildTables>;
  readonly changes: FindChanges;
  /** Told of what failed beside a build. */
  readonly report: (error: unknown) => void;
}

/** A build, as far as reasons are concerned. Asked for when there is something to explain. */
export interface ExplainedBuild {
  /** The same for builds of the same Dockerfile and context. */
  project(): string;
  buildArguments(): ReadonlySet<string>;
  readonly told: (digest: string, reason: string) => void;
}

/**
 * Finds out why steps are done: each is compared with what was last done at its place, which is its stage and position in
 * its project. A build that does nothing neither reads nor writes anything here.
 */
export class Misses {
  readonly #ports: MissesPorts;
  readonly #rows: MemoRepository;

  constructor(ports: MissesPorts) {
    this.#ports = ports;
    this.#rows = new MemoRepository(ports.database);
  }

  of(build: ExplainedBuild): BuildMisses {
    return new BuildMisses(this.#ports, this.#rows, build);
  }
}

/** Those of one build. Dispose of it when all steps are done: then they are what later ones are compared with. */
export class BuildMisses implements MissListener, AsyncDisposable {
  readonly #ports: MissesPorts;
  readonly #rows: MemoRepository;
  readonly #build: ExplainedBuild;
  readonly #explaining: Promise<void>[] = [];
  readonly #missed = new Map<string, MissedStep>();
  readonly #done = new Map<string, StepMemo>();
  #before: Promise<ReadonlyMap<string, string>> | undefined;

  constructor(ports: MissesPorts, rows: MemoRepository, build: ExplainedBuild) {
    this.#ports = ports;
    this.#rows = rows;
    this.#build = build;
  }

  missed(step: MissedStep): void {
    this.#missed.set(step.vertex.digest, step);
    this.#explaining.push(this.#explain(step).catch(this.#ports.report));
  }

  done(vertex: Vertex): void {
    const step = this.#missed.get(vertex.digest);
    if (step) this.#done.set(placeOf(vertex), memoOf(step));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#explaining);
    if (this.#done.size === 0) return;
    const memos = [...this.#done].map(([place, memo]) => [place, JSON.stringify(memo)] as const);
    await this.#rows.save(this.#build.project(), memos, new Date()).catch(this.#ports.report);
  }

  async #explain(step: MissedStep): Promise<void> {
    this.#before ??= this.#rows.find(this.#build.project());
    const text = (await this.#before).get(placeOf(step.vertex));
    const before = text === undefined ? undefined : readMemo(text);
    const { changes } = this.#ports;
    const buildArguments = this.#build.buildArguments();
    this.#build.told(step.vertex.digest, await explainMiss(step, before, { changes, buildArguments }));
  }
}

/** `[linux/amd64 build 2/5] RUN make` is the second step of `build`, whatever it does, and however many follow. */
function placeOf({ op, platform, metadata: { name } }: Vertex): string {
  const [, where] = /^\[([^\]]*?)\/\d+\]/.exec(name) ?? [];
  return `${op.kind} ${platform ? formatPlatform(platform) : ''} ${where?.replace(/ +/g, ' ') ?? name}`;
}
