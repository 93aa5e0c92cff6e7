/** How to reach and use a bucket. Times in milliseconds, sizes in bytes. */
export interface S3Settings {
  readonly bucket: string;
  /** Before every key, without slashes at its ends; empty for none. */
  readonly prefix: string;
  readonly region: string;
  /** `http(s)://host[:port]`; undefined for AWS's own. */
  readonly endpoint: string | undefined;
  /** Where clients reach the same bucket, for the URLs that they are handed; undefined for `endpoint`. */
  readonly publicEndpoint: string | undefined;
  /** `endpoint/bucket/key` instead of `bucket.endpoint/key`. */
  readonly pathStyle: boolean;
  /** Undefined: as the AWS tools find them (environment, shared files, the machine's role). */
  readonly credentials: S3Credentials | (() => Promise<S3Credentials>) | undefined;
  readonly encryption: S3Encryption | undefined;
  /**
   * Sign what is uploaded too, which lets the server find out what was changed on the way and costs a hash of every
   * byte; undefined: where there is no TLS to do the same.
   */
  readonly signPayload: boolean | undefined;
  /** Of the parts of a multipart upload; the later ones of a very large upload are larger. */
  readonly partSize: number;
  /** Parts on their way at once, over all uploads of this process. */
  readonly maxParts: number;
  readonly maxConnections: number;
  /** How often a request is tried, with longer and longer pauses. */
  readonly attempts: number;
  readonly connectTimeout: number;
  /** Silence on a connection. */
  readonly idleTimeout: number;
  /** How long a URL that was handed out is good for. */
  readonly linkExpiry: number;
}

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** Server-side encryption; `key` is a KMS key's id, undefined for the bucket's own. */
export type S3Encryption =
  | { readonly algorithm: 'AES256' }
  | { readonly algorithm: 'aws:kms' | 'aws:kms:dsse'; readonly key: string | undefined };
