import { execFile } from 'node:child_process';
import { chmod, chown, link, lutimes, mkdir, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { chainId } from '#oci/chain-id.ts';
import { digestOf } from '#oci/digest.ts';
import { EMPTY, type LayersRef, type Ref } from '#worker/build/solve/ref.ts';
import { getXattr, mknod, setXattr } from '#worker/snapshots/libc.ts';
import { DriversWorld, type FileActionWish, fileOf } from './drivers-world.ts';

const run = promisify(execFile);
let world: DriversWorld;
let base: LayersRef;
let folder: string;
let count = 0;
beforeAll(async () => {
  world = await DriversWorld.open();
  base = await world.busybox();
});
beforeEach(async () => {
  world.begin();
  folder = await world.folder(`context-${count++}`);
});
afterEach(async () => expect(await world.leftovers()).toEqual([]));
afterAll(() => world[Symbol.asyncDispose]());

async function files(entries: Record<string, string>): Promise<void> {
  for (const [path, content] of Object.entries(entries)) {
    await mkdir(join(folder, path, '..'), { recursive: true });
    await writeFile(join(folder, path), content);
  }
}

async function does(
  wishes: FileActionWish[],
  inputs: Ref[] = [EMPTY, world.directory(folder)],
): Promise<Ref> {
  const [ref] = await world.run(fileOf(...wishes), inputs);
  return ref!;
}

const copy = (src: string, dest: string, more: object = {}) =>
  ({ type: 'copy', src, dest, ...more }) as FileActionWish;
const paths = (ref: Ref) => world.list(ref, '%P\\n');

describe('a copy', () => {
  it('takes a directory’s contents, or the directory', async () => {
    await files({ 'd/a': 'a', 'd/sub/b': 'b' });
    expect(await paths(await does([copy('/d', '/to/')]))).toEqual(['to', 'to/a', 'to/sub', 'to/sub/b']);
    expect(await paths(await does([copy('/d', '/to/', { dirCopyContents: false })]))).toEqual(
      ['to', 'to/d', 'to/d/a', 'to/d/sub', 'to/d/sub/b'].sort(),
    );
  });

  it('names a file after its destination, or puts it into one that is a directory', async () => {
    await files({ file: 'f' });
    expect(await paths(await does([copy('/file', '/new')]))).toEqual(['new']);
    expect(await paths(await does([copy('/file', '/dir/')]))).toEqual(['dir', 'dir/file']);
    expect(
      await world.read(await does([copy('/file', '/etc')], [base, world.directory(folder)]), 'etc/file'),
    ).toBe('f');
  });

  it('takes what wildcards match, and says when that is nothing', async () => {
    await files({ 'a.js': '', 'b.js': '', 'c.ts': '', 'x/d.js': '', 'y/d.js': '' });
    expect(await paths(await does([copy('/*.js', '/')]))).toEqual(['a.js', 'b.js']);
    expect(await paths(await does([copy('/?/d.js', '/')]))).toEqual(['d.js']);
    expect(await paths(await does([copy('/*.go', '/', { allowEmptyWildcard: true })]))).toEqual([]);
    await expect(does([copy('/*.go', '/')])).rejects.toMatchObject({ kind: 'not-found' });
    await expect(does([copy('/nothing', '/')])).rejects.toMatchObject({ kind: 'not-found' });
    await files({ 'star*': 's' });
    expect(await paths(await does([copy('/star*', '/', { allowWildcard: false })]))).toEqual(['star*']);
  });

  it('takes what is included and not excluded, with the directories on the way', async () => {
    await files({ 'a/b/keep.txt': '', 'a/b/drop.log': '', 'a/c/drop.txt': '', 'z/none': '' });
    const includePatterns = ['a/*/*.txt'];
    const excludePatterns = ['**/c', '*.log'];
    expect(await paths(await does([copy('/', '/', { includePatterns, excludePatterns })]))).toEqual(
      ['a', 'a/b', 'a/b/keep.txt'].sort(),
    );
    expect(await paths(await does([copy('/', '/', { excludePatterns: ['a', '!a/b/keep.txt'] })]))).toEqual(
      ['a', 'a/b', 'a/b/keep.txt', 'z', 'z/none'].sort(),
    );
  });

  it('keeps modes, owners, times, links, devices and attributes', async () => {
    await files({ plain: 'p', 'dir/in': '' });
    await chmod(join(folder, 'plain'), 0o4751);
    await chown(join(folder, 'plain'), 12, 34);
    await chmod(join(folder, 'plain'), 0o4751);
    await link(join(folder, 'plain'), join(folder, 'same'));
    await symlink('/etc/passwd', join(folder, 'link'));
    await run('mkfifo', [join(folder, 'pipe')]);
    mknod(join(folder, 'null'), 0o020666, 1, 3);
    setXattr(join(folder, 'dir'), 'user.note', Buffer.from('x'));
    await chmod(join(folder, 'dir'), 0o1700);
    for (const name of ['plain', 'dir']) await utimes(join(folder, name), 1000, 2000);
    await lutimes(join(folder, 'link'), 1000, 3000);
    const ref = await does([copy('/', '/')]);
    expect(await world.list(ref, '%P %y %m %U:%G %n %l %TY\\n')).toEqual([
      'dir d 1700 0:0 2  1970',
      `dir/in f 644 0:0 1  ${new Date().getFullYear()}`,
      'link l 777 0:0 1 /etc/passwd 1970',
      `null c 644 0:0 1  ${new Date().getFullYear()}`,
      `pipe p 644 0:0 1  ${new Date().getFullYear()}`,
      'plain f 4751 12:34 2  1970',
      'same f 4751 12:34 2  1970',
    ]);
    const note = await world.see(ref, async (root) => getXattr(join(root, 'dir'), 'user.note')?.toString());
    expect(note).toBe('x');
  });

  it('gives owners by number, and by name of a file system', async () => {
    await files({ 'd/f': '' });
    const owner = { user: { byId: 7 }, group: { byId: 8 } };
    expect(await world.list(await does([copy('/d', '/x/', { owner })]), '%P %U:%G\\n')).toEqual([
      'x 7:8',
      'x/f 7:8',
    ]);
    const named = {
      user: { byName: { name: 'www-data', input: 0 } },
      group: { byName: { name: 'users', input: 0 } },
    };
    const inputs = [base, world.directory(folder)];
    const ref = await does([copy('/d', '/x/', { owner: named })], inputs);
    expect(await world.ask(ref, 'stat -c %u:%g /x/f')).toBe('33:100\n');
    const alone = await does([copy('/d', '/x/', { owner: { user: named.user } })], inputs);
    expect(await world.ask(alone, 'stat -c %u:%g /x/f')).toBe('33:33\n');
    const nowhere = { user: { byName: { name: 'www-data' } } };
    await expect(does([copy('/d', '/x/', { owner: nowhere })])).rejects.toMatchObject({
      kind: 'invalid',
      message: 'invalid missing user mount',
    });
  });

  it('gives modes in digits and in letters', async () => {
    await files({ 'd/run': '', 'd/sub/text': '' });
    await chmod(join(folder, 'd/run'), 0o755);
    const modes = async (mode: string) => world.list(await does([copy('/d', '/x/', { mode })]), '%P %m\\n');
    expect(await modes('0640')).toEqual(['x 640', 'x/run 640', 'x/sub 640', 'x/sub/text 640']);
    expect(await modes('u=rwX,go=rX')).toEqual(['x 755', 'x/run 755', 'x/sub 755', 'x/sub/text 644']);
    expect(await modes('a-r,u+s')).toEqual(['x 755', 'x/run 4311', 'x/sub 4311', 'x/sub/text 4200']);
    await expect(modes('u=q')).rejects.toMatchObject({ kind: 'invalid' });
  });

  it('dates everything when it is told to', async () => {
    await files({ 'd/f': '' });
    const ref = await does([copy('/d', '/x/y/', { timestamp: 1_000_000_000_500_000_000n })]);
    expect(await world.list(ref, '%P %T@\\n')).toEqual([
      'x 1000000000.5000000000',
      'x/y 1000000000.5000000000',
      'x/y/f 1000000000.5000000000',
    ]);
  });

  it('merges with what is there, and replaces it only when it is told to', async () => {
    await files({ 'd/file': 'new', 'd/dir/in': 'in' });
    const there = await does(
      [
        { type: 'mkdir', path: '/to/dir/old', mode: 0o700, makeParents: true } as FileActionWish,
        { type: 'mkfile', path: '/to/file', mode: 0o600, data: Buffer.from('old') } as FileActionWish,
      ],
      [EMPTY],
    );
    const inputs = [there, world.directory(folder)];
    const merged = await does([copy('/d', '/to/')], inputs);
    expect(await paths(merged)).toEqual(['to', 'to/dir', 'to/dir/in', 'to/dir/old', 'to/file']);
    expect(await world.read(merged, 'to/file')).toBe('new');
    await expect(
      does([copy('/d/file', '/to/dir', { dirCopyContents: false })], inputs),
    ).resolves.toBeDefined();
    await files({ 'e/dir': 'a file' });
    await expect(does([copy('/e', '/to/')], inputs)).rejects.toMatchObject({
      kind: 'invalid',
      message: 'cannot replace to directory /to/dir with file',
    });
    const replaced = await does([copy('/e', '/to/', { alwaysReplaceExistingDestPaths: true })], inputs);
    expect(await world.read(replaced, 'to/dir')).toBe('a file');
  });

  it('unpacks archives, compressed or not, and copies what is none', async () => {
    await files({ 'in/a': 'a', 'in/sub/b': 'b', text: 'no archive' });
    for (const [name, flag] of [
      ['a.tar', '-c'],
      ['a.tgz', '-cz'],
      ['a.tar.xz', '-cJ'],
    ]) {
      await run('tar', ['-C', join(folder, 'in'), flag!, '-f', join(folder, name!), '.']);
      const ref = await does([copy(`/${name}`, '/to/', { unpack: true })]);
      expect(await paths(ref)).toEqual(['to', 'to/a', 'to/sub', 'to/sub/b']);
    }
    expect(await paths(await does([copy('/text', '/to/', { unpack: true })]))).toEqual(['to', 'to/text']);
    const owner = { user: { byId: 5 }, group: { byId: 6 } };
    const owned = await does([copy('/a.tar', '/to/', { unpack: true, owner })]);
    expect(await world.list(owned, '%P %U:%G\\n')).toContain('to/a 5:6');
  });
});

describe('a change of files', () => {
  const act = (...wishes: object[]) => does(wishes as FileActionWish[], [base]);

  it('makes directories and files, links, and removes', async () => {
    const ref = await act(
      { type: 'mkdir', path: '/a/b', mode: 0o750, makeParents: true, owner: { user: { byId: 3 } } },
      { type: 'mkfile', path: '/a/b/f', mode: 0o640, data: Buffer.from('data') },
      { type: 'symlink', oldpath: '../b/f', newpath: '/a/link' },
      { type: 'rm', path: '/etc/pass*', allowNotFound: false, allowWildcard: true },
      { type: 'rm', path: '/nothing', allowNotFound: true, allowWildcard: false },
    );
    expect(ref).toMatchObject({ layers: { length: base.layers.length + 1 } });
    const output = await world.ask(
      ref,
      'stat -c "%a %u %n" /a /a/b /a/b/f; readlink /a/link; ls /etc; cat /a/b/f',
    );
    expect(output).toBe(
      '750 3 /a\n750 3 /a/b\n640 0 /a/b/f\n../b/f\ngroup\nhostname\nhosts\nresolv.conf\nshadow\ndata',
    );
  });

  it('says what is in its way', async () => {
    const kinds = { 'not-found': 0, invalid: 0 };
    for (const [wish, kind] of [
      [{ type: 'mkdir', path: '/no/parent', mode: 0o755, makeParents: false }, 'not-found'],
      [{ type: 'mkfile', path: '/no/parent', mode: 0o644, data: Buffer.alloc(0) }, 'not-found'],
      [{ type: 'mkfile', path: '/etc', mode: 0o644, data: Buffer.alloc(0) }, 'invalid'],
      [{ type: 'symlink', oldpath: 'x', newpath: '/etc/passwd' }, 'invalid'],
      [{ type: 'rm', path: '/nothing', allowNotFound: false, allowWildcard: false }, 'not-found'],
      [{ type: 'rm', path: '/', allowNotFound: false, allowWildcard: false }, 'invalid'],
      [{ type: 'mkdir', path: '/etc/passwd/x', mode: 0o755, makeParents: true }, 'invalid'],
    ] as const) {
      await expect(act(wish)).rejects.toMatchObject({ kind });
      kinds[kind]++;
    }
    expect(kinds).toEqual({ 'not-found': 3, invalid: 4 });
  });

  it('uses what other actions have made, as it was then', async () => {
    const op = {
      kind: 'file',
      actions: [
        { type: 'mkfile', path: '/f', mode: 0o644, data: Buffer.from('1'), output: 0 },
        { type: 'mkfile', path: '/f', mode: 0o644, data: Buffer.from('2'), input: 1, output: 1 },
        {
          ...copyDefaults,
          type: 'copy',
          src: '/f',
          dest: '/from-first',
          input: 2,
          secondaryInput: 1,
          output: 2,
        },
      ],
    } as const;
    const refs = await world.run(op as never, [EMPTY]);
    expect(await Promise.all(refs.map(paths))).toEqual([['f'], ['f'], ['f', 'from-first']]);
    expect(await world.read(refs[2]!, 'f')).toBe('2');
    expect(await world.read(refs[2]!, 'from-first')).toBe('1');
  });
});

const copyDefaults = {
  followSymlink: true,
  dirCopyContents: true,
  unpack: false,
  createDestPath: true,
  allowWildcard: true,
  allowEmptyWildcard: false,
};

describe('what is hostile', () => {
  it('does not get out by links, from a source or into a destination', async () => {
    await symlink('/etc/shadow', join(folder, 'absolute'));
    await symlink('../../../../../../../etc/shadow', join(folder, 'up'));
    await symlink('loop', join(folder, 'loop'));
    await files({ 'd/f': 'f' });
    const outside = join(world.root, 'outside');
    await mkdir(outside);
    for (const [name, target] of [
      ['out', outside],
      ['up', `../../../../../../../../..${outside}`],
    ]) {
      const there = await does(
        [{ type: 'symlink', oldpath: target, newpath: `/${name}` } as FileActionWish],
        [base],
      );
      await does([copy('/d/', `/${name}/x/`)], [there, world.directory(folder)]);
      await does(
        [{ type: 'mkfile', path: `/${name}/f`, mode: 0o644, data: Buffer.alloc(0) } as FileActionWish],
        [
          await does(
            [{ type: 'mkdir', path: `/${name}`, mode: 0o755, makeParents: true } as FileActionWish],
            [there],
          ),
        ],
      );
      await does(
        [{ type: 'rm', path: `/${name}/*`, allowNotFound: true, allowWildcard: true } as FileActionWish],
        [there],
      );
    }
    expect(await run('find', [outside])).toMatchObject({ stdout: `${outside}\n` });
    for (const src of ['/absolute', '/up', '/loop']) {
      await expect(does([copy(src, '/')])).rejects.toMatchObject({
        kind: expect.stringMatching(/not-found|invalid/),
      });
    }
    // As a link among others it is copied as what it is.
    expect(await world.list(await does([copy('/', '/')]), '%P %l\\n')).toContain('absolute /etc/shadow');
  });

  it('does not get out by an archive', async () => {
    await files({ in: 'x' });
    const tar = join(folder, 'a.tar');
    await run('tar', ['-C', folder, '-cPf', tar, '--transform', 's,^in,../../escape,', 'in']);
    await expect(does([copy('/a.tar', '/to/', { unpack: true })])).rejects.toMatchObject({ kind: 'invalid' });
    await rm(join(folder, 'in'));
    await symlink('/', join(folder, 'in'));
    await run('tar', ['-C', folder, '-cf', tar, 'in']);
    await rm(join(folder, 'in'));
    await files({ 'in/pwned': 'x' });
    await run('tar', ['-C', folder, '-rf', tar, 'in/pwned']);
    const ref = await does([copy('/a.tar', '/to/', { unpack: true })]);
    expect((await paths(ref)).filter((path) => path.endsWith('pwned'))).toHaveLength(1);
    await expect(run('stat', ['/pwned'])).rejects.toThrow();
  });

  it('ends at its limits', async () => {
    await using small = await DriversWorld.open({
      drivers: { maxUnpackedBytes: 1024 * 1024, maxUnpackedEntries: 50 },
    });
    const own = await small.folder('bombs');
    await run('sh', [
      '-c',
      `head -c 5000000 /dev/zero > ${own}/zeros; tar -C ${own} -czf ${own}/big.tgz zeros`,
    ]);
    await run('sh', [
      '-c',
      `mkdir ${own}/many; cd ${own}/many; seq 100 | xargs touch; tar -cf ../many.tar .`,
    ]);
    for (const name of ['big.tgz', 'many.tar']) {
      const copying = small.run(fileOf(copy(`/${name}`, '/', { unpack: true })), [
        EMPTY,
        small.directory(own),
      ]);
      await expect(copying).rejects.toMatchObject({ kind: 'too-large' });
    }
  });

  it('is left in the middle when nobody wants it any more', async () => {
    await run('sh', [
      '-c',
      `cd ${folder}; for d in $(seq 60); do mkdir d$d; (cd d$d; seq 500 | xargs touch); done`,
    ]);
    const copying = does([copy('/', '/')]);
    setTimeout(() => world.cancel(), 50);
    await expect(copying).rejects.toMatchObject({ kind: 'canceled' });
  });

  it('has no sockets, and names that are no text', async () => {
    await run('python3', [
      '-c',
      `import socket,os; os.chdir("${folder}"); s=socket.socket(socket.AF_UNIX); s.bind("sock")`,
    ]);
    await writeFile(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0x66, 0xff])]), 'x');
    const ref = await does([copy('/', '/')]);
    const names = await world.see(ref, (root) => run('ls', ['-b', root]));
    expect(names.stdout).toBe('f\\377\n');
  });
});

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
    const [merged] = (await world.run({ kind: 'merge' }, [base, one, two, one])) as LayersRef[];
    expect(merged!.layers.map(({ diffId }) => diffId)).toEqual(
      [...base.layers, ...one.layers, ...two.layers, ...one.layers].map(({ diffId }) => diffId),
    );
    expect(await world.ask(merged!, 'cat /one /two')).toBe('12');
    // Layers that nobody has looked at on this stack can be packed all the same.
    const unseen = [...base.layers, ...two.layers, ...one.layers].map(({ diffId }) => diffId);
    const layer = { chainId: chainId(unseen), diffId: unseen.at(-1)! };
    const bytes = await Array.fromAsync(world.images.layers.tar(layer));
    expect(digestOf(Buffer.concat(bytes))).toBe(layer.diffId);
    const [diff] = (await world.run({ kind: 'diff', lower: 0, upper: 1 }, [base, merged!])) as LayersRef[];
    expect(diff!.layers).toEqual(merged!.layers.slice(base.layers.length));
    expect(await paths(diff!)).toEqual(['one', 'two']);
  });

  it('finds what differs between file systems that have nothing to do with each other', async () => {
    await files({ 'keep/a': 'a', 'keep/b': 'b', gone: 'x', 'type/f': 'f' });
    const before = await does([copy('/', '/')]);
    await files({ 'keep/b': 'B', new: 'n' });
    await rm(join(folder, 'gone'));
    await rm(join(folder, 'type'), { recursive: true });
    await writeFile(join(folder, 'type'), 'now a file');
    const after = await does([copy('/', '/')], [EMPTY, world.directory(folder, 'changed')]);
    const [diff] = (await world.run({ kind: 'diff', lower: 0, upper: 1 }, [before, after])) as LayersRef[];
    expect(diff!.layers).toHaveLength(1);
    expect(await world.list(diff!, '%P %y\\n')).toEqual(
      ['gone c', 'keep d', 'keep/b f', 'new f', 'type f'].sort(),
    );
    const [applied] = await world.run({ kind: 'merge' }, [before, diff!]);
    expect(await paths(applied!)).toEqual(await paths(after));
    const [removed] = (await world.run({ kind: 'diff', lower: 0 }, [before])) as LayersRef[];
    const [nothing] = await world.run({ kind: 'merge' }, [before, removed!]);
    expect(await paths(nothing!)).toEqual([]);
  });
});
