/** A registry that is measured; disposing stops it and removes what it stored. */
export interface Contestant extends AsyncDisposable {
  /** As the table's heading has it, with its version. */
  readonly name: string;
  /** `127.0.0.1:port` */
  readonly address: string;
  readonly pid: number;
}

/** Where the contestants of one table keep their blobs. */
export type Storage =
  | { readonly kind: 'filesystem' }
  | {
      readonly kind: 's3';
      readonly endpoint: string;
      readonly region: string;
      readonly bucket: string;
      readonly accessKeyId: string;
      readonly secretAccessKey: string;
    };
