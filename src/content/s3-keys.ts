import { locationSegments } from './location.ts';

/**
 * What is where in a bucket, below the store's prefix:
 *
 *     content/<location>                committed; the multipart upload of what is being written has this key too
 *     ingest/<location>/tail-<offset>   bytes after the parts, too few for a part of their own
 *     ingest/<location>/unsealing       `content/<location>` is not committed: see S3Ingest.unseal
 *
 * What is in `ingest` belongs to a multipart upload that is there: it comes after that and goes before it.
 */
export class S3Keys {
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix === '' ? '' : `${prefix}/`;
  }

  /** Throws `invalid`, as all that take a location. */
  content(location: string): string {
    return `${this.#prefix}content/${checked(location)}`;
  }

  contents(below?: string): string {
    return below === undefined ? `${this.#prefix}content/` : `${this.content(below)}/`;
  }

  /** The beginning of all that belongs to a write. */
  ingest(location: string): string {
    return `${this.#prefix}ingest/${checked(location)}/`;
  }

  tail(location: string, offset: number): string {
    return `${this.ingest(location)}tail-${String(offset).padStart(15, '0')}`;
  }

  ingests(): string {
    return `${this.#prefix}ingest/`;
  }

  unsealing(location: string): string {
    return `${this.ingest(location)}unsealing`;
  }

  /** The location of a `content` key. */
  location(key: string): string {
    return key.slice(this.contents().length);
  }

  /** The location of an `unsealing` key; undefined for another one. */
  unsealingLocation(key: string): string | undefined {
    const end = '/unsealing';
    return key.endsWith(end) ? key.slice(this.ingests().length, -end.length) : undefined;
  }

  /** The offset of a `tail` key; undefined for another one. */
  tailOffset(key: string): number | undefined {
    const [, offset] = /\/tail-(\d{15})$/.exec(key) ?? [];
    return offset === undefined ? undefined : Number(offset);
  }
}

function checked(location: string): string {
  locationSegments(location);
  return location;
}
