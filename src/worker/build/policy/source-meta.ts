import type { Descriptor } from '#oci/descriptor.ts';
import type { SourceOp } from '../llb/op.ts';

/** What a source was found to be, before it is built on. */
export interface SourceMeta {
  /** As it was asked for, or as policies have it. */
  readonly source: SourceOp;
  readonly image?: {
    readonly digest: string;
    /** The configuration, exactly; undefined: nobody asked for it. */
    readonly config?: Uint8Array;
    readonly attestations?: AttestationChain;
  };
  readonly git?: GitMeta;
  readonly http?: {
    readonly digest: string;
    readonly filename: string;
    readonly lastModified?: Date;
    readonly checksum?: { readonly digest: string; readonly suffix: Uint8Array };
  };
}

export interface GitMeta {
  /** Of the commit, or of the tag where that is an object of its own. */
  readonly checksum: string;
  /** Full: `refs/heads/main`. */
  readonly ref: string;
  /** Of the commit that a tag names. */
  readonly commitChecksum?: string;
  readonly commitObject?: Uint8Array;
  readonly tagObject?: Uint8Array;
}

/** Documents by which a client can prove what an image is: its index, its attestations, and their signature. */
export interface AttestationChain {
  readonly root: string;
  readonly imageManifest: string;
  readonly attestationManifest?: string;
  readonly signatureManifests: readonly string[];
  readonly blobs: readonly { readonly descriptor: Descriptor; readonly data: Uint8Array }[];
}

/** What is to be found out beside what a source stands for. */
export interface WantedMeta {
  readonly mode?: 'default' | 'pull' | 'local';
  readonly noConfig?: boolean;
  readonly attestations?: boolean;
  /** Types of the statements that are to come along. */
  readonly predicates?: readonly string[];
  /** The commit, and the tag, as git has them. */
  readonly gitObjects?: boolean;
  /** A digest of the download with something after it. */
  readonly checksum?: { readonly algorithm: 'sha256' | 'sha384' | 'sha512'; readonly suffix: Uint8Array };
}
