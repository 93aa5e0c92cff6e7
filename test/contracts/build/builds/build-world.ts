import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openWorkerDatabase, type WorkerDatabase } from '#database/worker/open.ts';
import { invalid, notFound } from '#errors/errors.ts';
import { digestOf } from '#oci/digest.ts';
import type { Build, BuildStart } from '#worker/build/build-service.ts';
import { Builds } from '#worker/build/builds/builds.ts';
import type { Exporter, SolvedResult } from '#worker/build/export/exporter.ts';
import type { Bridge, Frontend, FrontendResult } from '#worker/build/frontend/frontend.ts';
import { BuildHistory, type BuildHistoryOptions } from '#worker/build/history/build-history.ts';
import type { Edge } from '#worker/build/llb/vertex.ts';
import { Misses } from '#worker/build/misses/misses.ts';
import { tellGraph } from '#worker/buildkit/definition/tell-graph.ts';
import { buildkitRecordFormat } from '#worker/buildkit/record-format.ts';
import { Recorder, SolverWorld, session } from '../solver/solver-world.ts';

const never = new AbortController().signal;

/** Builds over drivers that do nothing; history and logs are real. */
export class BuildWorld implements AsyncDisposable {
  readonly solving = new SolverWorld();
  readonly sessions = new Map([['client', session('client', 'files')]]);
  readonly exported: SolvedResult[] = [];
  readonly reported: unknown[] = [];
  readonly folder: string;
  readonly database: WorkerDatabase;
  readonly history: BuildHistory;
  readonly builds: Builds;
  frontend: (bridge: Bridge, options: Readonly<Record<string, string>>) => Promise<FrontendResult> =
    async () => resultOf(undefined);
  resolved = 0;
  #next = 0;

  private constructor(folder: string, database: WorkerDatabase, options: WorldOptions) {
    this.folder = folder;
    this.database = database;
    this.history = new BuildHistory({ database }, { directory: join(folder, 'logs'), ...options.history });
    const frontend: Frontend = { solve: (request, bridge) => this.frontend(bridge, request.options) };
    const exporter: Exporter = {
      export: async (result) => {
        this.exported.push(result);
        return { 'image.name': 'x' };
      },
    };
    const refuse = async () => {
      throw notFound('nothing is there');
    };
    this.builds = new Builds(
      {
        solver: this.solving.solver,
        sessions: { find: async (id) => this.sessions.get(id) ?? (await refuse()) },
        images: {
          resolve: async (reference) => {
            this.resolved++;
            return { reference, digest: digestOf(reference), config: Buffer.from('{}') };
          },
        },
        sources: { describe: async (source) => ({ source }) },
        reader: { readFile: refuse, readDirectory: refuse, statFile: refuse },
        packages: async () => ({ packages: [], distribution: undefined, distributionRelease: undefined }),
        tellGraph,
        frontends: new Map([['dockerfile.v0', frontend]]),
        exporters: {
          of: (type) => {
            if (type !== 'image') throw invalid(`no exporter ${type}`);
            return exporter;
          },
        },
        caches: {
          imports: {
            open: () => {
              throw invalid('no caches are imported here');
            },
          },
          exports: { export: refuse },
        },
        misses: new Misses({
          database,
          changes: async () => undefined,
          report: (error) => this.reported.push(error),
        }),
        history: this.history,
        format: buildkitRecordFormat,
        report: (error) => this.reported.push(error),
      },
      { maxConcurrent: options.maxConcurrent ?? 4, entitlements: new Set(['network.host'] as const) },
    );
  }

  static async open(options: WorldOptions = {}): Promise<BuildWorld> {
    const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'slipway-builds-')));
    const database = await openWorkerDatabase(join(folder, 'worker.db'));
    const world = new BuildWorld(folder, database, options);
    await world.history.reconcile();
    return world;
  }

  begin(start: Partial<BuildStart> = {}): Build {
    return this.builds.begin({
      ref: `build-${this.#next++}`,
      sessionId: 'client',
      frontend: 'dockerfile.v0',
      frontendOptions: {},
      frontendInputs: {},
      exporters: [{ type: 'image', attrs: {} }],
      cacheExports: [],
      cacheImports: [],
      entitlements: [],
      internal: false,
      ...start,
    });
  }

  async logs(): Promise<string[]> {
    return (await this.files()).filter((name) => name.endsWith('.log'));
  }

  /** All that the history keeps on disk. */
  files(): Promise<string[]> {
    return readdir(join(this.folder, 'logs'));
  }

  /** Ends it and begins again on the same directory. */
  async restart(options: WorldOptions = {}): Promise<BuildWorld> {
    await this.builds.stop();
    await this.database.destroy();
    return BuildWorld.open({ ...options, folder: this.folder });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.builds.stop();
    await this.database.destroy();
    await rm(this.folder, { recursive: true, force: true });
  }
}

interface WorldOptions {
  readonly folder?: string;
  readonly maxConcurrent?: number;
  readonly history?: Partial<BuildHistoryOptions>;
}

export function resultOf(edge: Edge | undefined): FrontendResult {
  return { refs: new Map([['', edge]]), metadata: new Map() };
}

/** All that a build tells until it is over. */
export async function watched(build: Pick<Build, 'watch'>): Promise<Recorder> {
  const heard = new Recorder();
  await build.watch(heard, { signal: never });
  return heard;
}
