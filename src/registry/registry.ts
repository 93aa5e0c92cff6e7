import type { ContentStore } from '#content/content-store.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { Blobs } from './blobs/blobs.ts';
import { BlobsRepository } from './blobs/blobs-repository.ts';
import { AuditRepository } from './events/audit-repository.ts';
import { ReviewQueuesRepository } from './gc/review-queues-repository.ts';
import { Manifests, type ManifestsOptions } from './manifests/manifests.ts';
import { ManifestsRepository } from './manifests/manifests-repository.ts';
import { QuotasRepository } from './quotas/quotas-repository.ts';
import { Reconciler } from './reconciler.ts';
import { Referrers } from './referrers/referrers.ts';
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
  readonly referrers: Referrers;
  readonly repositories: RepositoriesRepository;
  readonly reconciler: Reconciler;
  readonly audit: AuditRepository;
  readonly quotas: QuotasRepository;
  readonly reviews: ReviewQueuesRepository;
}

/** The registry over its metadata and a content store that nobody else writes to. */
export function createRegistry(
  ports: { db: RegistryDatabase; content: ContentStore },
  options: ManifestsOptions = {},
): Registry {
  const { db, content } = ports;
  const blobs = new BlobsRepository(db);
  const uploads = new UploadsRepository(db);
  const tags = new TagsRepository(db);
  const manifests = new ManifestsRepository(db);
  const quotas = new QuotasRepository(db);
  return {
    blobs: new Blobs({ blobs, content }),
    uploads: new Uploads({ uploads, blobs, quotas, content }),
    manifests: new Manifests({ manifests, tags }, options),
    tags,
    referrers: new Referrers({ referrers: new ReferrersRepository(db), manifests }),
    repositories: new RepositoriesRepository(db),
    reconciler: new Reconciler({ blobs, uploads, content }),
    audit: new AuditRepository(db),
    quotas,
    reviews: new ReviewQueuesRepository(db),
  };
}
