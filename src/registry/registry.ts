import type { ContentStore } from '#content/content-store.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { Blobs } from './blobs/blobs.ts';
import { BlobsRepository } from './blobs/blobs-repository.ts';
import { AuditRepository } from './events/audit-repository.ts';
import { Manifests } from './manifests/manifests.ts';
import { ManifestsRepository } from './manifests/manifests-repository.ts';
import { Reconciler } from './reconciler.ts';
import { ReferrersRepository } from './referrers/referrers-repository.ts';
import { RepositoriesRepository } from './repositories/repositories-repository.ts';
import { TagsRepository } from './tags/tags-repository.ts';
import { Uploads } from './uploads/uploads.ts';
import { UploadsRepository } from './uploads/uploads-repository.ts';

/** What the registry does, whichever API asks for it. */
export interface Registry {
  readonly blobs: Blobs;
  readonly uploads: Uploads;
  readonly manifests: Manifests;
  readonly tags: TagsRepository;
  readonly referrers: ReferrersRepository;
  readonly repositories: RepositoriesRepository;
  readonly reconciler: Reconciler;
  readonly audit: AuditRepository;
}

/** The registry over its metadata and a content store that nobody else writes to. */
export function createRegistry({ db, content }: { db: RegistryDatabase; content: ContentStore }): Registry {
  const blobs = new BlobsRepository(db);
  const uploads = new UploadsRepository(db);
  const tags = new TagsRepository(db);
  return {
    blobs: new Blobs({ blobs, content }),
    uploads: new Uploads({ uploads, blobs, content }),
    manifests: new Manifests({ manifests: new ManifestsRepository(db), tags }),
    tags,
    referrers: new ReferrersRepository(db),
    repositories: new RepositoriesRepository(db),
    reconciler: new Reconciler({ blobs, uploads, content }),
    audit: new AuditRepository(db),
  };
}
