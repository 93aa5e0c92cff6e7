import type { ContentWriter } from '#content/content-store.ts';
import { type Digest, type DigestAlgorithm, Digester } from '#oci/digest.ts';

/** The digest of what an upload stored so far, and how many bytes that was. */
export class RunningHash {
  readonly algorithm: DigestAlgorithm;
  readonly #digester: Digester;
  #offset = 0;

  /** The hash of what the writer holds, read back: after a restart, or for another algorithm. */
  static async of(writer: ContentWriter, algorithm: DigestAlgorithm): Promise<RunningHash> {
    const hash = new RunningHash(algorithm);
    if (writer.offset > 0) for await (const chunk of writer.read()) hash.update(chunk);
    return hash;
  }

  /** Of nothing, yet. */
  constructor(algorithm: DigestAlgorithm) {
    this.algorithm = algorithm;
    this.#digester = new Digester(algorithm);
  }

  get offset(): number {
    return this.#offset;
  }

  update(chunk: Uint8Array): void {
    this.#digester.update(chunk);
    this.#offset += chunk.length;
  }

  /** Ends it: no `update` afterwards. */
  digest(): Digest {
    return this.#digester.digest();
  }
}

interface KeptHash {
  readonly hash: RunningHash;
  readonly token: number;
}

/** Which bytes of an upload a hash has to cover, and how. */
interface Wanted {
  readonly id: string;
  /** The token of the request that asks. */
  readonly token: number;
  readonly offset: number;
  readonly algorithm: DigestAlgorithm;
}

/** Hashes of uploads between two requests; the one that was idle longest is dropped. */
export class RunningHashes {
  readonly #limit: number;
  readonly #kept = new Map<string, KeptHash>();

  constructor(limit = 1000) {
    this.#limit = limit;
  }

  /**
   * Takes out an upload's hash if it covers exactly what is stored. Not after a request that came to another process,
   * which may have stored other bytes in the same number.
   */
  take({ id, token, offset, algorithm }: Wanted): RunningHash | undefined {
    if (offset === 0) return new RunningHash(algorithm);
    const kept = this.#kept.get(id);
    this.#kept.delete(id);
    if (!kept || token - kept.token > 1) return undefined;
    return kept.hash.offset === offset && kept.hash.algorithm === algorithm ? kept.hash : undefined;
  }

  keep({ id, token }: Pick<Wanted, 'id' | 'token'>, hash: RunningHash): void {
    this.#kept.delete(id);
    this.#kept.set(id, { hash, token });
    const oldest = this.#kept.size > this.#limit ? this.#kept.keys().next().value : undefined;
    if (oldest !== undefined) this.#kept.delete(oldest);
  }

  /** A request came by and stored nothing: what was kept covers what is stored as before. */
  pass({ id, token }: Pick<Wanted, 'id' | 'token'>): void {
    const kept = this.#kept.get(id);
    if (kept && token - kept.token === 1) this.#kept.set(id, { ...kept, token });
  }

  drop(id: string): void {
    this.#kept.delete(id);
  }
}
