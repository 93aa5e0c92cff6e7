import type { ErrorKind } from '#errors/errors.ts';
import type { Received, ReceiveOptions } from './tree-receiver.ts';

/** A thread may have several receivers; `id` says which it is about. */
export type ToReceiver = { readonly id: number } & (
  | { readonly kind: 'start'; readonly root: string; readonly limits: ReceiveOptions }
  /** Packets, each behind its length (4, little-endian). */
  | { readonly kind: 'packets'; readonly batch: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'close' }
);

export type FromReceiver = {
  readonly id: number;
} /** A batch is done with. `requests`: numbers of files that are wanted; `fin`: none is missing any more. */ & (
  | {
      readonly kind: 'taken';
      readonly requests: readonly number[];
      readonly fin: boolean;
      readonly received: Received | undefined;
    }
  | { readonly kind: 'failed'; readonly errorKind: ErrorKind | undefined; readonly message: string }
  | { readonly kind: 'closed' }
);
