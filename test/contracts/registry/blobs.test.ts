import { expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import type { RepositoryName } from '#oci/reference.ts';
import { BlobsRepository } from '#registry/blobs/blobs-repository.ts';
import { SYSTEM } from '#registry/events/event.ts';
import { endUpload, UploadsRepository } from '#registry/uploads/uploads-repository.ts';
import { onEachDatabase } from '../../database/registry-databases.ts';

const [name, other] = ['team/app', 'team/other'] as [RepositoryName, RepositoryName];
const digest = digestOf('content');
const blob = { repository: name, digest, size: 7, location: 'uploads/one' };

onEachDatabase('blobs', (create) => {
  it('are seen in the repositories that they were pushed to or mounted in', async () => {
    await using database = await create();
    const blobs = new BlobsRepository(database.db);
    expect(await blobs.find(name, digest)).toBeUndefined();
    expect(await blobs.publish(blob, SYSTEM)).toBeUndefined();
    expect(await blobs.find(name, digest)).toEqual({ size: 7, location: 'uploads/one' });
    expect(await blobs.find(other, digest)).toBeUndefined();
    expect(await blobs.mount({ repository: other, digest, from: 'team/no' as RepositoryName }, SYSTEM)).toBe(
      false,
    );
    expect(await blobs.mount({ repository: other, digest, from: name }, SYSTEM)).toBe(true);
    expect(await blobs.find(other, digest)).toEqual({ size: 7, location: 'uploads/one' });
    expect((await blobs.seenBy(digest, { limit: 10 })).toSorted()).toEqual([name, other]);
    expect(await blobs.seenBy(digest, { only: other, limit: 10 })).toEqual([other]);
    expect(await blobs.unlink(name, digest, SYSTEM)).toBe(true);
    expect(await blobs.unlink(name, digest, SYSTEM)).toBe(false);
    expect(await blobs.find(name, digest)).toBeUndefined();
    expect(await blobs.findAnywhere(digest)).toEqual({ size: 7, location: 'uploads/one' });
  });

  it('stay where they were first, unless nothing usable is there', async () => {
    await using database = await create();
    const blobs = new BlobsRepository(database.db);
    await blobs.publish(blob, SYSTEM);
    expect(await blobs.publish({ ...blob, location: 'uploads/two' }, SYSTEM)).toBe('uploads/two');
    expect((await blobs.findAnywhere(digest))?.location).toBe('uploads/one');
    const mended = { ...blob, location: 'uploads/three', broken: 'uploads/one' };
    expect(await blobs.publish(mended, SYSTEM)).toBe('uploads/one');
    expect((await blobs.findAnywhere(digest))?.location).toBe('uploads/three');
    const owned = await blobs.ownedLocations([
      'uploads/three',
      'uploads/one',
      'uploads/two',
      'uploads/stray',
    ]);
    expect([...owned].toSorted()).toEqual(['uploads/one', 'uploads/three', 'uploads/two']);
  });

  it('end their upload in the step that makes them, or are not made', async () => {
    await using database = await create();
    const blobs = new BlobsRepository(database.db);
    const uploads = new UploadsRepository(database.db);
    await uploads.add({ id: 'x', repository: name, location: 'uploads/one', algorithm: 'sha256' });
    const held = (await uploads.take(name, 'x', 'a process'))!;
    expect(await uploads.take(name, 'x', 'another')).toBeUndefined();
    const stale = blobs.publish({ ...blob, upload: { id: 'x', token: held.token - 1 } }, SYSTEM);
    await expect(stale).rejects.toMatchObject({ kind: 'conflict' });
    expect(await blobs.findAnywhere(digest)).toBeUndefined();
    expect(await uploads.exists(name, 'x')).toBe(true);
    await blobs.publish({ ...blob, upload: held }, SYSTEM);
    expect(await uploads.exists(name, 'x')).toBe(false);
    const again = database.db.transaction().execute((trx) => endUpload(trx, held));
    await expect(again).rejects.toMatchObject({ kind: 'conflict' });
  });

  it('leave their uploads alone while a request works on them', async () => {
    await using database = await create();
    const uploads = new UploadsRepository(database.db);
    await uploads.add({ id: 'x', repository: name, location: 'uploads/one', algorithm: 'sha256' });
    const held = (await uploads.take(name, 'x', 'a process'))!;
    expect(await uploads.removeIdle('x')).toBe(false);
    expect(await uploads.renew('a process', ['x', 'y'])).toEqual(['x']);
    expect(await uploads.renew('another', ['x'])).toEqual([]);
    expect(await uploads.release(held)).toBe(true);
    expect(await uploads.removeIdle('x')).toBe(true);
    expect(await uploads.release(held)).toBe(false);
  });
});
