import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Command, CommandGroup } from '#cli/commands/command.ts';
import { fsck } from '#cli/commands/fsck.ts';
import { gc } from '#cli/commands/gc.ts';
import { immutable } from '#cli/commands/immutable.ts';
import { quota } from '#cli/commands/quota.ts';
import { retention } from '#cli/commands/retention.ts';
import { FilesystemContentStore } from '#content/filesystem-content-store.ts';
import { openRegistryDatabase, type RegistryDatabase } from '#database/registry/open.ts';
import { digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { parseRepositoryName, parseTag } from '#oci/reference.ts';
import { SYSTEM } from '#registry/events/event.ts';
import { createRegistry, type Registry } from '#registry/registry.ts';
import { printedBy } from './command-line.ts';

const commands: Readonly<Record<string, Command | CommandGroup>> = { fsck, gc, immutable, quota, retention };
const name = parseRepositoryName('team/app');

let folder: string;
let db: RegistryDatabase;
let content: FilesystemContentStore;
let registry: Registry;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-housekeeping-'));
  // Makes the database where the registry would have it.
  await slipway('quota list');
  db = await openRegistryDatabase(join(folder, 'registry/registry.db'));
  content = new FilesystemContentStore(join(folder, 'registry/blobs'));
  registry = createRegistry({ db, content });
});
afterAll(async () => {
  await db?.destroy();
  rmSync(folder, { recursive: true, force: true });
});

const slipway = (line: string) => printedBy(commands, folder, line);

const json = async (line: string) => JSON.parse(await slipway(`${line} --json`));

async function* bytes(text: string) {
  yield Buffer.from(text);
}

/** Pushes an image with one layer. */
async function push(tag: string, layer: string): Promise<string> {
  for (const text of ['{}', layer]) await registry.uploads.put(name, digestOf(text), bytes(text), SYSTEM);
  const descriptor = (text: string, mediaType: string) => ({
    mediaType,
    digest: digestOf(text),
    size: text.length,
  });
  const payload = JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociManifest,
    config: descriptor('{}', MEDIA_TYPE.ociConfig),
    layers: [descriptor(layer, MEDIA_TYPE.ociLayer)],
  });
  const pushed = { payload: Buffer.from(payload), actor: SYSTEM };
  return (await registry.manifests.put(name, { tag: parseTag(tag) }, pushed)).digest;
}

const has = (layer: string) =>
  registry.blobs.get(name, digestOf(layer)).then(
    () => true,
    () => false,
  );

it('slipway gc says what would go, and then deletes that', async () => {
  const digest = await push('goes', 'a layer that goes');
  await registry.manifests.delete(name, { digest: digest as ReturnType<typeof digestOf> }, SYSTEM);
  const plan = await slipway('gc --dry-run');
  expect(plan).toBe('would go: 0 manifests, 2 blobs, 19B\n');
  expect(await json('gc --dry-run')).toMatchObject({ manifests: [], links: 2, blobs: 2, bytes: 19 });
  // Not before its time.
  expect(await slipway('gc')).toBe('deleted 0 manifests, 0 blobs, 0B\n');
  expect(await has('a layer that goes')).toBe(true);
  expect(await slipway('gc --now')).toBe('deleted 0 manifests, 2 blobs, 19B\n');
  expect(await has('a layer that goes')).toBe(false);
});

it('slipway retention keeps rules, says what becomes of each tag and why, and does it', async () => {
  for (const tag of ['pr-1', 'pr-2', 'v1']) await push(tag, `layer of ${tag}`);
  expect(await slipway('retention add team/** --tags pr-* --newest 1')).toMatch(
    /^rule \d+ keeps the 1 newest\n$/,
  );
  const [rule] = await json('retention list');
  expect(rule).toMatchObject({ repositories: 'team/**', subject: 'tagged', tags: 'pr-*', keepNewest: 1 });
  const decisions = await json('retention run --dry-run');
  const actions = decisions.map(({ tag, action }: { tag: string; action: string }) => `${tag} ${action}`);
  expect(actions.toSorted()).toEqual(['pr-1 delete', 'pr-2 keep']);
  expect(await slipway('retention run')).toBe('deleted 1 tags\n');
  expect(await registry.tags.list(name, 10)).toEqual(['pr-2', 'v1']);

  await slipway('retention add team/** --untagged --pushed-within 30d --pulled-within 90d');
  expect(await slipway('retention list')).toMatch(/\(untagged\) +pushed within 30d, pulled within 90d/);
  for (const { id } of await json('retention list')) await slipway(`retention remove ${id}`);
  expect(await json('retention list')).toEqual([]);
});

it('slipway immutable keeps tags as they are', async () => {
  await slipway('immutable add team/** v*');
  await expect(push('v1', 'another')).rejects.toMatchObject({ kind: 'conflict' });
  const [{ id }] = await json('immutable list');
  expect(await slipway(`immutable remove ${id}`)).toBe(`dropped rule ${id}\n`);
  await push('v1', 'another');
});

it('slipway quota limits a namespace, and shows what it holds', async () => {
  expect(await slipway('quota set team 1KiB')).toBe('team may hold 1.0KiB\n');
  await expect(push('large', 'x'.repeat(2000))).rejects.toMatchObject({ kind: 'forbidden' });
  expect(await json('quota list')).toMatchObject([{ namespace: 'team', limit: 1024 }]);
  expect(await slipway('quota list')).toMatch(/\nteam +\d+B +1\.0KiB/);
  await slipway('quota remove team');
  await push('large', 'x'.repeat(2000));
});

it('slipway fsck finds what is lost, says what to do, and is content when that is done', async () => {
  expect(await slipway('fsck --deep')).not.toContain('sha256');
  await push('broken', 'content that gets lost');
  const digest = digestOf('content that gets lost');
  const { location } = await db
    .selectFrom('blobs')
    .select('location')
    .where('digest', '=', digest)
    .executeTakeFirstOrThrow();
  await content.delete(location);
  await expect(slipway('fsck')).rejects.toThrow('1 of 1 findings are not repaired');
  // The blob is forgotten; what is left is the manifest that names it.
  await expect(slipway('fsck --repair')).rejects.toMatchObject({ name: 'Refusal', exitCode: 1 });
  expect(await has('content that gets lost')).toBe(false);
  await push('broken', 'content that gets lost');
  expect(await json('fsck --deep')).toEqual([]);
});

it.each([
  ['retention add team/** --newest many', 2, /expected a whole number/],
  ['retention add team/** --pushed-within soon', 2, /expected a time such as/],
  ['retention remove 9999', 1, /no/],
  ['immutable remove x', 2, /expected a whole number/],
  ['quota set team lots', 2, /expected a size/],
  ['fsck --stray-age 1', 2, /expected a time/],
  ['gc everything', 2, /unexpected argument/],
])('refuses: slipway %s', async (line, exitCode, message) => {
  await expect(slipway(line)).rejects.toThrow(expect.objectContaining({ name: 'Refusal', exitCode }));
  await expect(slipway(line)).rejects.toThrow(message);
});
