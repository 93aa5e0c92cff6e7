import { execFile } from 'node:child_process';
import { chmod, chown, link, lutimes, symlink, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { EMPTY } from '#worker/build/solve/ref.ts';
import { getXattr, mknod, setXattr } from '#worker/snapshots/libc.ts';
import { COPY_DEFAULTS, type FileActionWish } from './drivers-world.ts';
import { copy, filesWorld } from './files-world.ts';

const run = promisify(execFile);
const on = filesWorld();
const { does, files, paths } = on;

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
      await on.world.read(
        await does([copy('/file', '/etc')], [on.base, on.world.directory(on.folder)]),
        'etc/file',
      ),
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
    await chmod(join(on.folder, 'plain'), 0o4751);
    await chown(join(on.folder, 'plain'), 12, 34);
    await chmod(join(on.folder, 'plain'), 0o4751);
    await link(join(on.folder, 'plain'), join(on.folder, 'same'));
    await symlink('/etc/passwd', join(on.folder, 'link'));
    await run('mkfifo', [join(on.folder, 'pipe')]);
    mknod(join(on.folder, 'null'), 0o020666, 1, 3);
    setXattr(join(on.folder, 'dir'), 'user.note', Buffer.from('x'));
    await chmod(join(on.folder, 'dir'), 0o1700);
    for (const name of ['plain', 'dir']) await utimes(join(on.folder, name), 1000, 2000);
    await lutimes(join(on.folder, 'link'), 1000, 3000);
    const ref = await does([copy('/', '/')]);
    expect(await on.world.list(ref, '%P %y %m %U:%G %n %l %TY\\n')).toEqual([
      'dir d 1700 0:0 2  1970',
      `dir/in f 644 0:0 1  ${new Date().getFullYear()}`,
      'link l 777 0:0 1 /etc/passwd 1970',
      `null c 644 0:0 1  ${new Date().getFullYear()}`,
      `pipe p 644 0:0 1  ${new Date().getFullYear()}`,
      'plain f 4751 12:34 2  1970',
      'same f 4751 12:34 2  1970',
    ]);
    const note = await on.world.see(ref, async (root) =>
      getXattr(join(root, 'dir'), 'user.note')?.toString(),
    );
    expect(note).toBe('x');
  });

  it('gives owners by number, and by name of a file system', async () => {
    await files({ 'd/f': '' });
    const owner = { user: { byId: 7 }, group: { byId: 8 } };
    expect(await on.world.list(await does([copy('/d', '/x/', { owner })]), '%P %U:%G\\n')).toEqual([
      'x 7:8',
      'x/f 7:8',
    ]);
    const named = {
      user: { byName: { name: 'www-data', input: 0 } },
      group: { byName: { name: 'users', input: 0 } },
    };
    const inputs = [on.base, on.world.directory(on.folder)];
    const ref = await does([copy('/d', '/x/', { owner: named })], inputs);
    expect(await on.world.ask(ref, 'stat -c %u:%g /x/f')).toBe('33:100\n');
    const alone = await does([copy('/d', '/x/', { owner: { user: named.user } })], inputs);
    expect(await on.world.ask(alone, 'stat -c %u:%g /x/f')).toBe('33:33\n');
    const nowhere = { user: { byName: { name: 'www-data' } } };
    await expect(does([copy('/d', '/x/', { owner: nowhere })])).rejects.toMatchObject({
      kind: 'invalid',
      message: 'invalid missing user mount',
    });
  });

  it('gives modes in digits and in letters', async () => {
    await files({ 'd/run': '', 'd/sub/text': '' });
    await chmod(join(on.folder, 'd/run'), 0o755);
    const modes = async (mode: string) =>
      on.world.list(await does([copy('/d', '/x/', { mode })]), '%P %m\\n');
    expect(await modes('0640')).toEqual(['x 640', 'x/run 640', 'x/sub 640', 'x/sub/text 640']);
    expect(await modes('u=rwX,go=rX')).toEqual(['x 755', 'x/run 755', 'x/sub 755', 'x/sub/text 644']);
    expect(await modes('a-r,u+s')).toEqual(['x 755', 'x/run 4311', 'x/sub 4311', 'x/sub/text 4200']);
    await expect(modes('u=q')).rejects.toMatchObject({ kind: 'invalid' });
  });

  it('dates everything when it is told to', async () => {
    await files({ 'd/f': '' });
    const ref = await does([copy('/d', '/x/y/', { timestamp: 1_000_000_000_500_000_000n })]);
    expect(await on.world.list(ref, '%P %T@\\n')).toEqual([
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
    const inputs = [there, on.world.directory(on.folder)];
    const merged = await does([copy('/d', '/to/')], inputs);
    expect(await paths(merged)).toEqual(['to', 'to/dir', 'to/dir/in', 'to/dir/old', 'to/file']);
    expect(await on.world.read(merged, 'to/file')).toBe('new');
    await expect(
      does([copy('/d/file', '/to/dir', { dirCopyContents: false })], inputs),
    ).resolves.toBeDefined();
    await files({ 'e/dir': 'a file' });
    await expect(does([copy('/e', '/to/')], inputs)).rejects.toMatchObject({
      kind: 'invalid',
      message: 'cannot replace to directory /to/dir with file',
    });
    const replaced = await does([copy('/e', '/to/', { alwaysReplaceExistingDestPaths: true })], inputs);
    expect(await on.world.read(replaced, 'to/dir')).toBe('a file');
  });

  it('unpacks archives, compressed or not, and copies what is none', async () => {
    await files({ 'in/a': 'a', 'in/sub/b': 'b', text: 'no archive' });
    for (const [name, flag] of [
      ['a.tar', '-c'],
      ['a.tgz', '-cz'],
      ['a.tar.xz', '-cJ'],
    ]) {
      await run('tar', ['-C', join(on.folder, 'in'), flag!, '-f', join(on.folder, name!), '.']);
      const ref = await does([copy(`/${name}`, '/to/', { unpack: true })]);
      expect(await paths(ref)).toEqual(['to', 'to/a', 'to/sub', 'to/sub/b']);
    }
    expect(await paths(await does([copy('/text', '/to/', { unpack: true })]))).toEqual(['to', 'to/text']);
    const owner = { user: { byId: 5 }, group: { byId: 6 } };
    const owned = await does([copy('/a.tar', '/to/', { unpack: true, owner })]);
    expect(await on.world.list(owned, '%P %U:%G\\n')).toContain('to/a 5:6');
  });
});

describe('a change of files', () => {
  const act = (...wishes: object[]) => does(wishes as FileActionWish[], [on.base]);

  it('makes directories and files, links, and removes', async () => {
    const ref = await act(
      { type: 'mkdir', path: '/a/b', mode: 0o750, makeParents: true, owner: { user: { byId: 3 } } },
      { type: 'mkfile', path: '/a/b/f', mode: 0o640, data: Buffer.from('data') },
      { type: 'symlink', oldpath: '../b/f', newpath: '/a/link' },
      { type: 'rm', path: '/etc/pass*', allowNotFound: false, allowWildcard: true },
      { type: 'rm', path: '/nothing', allowNotFound: true, allowWildcard: false },
    );
    expect(ref).toMatchObject({ layers: { length: on.base.layers.length + 1 } });
    const output = await on.world.ask(
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
          ...COPY_DEFAULTS,
          type: 'copy',
          src: '/f',
          dest: '/from-first',
          input: 2,
          secondaryInput: 1,
          output: 2,
        },
      ],
    } as const;
    const refs = await on.world.run(op as never, [EMPTY]);
    expect(await Promise.all(refs.map(paths))).toEqual([['f'], ['f'], ['f', 'from-first']]);
    expect(await on.world.read(refs[2]!, 'f')).toBe('2');
    expect(await on.world.read(refs[2]!, 'from-first')).toBe('1');
  });
});
