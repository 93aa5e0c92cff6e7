import { createHash } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Kysely } from 'kysely';
import type { BuildTables } from '#database/worker/build-schema.ts';
import { notFound } from '#errors/errors.ts';
import type { ProgressSink } from '../solve/progress.ts';
import { BuildDocuments, type DocumentsWriter } from './build-documents.ts';
import { tell } from './build-events.ts';
import { BuildLog } from './build-log.ts';
import type {
  BuildAttachments,
  BuildPosition,
  BuildRecord,
  HistoryEvent,
  KeptRecord,
} from './build-record.ts';
import { type DocumentRow, HistoryRepository, type HistoryRow } from './history-repository.ts';
import { readLogFile } from './log-file.ts';
import type { ReadOptions, ToldEvent } from './log-parser.ts';

export interface BuildHistoryOptions {
  /** For logs, its own. Absolute. */
  readonly directory: string;
  readonly maxBuilds?: number;
  readonly maxAgeMs?: number;
  /** Of logs, and of what is kept with them. */
  readonly maxLogBytes?: number;
}

/** What remains of a build beside its record. */
export interface EndedBuild {
  readonly logBytes: number;
  /** Writes down what is to be kept with it. */
  readonly attach?: (writer: DocumentsWriter) => Promise<BuildAttachments>;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const DEFAULTS = { maxBuilds: 1000, maxAgeMs: 30 * DAY_MS, maxLogBytes: 512 * 1024 * 1024 };

/** Builds that are over, with their logs and documents, until they are too many or too old; and those under way. */
export class BuildHistory {
  readonly documents: BuildDocuments;
  readonly #rows: HistoryRepository;
  readonly #options: Required<BuildHistoryOptions>;
  readonly #listeners = new Set<(event: HistoryEvent) => void>();
  #generation = 0;

  constructor(ports: { database: Kysely<BuildTables> }, options: BuildHistoryOptions) {
    this.#rows = new HistoryRepository(ports.database);
    this.#options = { ...DEFAULTS, ...options };
    this.documents = new BuildDocuments({ rows: this.#rows }, options.directory);
  }

  /** Call once at start: builds that a killed worker had under way have failed. */
  async reconcile(): Promise<void> {
    await mkdir(this.#options.directory, { recursive: true, mode: 0o700 });
    const rows = await this.#rows.list();
    this.#generation = Math.max(0, ...rows.map((row) => row.generation));
    for (const row of rows.filter((one) => one.completed_at === null)) {
      const error = { kind: 'unavailable', message: 'the worker was stopped' };
      await this.#save({ ...recordOf(row), completedAt: new Date(), error }, row.log_bytes);
    }
    const known = new Set(rows.map((row) => fileOf(row.ref)));
    for (const file of await this.#rows.documentFiles()) known.add(file);
    for (const name of await readdir(this.#options.directory)) {
      if (!known.has(name)) await rm(join(this.#options.directory, name), { force: true });
    }
  }

  /** A log for a build that begins; it takes the place of an earlier one's of its name. */
  openLog(ref: string): BuildLog {
    return new BuildLog(this.#pathOf(ref));
  }

  async begun(record: BuildRecord): Promise<void> {
    await this.#save(record, 0);
  }

  /** The build is over, and its log is kept. */
  async ended(record: BuildRecord, { logBytes, attach }: EndedBuild): Promise<void> {
    const { ref } = record;
    const before = await this.#rows.documentFiles(ref);
    await using writer = this.documents.writer();
    let attachments: BuildAttachments | undefined;
    try {
      attachments = await attach?.(writer);
      await writer.flush();
    } catch (error) {
      await this.#remove([writer.file]);
      await this.#save(record, logBytes);
      throw error;
    }
    await this.#save({ ...record, ...(attachments && { attachments }) }, logBytes, writer.rows);
    await this.#remove(before);
    await this.#trim();
  }

  async list(limit?: number): Promise<KeptRecord[]> {
    return (await this.#rows.list(limit)).map(recordOf);
  }

  async find(ref: string): Promise<KeptRecord | undefined> {
    const row = await this.#rows.find(ref);
    return row && recordOf(row);
  }

  /** The newest first; those behind `after`. */
  async page(limit: number, after?: BuildPosition): Promise<KeptRecord[]> {
    return (await this.#rows.page(limit, after)).map(recordOf);
  }

  /** Tells what a build that is over has told. Throws `not-found`. */
  async replay(ref: string, sink: ProgressSink, options: { signal: AbortSignal }): Promise<void> {
    if (!(await this.#rows.find(ref))) throw notFound(`no such build: ${ref}`);
    for await (const { told } of this.read(ref, options)) await tell(sink, told);
  }

  /** What a build that is over has told; nothing, if none of it is there any more. */
  async *read(ref: string, options: Omit<ReadOptions, 'follow'>): AsyncGenerator<ToldEvent> {
    const row = await this.#rows.find(ref);
    if (row && row.log_bytes > 0) yield* readLogFile(this.#pathOf(ref), options);
  }

  async pin(ref: string, pinned: boolean): Promise<void> {
    await this.#rows.pin(ref, pinned);
  }

  /** Not finding it is no error. */
  async delete(ref: string): Promise<void> {
    const row = await this.#rows.find(ref);
    if (!row) return;
    const documents = await this.#rows.documentFiles(ref);
    await this.#rows.delete(ref);
    await this.#remove([fileOf(ref), ...documents]);
    this.#publish({ type: 'deleted', record: recordOf(row) });
  }

  /** Hears of builds from now on, until it is disposed of. */
  listen(listener: (event: HistoryEvent) => void): Disposable {
    const own = (event: HistoryEvent) => listener(event);
    this.#listeners.add(own);
    return { [Symbol.dispose]: () => void this.#listeners.delete(own) };
  }

  async #save(
    record: BuildRecord,
    logBytes: number,
    documents?: readonly Omit<DocumentRow, 'ref'>[],
  ): Promise<void> {
    const { ref, createdAt, completedAt } = record;
    const pinned = (await this.#rows.find(ref))?.pinned ?? 0;
    const row: HistoryRow = {
      ref,
      generation: ++this.#generation,
      created_at: createdAt.toISOString(),
      completed_at: completedAt?.toISOString() ?? null,
      pinned,
      record: JSON.stringify(record),
      log_bytes: logBytes,
    };
    if (documents) await this.#rows.saveEnded(row, documents);
    else await this.#rows.save(row);
    this.#publish({ type: completedAt ? 'complete' : 'started', record: recordOf(row) });
  }

  /** Forgets the oldest. */
  async #trim(): Promise<void> {
    const { maxBuilds, maxAgeMs, maxLogBytes } = this.#options;
    let builds = 0;
    let bytes = 0;
    for (const row of await this.#rows.forgettable()) {
      builds++;
      bytes += row.bytes;
      const old = Date.now() - Date.parse(row.completedAt) > maxAgeMs;
      // The one that has just ended stays, however much it said.
      if (builds > 1 && (old || builds > maxBuilds || bytes > maxLogBytes)) await this.delete(row.ref);
    }
  }

  #publish(event: HistoryEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  async #remove(files: readonly string[]): Promise<void> {
    for (const file of files) await rm(join(this.#options.directory, file), { force: true });
  }

  #pathOf(ref: string): string {
    return join(this.#options.directory, fileOf(ref));
  }
}

/** Clients choose what their builds are called. */
function fileOf(ref: string): string {
  return `${createHash('sha256').update(ref).digest('hex')}.log`;
}

function recordOf({ record, pinned, generation }: HistoryRow): KeptRecord {
  const { createdAt, completedAt, steps, ...rest } = JSON.parse(record);
  return {
    ...rest,
    createdAt: new Date(createdAt),
    ...(completedAt && { completedAt: new Date(completedAt) }),
    steps: steps.map((step: { startedAt?: string; completedAt?: string }) => ({
      ...step,
      ...(step.startedAt && { startedAt: new Date(step.startedAt) }),
      ...(step.completedAt && { completedAt: new Date(step.completedAt) }),
    })),
    pinned: pinned === 1,
    generation,
  };
}
