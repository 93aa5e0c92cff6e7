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

  private constructor(algorithm: DigestAlgorithm) {
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

/** Hashes of uploads between two requests; the one that was idle longest is dropped, and read back if needed. */
export class RunningHashes {
  readonly #limit: number;
  readonly #hashes = new Map<string, RunningHash>();

  constructor(limit = 1000) {
    this.#limit = limit;
  }

  /** Takes out an upload's hash if it covers exactly what is stored, in this algorithm; else rebuilds it. */
  async take(id: string, writer: ContentWriter, algorithm: DigestAlgorithm): Promise<RunningHash> {
    const kept = this.#hashes.get(id);
    this.#hashes.delete(id);
    const usable = kept?.offset === writer.offset && kept.algorithm === algorithm;
    return usable ? kept : await RunningHash.of(writer, algorithm);
  }

  keep(id: string, hash: RunningHash): void {
    this.#hashes.set(id, hash);
    const oldest = this.#hashes.size > this.#limit ? this.#hashes.keys().next().value : undefined;
    if (oldest !== undefined) this.#hashes.delete(oldest);
  }

  drop(id: string): void {
    this.#hashes.delete(id);
  }
}
