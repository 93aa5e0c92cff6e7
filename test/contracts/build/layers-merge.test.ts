import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { chainId } from '#oci/chain-id.ts';
import { digestOf } from '#oci/digest.ts';
import { readTar } from '#tar/reader.ts';
import { EMPTY, type LayersRef } from '#worker/build/solve/ref.ts';
import type { FileActionWish } from './drivers-world.ts';
import { copy, filesWorld } from './files-world.ts';

const on = filesWorld();
const { does, files, paths } = on;

describe('merging and comparing', () => {
  it('stacks layers without copying them', async () => {
    const one = (await does(
      [{ type: 'mkfile', path: '/one', mode: 0o644, data: Buffer.from('1') } as FileActionWish],
      [EMPTY],
    )) as LayersRef;
    const two = (await does(
      [{ type: 'mkfile', path: '/two', mode: 0o644, data: Buffer.from('2') } as FileActionWish],
      [EMPTY],
    )) as LayersRef;
    const [merged] = (await on.world.run({ kind: 'merge' }, [on.base, one, two, one])) as LayersRef[];
    expect(merged!.layers.map(({ diffId }) => diffId)).toEqual(
      [...on.base.layers, ...one.layers, ...two.layers, ...one.layers].map(({ diffId }) => diffId),
    );
    expect(await on.world.ask(merged!, 'cat /one /two')).toBe('12');
    // Layers that nobody has looked at on this stack can be packed all the same.
    const unseen = [...on.base.layers, ...two.layers, ...one.layers].map(({ diffId }) => diffId);
    const layer = { chainId: chainId(unseen), diffId: unseen.at(-1)! };
    const bytes = await Array.fromAsync(on.world.images.layers.tar(layer));
    expect(digestOf(Buffer.concat(bytes))).toBe(layer.diffId);
    const [diff] = (await on.world.run({ kind: 'diff', lower: 0, upper: 1 }, [
      on.base,
      merged!,
    ])) as LayersRef[];
    expect(diff!.layers).toEqual(merged!.layers.slice(on.base.layers.length));
    expect(await paths(diff!)).toEqual(['one', 'two']);
  });

  it('ends where merges of themselves would have more layers than there is memory for', async () => {
    let [merged] = (await on.world.run({ kind: 'merge' }, [on.base, on.base])) as LayersRef[];
    const doubled = async () => {
      for (let times = 0; times < 40; times++) {
        [merged] = (await on.world.run({ kind: 'merge' }, [merged!, merged!])) as LayersRef[];
      }
    };
    await expect(doubled()).rejects.toMatchObject({ kind: 'too-large' });
    expect(merged!.layers.length).toBeLessThan(10_000);
  });

  it('finds what differs between file systems that have nothing to do with each other', async () => {
    await files({ 'keep/a': 'a', 'keep/b': 'b', gone: 'x', 'type/f': 'f' });
    const before = await does([copy('/', '/')]);
    await files({ 'keep/b': 'B', new: 'n' });
    await rm(join(on.folder, 'gone'));
    await rm(join(on.folder, 'type'), { recursive: true });
    await writeFile(join(on.folder, 'type'), 'now a file');
    const after = await does([copy('/', '/')], [EMPTY, on.world.directory(on.folder, 'changed')]);
    const [diff] = (await on.world.run({ kind: 'diff', lower: 0, upper: 1 }, [before, after])) as LayersRef[];
    expect(diff!.layers).toHaveLength(1);
    // What is gone is not there by itself, and takes nothing from where it is copied to.
    expect(await on.world.list(diff!, '%P %y\\n')).toEqual(['keep d', 'keep/b f', 'new f', 'type f'].sort());
    const gone = { type: 'mkfile', path: '/gone', mode: 0o644, data: Buffer.from('') } as FileActionWish;
    const target = await does([gone], [EMPTY]);
    expect(await paths(await does([copy('/', '/')], [target, diff!]))).toContain('gone');
    const [applied] = await on.world.run({ kind: 'merge' }, [before, diff!]);
    expect(await paths(applied!)).toEqual(await paths(after));
    const [removed] = (await on.world.run({ kind: 'diff', lower: 0 }, [before])) as LayersRef[];
    const [nothing] = await on.world.run({ kind: 'merge' }, [before, removed!]);
    expect(await paths(nothing!)).toEqual([]);
  });

  it('takes away what a command has replaced, and nothing of what others have in that place', async () => {
    await files({ 'dir/old': 'o', 'dir/deep/a': 'a', 'dir/deep/b': 'b', 'plain/x': 'x', kind: 'file' });
    const before = (await on.world.run({ kind: 'merge' }, [on.base, await does([copy('/', '/')])]))[0]!;
    const after = (await on.world.sh(
      before,
      'rm -rf /dir && mkdir -p /dir/deep /plain/made /fresh && echo n > /dir/deep/b && rm /kind && mkdir /kind',
    ))!;
    // By itself it has no names that nothing is behind.
    const [alone] = await on.world.run({ kind: 'diff', lower: 0, upper: 1 }, [before, after]);
    expect((await paths(alone!)).filter((path) => path.startsWith('dir'))).toEqual([
      'dir',
      'dir/deep',
      'dir/deep/b',
    ]);
    await rm(on.folder, { recursive: true });
    await files({ 'dir/other': '', 'dir/deep/c': '', 'dir/old': '', 'plain/made/y': '', 'fresh/z': '' });
    const others = await does([copy('/', '/')], [EMPTY, on.world.directory(on.folder, 'others')]);
    const [merged] = await on.world.run({ kind: 'merge' }, [others, after]);
    const seen = (await paths(merged!)).filter((path) => /^(?:dir|plain|fresh|kind)/.test(path));
    expect(seen).toEqual([
      'dir',
      'dir/deep',
      'dir/deep/b',
      'dir/deep/c',
      'dir/other',
      'fresh',
      'fresh/z',
      'kind',
      'plain',
      'plain/made',
      'plain/made/y',
      'plain/x',
    ]);
  });

  it('leaves out of a layer what is as it was', async () => {
    await files({ 'a/file': 'file', 'b/file': 'file' });
    const before = (await on.world.run({ kind: 'merge' }, [on.base, await does([copy('/', '/')])]))[0]!;
    const after = (await on.world.sh(
      before,
      'touch /a/new && rm /a/new && mv /b/file /b/x && mv /b/x /b/file && chmod 700 /a && chmod 755 /a && touch /only',
    ))!;
    const names: string[] = [];
    const { layers } = after as LayersRef;
    const diffs = layers.map(({ diffId }) => diffId);
    const tar = on.world.images.layers.tar({ chainId: chainId(diffs), diffId: diffs.at(-1)! });
    for await (const { entry } of readTar(tar)) names.push(entry.path);
    expect(names).toEqual(['only']);
  });
});
