import type { ContentStore } from '#content/content-store.ts';
import { FilesystemContentStore } from '#content/filesystem-content-store.ts';
import { S3ContentStore } from '#content/s3-content-store.ts';
import type { S3Settings } from '#content/s3-settings.ts';

/** Where the processes of a soak keep blobs, in a form that passes from one to another. */
export type SoakContent = { readonly folder: string } | { readonly s3: S3Settings };

export function openSoakContent(place: SoakContent): ContentStore {
  return 's3' in place ? new S3ContentStore(place.s3) : new FilesystemContentStore(place.folder);
}
