import { randomUUID } from 'node:crypto';
import { appendFile } from 'node:fs/promises';
import { patiently } from '#async/patiently.ts';
import { canceled, SlipwayError, systemCode, unavailable } from '#errors/errors.ts';
import { removalLine } from '#worker/snapshots/tree/archive-index.ts';
import type { TreePool } from '#worker/snapshots/tree/tree-pool.ts';
import type { RetainedDirectories, RetainedDirectory } from '../context/retained-directories.ts';
import type { FilePool } from '../files/file-pool.ts';
import type { SyncedDirectory } from '../session/build-session.ts';
import { leftWaiting } from '../session/left-waiting.ts';
import { openArchive } from './archive-start.ts';

export interface ContextPorts {
  readonly trees: Pick<TreePool, 'run'>;
  readonly files: Pick<FilePool, 'run'>;
  readonly directories: RetainedDirectories;
}

export interface ContextOptions {
  readonly limits: { readonly maxBytes: number; readonly maxEntries: number };
  /** How long the client may leave us waiting for the next of it; 0: for ever. */
  readonly patienceMs: number;
  /** The client is gone. */
  readonly signal: AbortSignal;
}

interface Received {
  readonly directory: RetainedDirectory;
  /** What in it is as it was when it was last received was left alone; it is kept for the next build. */
  readonly lasting: boolean;
  /** Of all that it holds. */
  readonly content: string;
}

/**
 * A build context that comes as a tar, unpacked while it is received, when somebody first asks for it: into the directory
 * that the last context which began as this one does was unpacked into. It is there until it is disposed of, and all
 * that was handed out of it.
 */
export class ReceivedContext implements AsyncDisposable {
  readonly #ports: ContextPorts;
  readonly #options: ContextOptions;
  readonly #source: AsyncIterable<Uint8Array>;
  #received: Promise<Received> | undefined;
  #excluded = '';
  /** Itself, and what was handed out. */
  #holders = 1;

  constructor(ports: ContextPorts, source: AsyncIterable<Uint8Array>, options: ContextOptions) {
    this.#ports = ports;
    this.#source = patiently(source, options.patienceMs, () => leftWaiting(options.patienceMs));
    this.#options = options;
  }

  /**
   * All of it but what `exclude` matches, which is gone from then on: ask for what has to be read of that before.
   * Throws `invalid` for a broken archive, `too-large`, `unavailable` when the client is gone, or sends nothing any more.
   */
  async directory(exclude: readonly string[], { signal }: { signal: AbortSignal }): Promise<SyncedDirectory> {
    this.#received ??= this.#receive();
    const received = await this.#received;
    const { root } = received.directory;
    const patterns = JSON.stringify(exclude);
    if (exclude.length > 0 && patterns !== this.#excluded) {
      await this.#exclude(received, exclude, signal);
      this.#excluded = patterns;
    }
    this.#holders++;
    let held = true;
    return {
      root,
      // Times are no part of it: what is made of one checkout of the same files is good for the next.
      id: `${root} ${received.content} ${this.#excluded}`,
      passing: !received.lasting,
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

  async #receive(): Promise<Received> {
    const { limits, signal } = this.#options;
    const { trees, directories } = this.#ports;
    try {
      const { names, archive } = await openArchive(this.#source);
      const key = JSON.stringify(['context', 'archive', names]);
      const directory = await directories.acquire({ key, variant: '' });
      const { root, notes: index } = directory;
      try {
        const { content, entries, bytes } = await trees.run(
          { op: 'receive', root, index, limits },
          { input: archive, signal },
        );
        const lasting = content !== undefined;
        if (lasting) directory.settle({ changed: true, entries, bytes });
        else directory.drop();
        return { directory, lasting, content: content ?? randomUUID() };
      } catch (error) {
        // What is in it now, nobody knows.
        directory.drop();
        await directory[Symbol.asyncDispose]();
        throw error;
      }
    } catch (cause) {
      if (signal.aborted) throw canceled('context canceled');
      if (cause instanceof SlipwayError) throw cause;
      throw unavailable(`cannot receive the build context: ${systemCode(cause) ?? cause}`, { cause });
    }
  }

  async #exclude(
    { directory, lasting }: Received,
    patterns: readonly string[],
    signal: AbortSignal,
  ): Promise<void> {
    const { root, notes: index } = directory;
    // Until it is known what is gone, nothing is.
    directory.drop();
    const removed = await this.#ports.files.run('removeExcluded', { root, patterns }, { signal });
    if (!lasting) return;
    if (removed.length > 0) await appendFile(index, removed.map(removalLine).join(''));
    directory.drop(false);
  }

  async #release(): Promise<void> {
    if (--this.#holders > 0) return;
    const received = await this.#received?.catch(() => undefined);
    await received?.directory[Symbol.asyncDispose]();
  }
}
