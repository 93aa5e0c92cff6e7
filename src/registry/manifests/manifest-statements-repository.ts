import { bySize, statement } from '#database/prepared.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';

// The statements of a push, compiled once: building them anew took longer than running them.

/** How many rows or parameters one of the statements for many takes. */
export const MANY = 16;

/** The repository's id, and digests by their number. */
type Digests = { repository: number; [number: number]: string };
type References = { repository: number; manifest: string; [name: string]: string | number };
type TagRow = { repository: number; name: string; manifest: string; now: number };

/** Those of some blobs that the repository sees; the links to them are held. */
export const selectBlobs = bySize((count) =>
  statement<RegistryDatabase, Digests, { digest: string }>((db, parameter) =>
    db
      .selectFrom('repository_blobs')
      .select('digest')
      .where('repository_id', '=', parameter('repository'))
      .where('digest', 'in', numbers(count).map((at) => parameter(at as never)) as string[])
      .orderBy('digest')
      .forKeyShare(),
  ),
);

/** Those of some manifests that the repository has; they are held. */
export const selectManifests = bySize((count) =>
  statement<RegistryDatabase, Digests, { digest: string }>((db, parameter) =>
    db
      .selectFrom('manifests')
      .select('digest')
      .where('repository_id', '=', parameter('repository'))
      .where('digest', 'in', numbers(count).map((at) => parameter(at as never)) as string[])
      .orderBy('digest')
      .forKeyShare(),
  ),
);

/** Nothing when it is there already. */
export const insertManifestRow = statement<
  RegistryDatabase,
  { repository: number; digest: string; mediaType: string; payload: Uint8Array; now: number }
>((db, parameter) =>
  db
    .insertInto('manifests')
    .values({
      repository_id: parameter('repository'),
      digest: parameter('digest'),
      media_type: parameter('mediaType'),
      payload: parameter('payload'),
      created_at: parameter('now'),
    })
    .onConflict((conflict) => conflict.columns(['repository_id', 'digest']).doNothing()),
);

/** References by their number: `kind0`, `digest0` … */
export const insertReferences = bySize((count) =>
  statement<RegistryDatabase, References>((db, parameter) =>
    db.insertInto('manifest_references').values(
      numbers(count).map((at) => ({
        repository_id: parameter('repository'),
        manifest: parameter('manifest'),
        kind: parameter(`kind${at}`) as 'blob',
        digest: parameter(`digest${at}`) as string,
      })),
    ),
  ),
);

/** Nothing when it is there already. */
export const insertTag = statement<RegistryDatabase, TagRow>((db, parameter) =>
  db
    .insertInto('tags')
    .values({
      repository_id: parameter('repository'),
      name: parameter('name'),
      manifest: parameter('manifest'),
      updated_at: parameter('now'),
    })
    .onConflict((conflict) => conflict.columns(['repository_id', 'name']).doNothing()),
);

export const lockTag = statement<RegistryDatabase, Pick<TagRow, 'repository' | 'name'>, { manifest: string }>(
  (db, parameter) =>
    db
      .selectFrom('tags')
      .select('manifest')
      .where('repository_id', '=', parameter('repository'))
      .where('name', '=', parameter('name'))
      .forUpdate(),
);

export const moveTag = statement<RegistryDatabase, TagRow>((db, parameter) =>
  db
    .updateTable('tags')
    .set({ manifest: parameter('manifest'), updated_at: parameter('now') })
    .where('repository_id', '=', parameter('repository'))
    .where('name', '=', parameter('name')),
);

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}
