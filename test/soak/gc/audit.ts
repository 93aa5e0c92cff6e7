import type { ContentStore } from '#content/content-store.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { digestOf } from '#oci/digest.ts';

/**
 * Compares a registry at rest with what its tags say, by the documents themselves: what is reachable has to be there
 * byte for byte, and nothing else, neither in the database nor in the store. Returns what is wrong.
 */
export async function audit(db: RegistryDatabase, content: ContentStore): Promise<string[]> {
  const problems: string[] = [];
  const manifests = await db.selectFrom('manifests').selectAll().execute();
  const byKey = new Map(manifests.map((it) => [`${it.repository_id} ${it.digest}`, it]));
  const [reachable, links] = [new Set<string>(), new Set<string>()];

  const visit = (repository: number, digest: string, from: string) => {
    const key = `${repository} ${digest}`;
    if (reachable.has(key)) return;
    const manifest = byKey.get(key);
    if (!manifest) {
      problems.push(`${from} names manifest ${key}, which is not there`);
      return;
    }
    reachable.add(key);
    const document = JSON.parse(Buffer.from(manifest.payload).toString());
    for (const child of document.manifests ?? []) visit(repository, child.digest, key);
    for (const blob of [document.config, ...(document.layers ?? [])]) {
      if (blob) links.add(`${repository} ${blob.digest}`);
    }
  };
  for (const tag of await db.selectFrom('tags').selectAll().execute()) {
    visit(tag.repository_id, tag.manifest, `tag ${tag.name}`);
  }
  for (const key of byKey.keys()) if (!reachable.has(key)) problems.push(`manifest ${key} is garbage`);

  const linked = await db.selectFrom('repository_blobs').selectAll().execute();
  const found = new Set(linked.map((it) => `${it.repository_id} ${it.digest}`));
  for (const link of links) if (!found.has(link)) problems.push(`link ${link} is missing`);
  for (const link of found) if (!links.has(link)) problems.push(`link ${link} is garbage`);

  const blobs = await db.selectFrom('blobs').selectAll().execute();
  const wanted = new Set([...links].map((link) => link.split(' ')[1]));
  const locations = new Set(blobs.map(({ location }) => location));
  for (const { digest, location } of blobs) {
    if (!wanted.has(digest)) problems.push(`blob ${digest} is garbage`);
    const bytes = await read(content, location);
    if (!bytes) problems.push(`blob ${digest} has no content`);
    else if (digestOf(bytes) !== digest) problems.push(`blob ${digest} has other bytes`);
  }
  for await (const { location } of content.walk()) {
    if (!locations.has(location)) problems.push(`content ${location} is garbage`);
  }
  for await (const { location } of content.ingests()) problems.push(`ingest ${location} is garbage`);
  return problems.concat(await auditUsage(db));
}

async function auditUsage(db: RegistryDatabase): Promise<string[]> {
  const rows = await db
    .selectFrom('repository_blobs')
    .innerJoin('repositories', 'repositories.id', 'repository_blobs.repository_id')
    .innerJoin('blobs', 'blobs.digest', 'repository_blobs.digest')
    .select(['repositories.name', 'blobs.digest', 'blobs.size'])
    .execute();
  const sizes = new Map<string, Map<string, number>>();
  for (const { name, digest, size } of rows) {
    const namespace = name.split('/')[0]!;
    sizes.set(namespace, (sizes.get(namespace) ?? new Map()).set(digest, size));
  }
  const usage = await db.selectFrom('namespace_usage').select(['namespace', 'bytes']).execute();
  const used = new Map<string, number>();
  for (const { namespace, bytes } of usage) used.set(namespace, (used.get(namespace) ?? 0) + bytes);
  return [...used].flatMap(([namespace, bytes]) => {
    const actual = [...(sizes.get(namespace)?.values() ?? [])].reduce((sum, size) => sum + size, 0);
    return actual === bytes ? [] : [`namespace ${namespace} uses ${actual} bytes and is charged ${bytes}`];
  });
}

async function read(content: ContentStore, location: string): Promise<Buffer | undefined> {
  try {
    const chunks: Uint8Array[] = [];
    for await (const chunk of await content.open(location)) chunks.push(Buffer.from(chunk));
    return Buffer.concat(chunks);
  } catch {
    return undefined;
  }
}
