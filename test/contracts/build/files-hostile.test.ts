import { execFile } from 'node:child_process';
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { EMPTY } from '#worker/build/solve/ref.ts';
import { DriversWorld, type FileActionWish, fileOf } from './drivers-world.ts';
import { copy, filesWorld } from './files-world.ts';

const run = promisify(execFile);
const on = filesWorld();
const { does, files, paths } = on;

describe('what is hostile', () => {
  it('does not get out by links, from a source or into a destination', async () => {
    await symlink('/etc/shadow', join(on.folder, 'absolute'));
    await symlink('../../../../../../../etc/shadow', join(on.folder, 'up'));
    await symlink('loop', join(on.folder, 'loop'));
    await files({ 'd/f': 'f' });
    const outside = join(on.world.root, 'outside');
    await mkdir(outside);
    for (const [name, target] of [
      ['out', outside],
      ['up', `../../../../../../../../..${outside}`],
    ]) {
      const there = await does(
        [{ type: 'symlink', oldpath: target, newpath: `/${name}` } as FileActionWish],
        [on.base],
      );
      await does([copy('/d/', `/${name}/x/`)], [there, on.world.directory(on.folder)]);
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
    expect(await on.world.list(await does([copy('/', '/')]), '%P %l\\n')).toContain('absolute /etc/shadow');
  });

  it('has no names that the kernel would take for others', async () => {
    const wish = { type: 'mkfile', path: '/a\0b', mode: 0o644, data: Buffer.alloc(0) } as FileActionWish;
    await expect(does([wish], [EMPTY])).rejects.toMatchObject({ kind: 'invalid' });
    await expect(does([copy('/a\0b', '/')], [EMPTY, EMPTY])).rejects.toMatchObject({ kind: 'invalid' });
  });

  it('does not get out by an archive', async () => {
    await files({ in: 'x' });
    const tar = join(on.folder, 'a.tar');
    await run('tar', ['-C', on.folder, '-cPf', tar, '--transform', 's,^in,../../escape,', 'in']);
    await expect(does([copy('/a.tar', '/to/', { unpack: true })])).rejects.toMatchObject({ kind: 'invalid' });
    await rm(join(on.folder, 'in'));
    await symlink('/', join(on.folder, 'in'));
    await run('tar', ['-C', on.folder, '-cf', tar, 'in']);
    await rm(join(on.folder, 'in'));
    await files({ 'in/pwned': 'x' });
    await run('tar', ['-C', on.folder, '-rf', tar, 'in/pwned']);
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
    await run('sh', ['-c', `cd ${own}; for p in zstd xz bzip2; do tar -cf - zeros | $p -c > big.$p; done`]);
    // What it says of itself is longer than what it has; and a name without end.
    await run('python3', [
      '-c',
      `import tarfile; t=tarfile.open("${own}/name.tar","w",format=tarfile.PAX_FORMAT); i=tarfile.TarInfo("n"*3000000); t.addfile(i); t.close()
i=tarfile.TarInfo("lie"); i.size=1<<40; open("${own}/lie.tar","wb").write(i.tobuf()+b"x"*1024)`,
    ]);
    for (const name of ['name.tar', 'lie.tar']) {
      const lying = small.run(fileOf(copy(`/${name}`, '/', { unpack: true })), [EMPTY, small.directory(own)]);
      await expect(lying, name).rejects.toMatchObject({ kind: expect.stringMatching(/invalid|too-large/) });
    }
    for (const name of ['big.tgz', 'big.zstd', 'big.xz', 'big.bzip2', 'many.tar']) {
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
      `cd ${on.folder}; for d in $(seq 60); do mkdir d$d; (cd d$d; seq 500 | xargs touch); done`,
    ]);
    const copying = does([copy('/', '/')]);
    setTimeout(() => on.world.cancel(), 50);
    await expect(copying).rejects.toMatchObject({ kind: 'canceled' });
  });

  it('has no sockets, and names that are no text', async () => {
    await run('python3', [
      '-c',
      `import socket,os; os.chdir("${on.folder}"); s=socket.socket(socket.AF_UNIX); s.bind("sock")`,
    ]);
    await writeFile(Buffer.concat([Buffer.from(`${on.folder}/`), Buffer.from([0x66, 0xff])]), 'x');
    const ref = await does([copy('/', '/')]);
    const names = await on.world.see(ref, (root) => run('ls', ['-b', root]));
    expect(names.stdout).toBe('f\\377\n');
  });
});
