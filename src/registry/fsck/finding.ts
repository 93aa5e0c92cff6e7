/** Something that is wrong between metadata and storage. */
export interface Finding {
  readonly kind:
    | 'content-missing'
    | 'content-size'
    | 'content-digest'
    | 'content-stray'
    | 'link-missing'
    | 'blob-missing'
    | 'usage-wrong';
  /** A digest, a location or a namespace. */
  readonly what: string;
  readonly detail: string;
  /** What was done about it, or can be done with `--repair`; undefined when only its owner can. */
  readonly remedy: string | undefined;
  readonly repaired: boolean;
}
