import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ContentDigest, type ContentSelector } from '#worker/build/files/content-digest.ts';
import { FileDigests } from '#worker/build/files/file-digests.ts';
import { FileService } from '#worker/build/files/file-service.ts';
import { type KeptTree, keptRoot } from '#worker/build/files/tree-memory.ts';

const FILES = 1500;
const BROAD: ContentSelector = { path: '/' };
const NARROW: ContentSelector = { path: '/one' };

let folder: string;
let root: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-memory-'));
  root = join(folder, 'files');
  mkdirSync(join(root, 'many/deep'), { recursive: true });
  for (let i = 0; i < FILES; i++) writeFileSync(join(root, 'many/deep', `${i}`), `${i}`);
  writeFileSync(join(root, 'one'), '1');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function keptAs(id: string, changes?: KeptTree['changes']): KeptTree {
  return { file: join(folder, 'memory'), root, id, changes };
}

/** Walks over what is selected, and answers with what is to be done at the end of it. */
function walk(selector: ContentSelector, kept?: KeptTree) {
  const files = new FileDigests(root, kept);
  const digest = new ContentDigest(root, files, { rootKnown: false }).of([selector]);
  return { digest, keep: () => files.keep() };
}

function digestOf(selector: ContentSelector, kept?: KeptTree): string {
  const { digest, keep } = walk(selector, kept);
  keep();
  return digest;
}

/** Has a file be known by a digest that it does not have: whatever comes of it was not read. */
function poison(name: string): void {
  const { file } = keptAs('');
  const lines = readFileSync(file, 'utf8').split('\n');
  const at = lines.findIndex((line) => line.startsWith(JSON.stringify(name)));
  expect(lines[at]).toMatch(/[0-9a-f]{64}/);
  lines[at] = lines[at]!.replace(/[0-9a-f]{64}/, 'f'.repeat(64));
  writeFileSync(file, lines.join('\n'));
}

const namesKept = () =>
  readFileSync(keptAs('').file, 'utf8')
    .split('\n')
    .slice(2)
    .map((line) => JSON.parse(line.slice(0, line.lastIndexOf('" ') + 1)) as string);

describe('what is known of a whole tree', () => {
  it('stays known when a part of it is looked at after a change', () => {
    digestOf(BROAD, keptAs('v1'));
    writeFileSync(join(root, 'one'), 'other');
    digestOf(NARROW, keptAs('v2', { since: 'v1', directories: [''] }));
    expect(namesKept().length).toBeGreaterThan(FILES);
    expect(digestOf(BROAD, keptAs('v2'))).toBe(digestOf(BROAD));
    poison('many/deep/700');
    writeFileSync(join(root, 'one'), 'another');
    digestOf(NARROW, keptAs('v3'));
    expect(digestOf(BROAD, keptAs('v3'))).not.toBe(digestOf(BROAD));
  });

  it('stays known when a part of it is looked at meanwhile', () => {
    const narrow = walk(NARROW, keptAs('v1'));
    digestOf(BROAD, keptAs('v1'));
    narrow.keep();
    poison('many/deep/700');
    // Directories that are known as a whole are not looked at: now each file is.
    expect(digestOf(BROAD, keptAs('v2'))).not.toBe(digestOf(BROAD));
  });

  it('loses what is gone, with all that was in it', () => {
    digestOf(BROAD, keptAs('v1'));
    rmSync(join(root, 'many'), { recursive: true });
    digestOf(NARROW, keptAs('v2'));
    expect(namesKept().length).toBeGreaterThan(FILES);
    digestOf(BROAD, keptAs('v3'));
    expect(namesKept()).toEqual(['one']);
  });

  it('is of that tree alone, and says of which', async () => {
    digestOf(BROAD, keptAs('v1'));
    expect(await keptRoot(keptAs('').file)).toBe(root);
    poison('many/deep/700');
    expect(digestOf(BROAD, { ...keptAs('v2'), root: '/elsewhere' })).toBe(digestOf(BROAD));
    writeFileSync(keptAs('').file, Buffer.alloc(100));
    expect(await keptRoot(keptAs('').file)).toBeUndefined();
    expect(digestOf(BROAD, keptAs('v3'))).toBe(digestOf(BROAD));
  });
});

it('is a digest all the same where nothing can be kept', () => {
  // Nothing can take the place of these.
  for (const name of ['memory', 'manifests'])
    mkdirSync(join(folder, name, 'in the way'), { recursive: true });
  const request = { root, rootKnown: false, selectors: [BROAD] };
  const service = new FileService();
  const digest = service.contentDigest({
    ...request,
    memory: undefined,
    manifests: join(folder, 'manifests'),
  });
  expect(digest).toMatch(/^sha256:/);
  const missing = join(folder, 'missing');
  expect(service.contentDigest({ ...request, memory: keptAs('v1'), manifests: missing })).toBe(digest);
  const memory = { ...keptAs('v1'), file: join(missing, 'memory') };
  expect(service.contentDigest({ ...request, memory, manifests: missing })).toBe(digest);
  expect(readdirSync(folder).sort()).toEqual(['files', 'manifests', 'memory']);
});
