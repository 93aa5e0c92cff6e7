import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { canceled, SlipwayError, systemCode, unavailable } from '#errors/errors.ts';
import type { TreePool } from '#worker/snapshots/tree/tree-pool.ts';
import type { FilePool } from '../files/file-pool.ts';
import type { SyncedDirectory } from '../session/build-session.ts';

export interface ContextPorts {
  readonly trees: TreePool;
  readonly files: Pick<FilePool, 'run'>;
}

export interface ContextOptions {
  /** Holds one directory for each context that is in use. Absolute. */
  readonly root: string;
  readonly limits: { readonly maxBytes: number; readonly maxEntries: number };
  /** The client is gone. */
  readonly signal: AbortSignal;
}

/**
 * A build context that comes as a tar, unpacked while it is received, when somebody first asks for it. It is there
 * until it is disposed of, and all that was handed out of it.
 */
export class ReceivedContext implements AsyncDisposable {
  readonly #ports: ContextPorts;
  readonly #options: ContextOptions;
  readonly #source: AsyncIterable<Uint8Array>;
  readonly #directory: string;
  #received: Promise<string> | undefined;
  #excluded = '';
  /** Itself, and what was handed out. */
  #holders = 1;

  constructor(ports: ContextPorts, source: AsyncIterable<Uint8Array>, options: ContextOptions) {
    this.#ports = ports;
    this.#source = source;
    this.#options = options;
    this.#directory = join(options.root, randomUUID());
  }

  /**
   * All of it but what `exclude` matches, which is gone from then on: ask for what has to be read of that before.
   * Throws `invalid` for a broken archive, `too-large`, `unavailable` when the client is gone.
   */
  async directory(exclude: readonly string[], { signal }: { signal: AbortSignal }): Promise<SyncedDirectory> {
    this.#received ??= this.#receive();
    const root = await this.#received;
    const patterns = JSON.stringify(exclude);
    if (exclude.length > 0 && patterns !== this.#excluded) {
      await this.#ports.files.run('removeExcluded', { root, patterns: exclude }, { signal });
      this.#excluded = patterns;
    }
    this.#holders++;
    let held = true;
    return {
      root,
      id: `${this.#directory} ${this.#excluded}`,
      passing: true,
      [Symbol.asyncDispose]: async () => {
        if (held) await this.#release();
        held = false;
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#received?.catch(() => undefined);
    await this.#release();
  }

  async #receive(): Promise<string> {
    const { limits, signal } = this.#options;
    // Its own mode counts: it is what COPY of all of it makes.
    const root = join(this.#directory, 'files');
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    await mkdir(root, { mode: 0o755 });
    try {
      await this.#ports.trees.run({ op: 'extract', root, limits }, { input: this.#source, signal });
    } catch (cause) {
      if (signal.aborted) throw canceled('context canceled');
      if (cause instanceof SlipwayError) throw cause;
      throw unavailable(`cannot receive the build context: ${systemCode(cause) ?? cause}`, { cause });
    }
    return root;
  }

  async #release(): Promise<void> {
    if (--this.#holders > 0) return;
    await this.#ports.trees.run({ op: 'remove', path: this.#directory });
  }
}
