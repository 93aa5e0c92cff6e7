import { unavailable } from '#errors/errors.ts';
import { digestOf } from '#oci/digest.ts';
import { formatPlatform } from '#oci/platform.ts';
import type { Bridge, FileStat, ResolvedImage, ResolveImageOptions } from '../frontend/frontend.ts';
import type { Edge } from '../llb/vertex.ts';
import type { BuildSession } from '../session/build-session.ts';
import type { ProgressSink, WarningEvent } from '../solve/progress.ts';
import type { Ref } from '../solve/ref.ts';
import type { SolveJob } from '../solve/solve-job.ts';
import { shownAsVertex } from './shown-as-vertex.ts';
import { unresolved } from './unresolved-image.ts';

/** Finds out what an image's name stands for now. */
export interface ImageResolver {
  /** As of `Bridge.resolveImage`; credentials are the session's. */
  resolve(
    reference: string,
    options: Omit<ResolveImageOptions, 'name'> & { session: BuildSession; signal: AbortSignal },
  ): Promise<ResolvedImage>;
}

/** Reads files of refs, as of `Bridge`. */
export interface RefReader {
  readFile(
    ref: Ref,
    path: string,
    options: { signal: AbortSignal; range?: { offset: number; length: number } },
  ): Promise<Uint8Array>;
  readDirectory(
    ref: Ref,
    path: string,
    options: { signal: AbortSignal; include?: string },
  ): Promise<readonly FileStat[]>;
  statFile(ref: Ref, path: string, options: { signal: AbortSignal }): Promise<FileStat>;
}

export interface BuildBridgePorts {
  readonly images: ImageResolver;
  readonly reader: RefReader;
}

/** What a build has when its turn has come. */
export interface OpenBuild {
  readonly session: BuildSession;
  readonly job: SolveJob;
}

/** A build as its frontend sees it. What is asked for before the build's turn has come waits for that. */
export class BuildBridge implements Bridge {
  readonly signal: AbortSignal;
  /** What frontends have looked at, by vertex. */
  readonly #consulted = new Map<string, Edge>();
  readonly #ports: BuildBridgePorts;
  readonly #progress: ProgressSink;
  readonly #opened: Promise<OpenBuild>;
  readonly #images = new Map<string, Promise<ResolvedImage>>();
  readonly #asked = new Set<string>();
  #session: BuildSession | undefined;

  constructor(
    ports: BuildBridgePorts,
    build: { opened: Promise<OpenBuild>; progress: ProgressSink; signal: AbortSignal },
  ) {
    this.#ports = ports;
    this.#progress = build.progress;
    this.#opened = build.opened;
    this.signal = build.signal;
    build.opened.then(
      ({ session }) => {
        this.#session = session;
      },
      () => undefined,
    );
  }

  get session(): BuildSession {
    if (!this.#session) throw unavailable('the build has not begun');
    return this.#session;
  }

  /** A name means the same throughout a build. */
  resolveImage(reference: string, { name, ...options }: ResolveImageOptions): Promise<ResolvedImage> {
    const key = [reference, formatPlatform(options.platform), options.mode, options.store].join(' ');
    const known = this.#images.get(key);
    if (known) return known;
    const resolved = this.#opened.then(({ session }) =>
      shownAsVertex(this.#progress, { digest: digestOf(`resolve ${key}`), name }, () =>
        this.#ports.images
          .resolve(reference, { ...options, session, signal: this.signal })
          .catch((error: unknown) => {
            throw unresolved(error, reference);
          }),
      ),
    );
    this.#images.set(key, resolved);
    this.#asked.add(reference);
    return resolved;
  }

  /** References of images that frontends have asked for. */
  get asked(): ReadonlySet<string> {
    return this.#asked;
  }

  get consulted(): readonly Edge[] {
    return [...this.#consulted.values()];
  }

  async solve(edge: Edge): Promise<Ref> {
    const { job } = await this.#opened;
    this.#consulted.set(edge.vertex.digest, edge);
    return job.solve(edge);
  }

  readFile(ref: Ref, path: string, range?: { offset: number; length: number }): Promise<Uint8Array> {
    return this.#ports.reader.readFile(ref, path, { signal: this.signal, ...(range && { range }) });
  }

  readDirectory(ref: Ref, path: string, include?: string): Promise<readonly FileStat[]> {
    const { signal } = this;
    return this.#ports.reader.readDirectory(ref, path, { signal, ...(include !== undefined && { include }) });
  }

  statFile(ref: Ref, path: string): Promise<FileStat> {
    return this.#ports.reader.statFile(ref, path, { signal: this.signal });
  }

  warn(warning: Omit<WarningEvent, 'vertex'> & { readonly vertex?: string }): void {
    this.#progress.warning({ ...warning, vertex: warning.vertex ?? '' });
  }
}
