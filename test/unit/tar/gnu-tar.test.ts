import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { packed, unpacked } from './tar-bytes.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-tar-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const LONG = `${'directory-with-a-long-name/'.repeat(6)}${'f'.repeat(120)}`;

describe('GNU tar', () => {
  it.each(['v7', 'ustar', 'gnu', 'oldgnu', 'pax'])('writes %s archives that are read', async (format) => {
    const long = format === 'v7' ? 'short' : format === 'ustar' ? `${'d/'.repeat(60)}f` : LONG;
    mkdirSync(join(folder, long, '..'), { recursive: true });
    writeFileSync(join(folder, long), 'long');
    writeFileSync(join(folder, 'plain'), 'x'.repeat(1000));
    symlinkSync('plain', join(folder, 'link'));
    const archive = execFileSync(
      'tar',
      ['-C', folder, `--format=${format}`, '--sort=name', '-cf', '-', '.'],
      {
        maxBuffer: 1e8,
      },
    );
    const files = await unpacked(archive, 100);
    const byPath = new Map(files.map((file) => [file.entry.path.replace(/^\.\//, ''), file]));
    expect(byPath.get(long)?.content.toString()).toBe('long');
    expect(byPath.get('plain')?.content.length).toBe(1000);
    expect(byPath.get('link')?.entry).toMatchObject({ type: 'symlink', linkPath: 'plain' });
  });

  it('reads what we write', async () => {
    const archive = await packed([
      { path: 'dir', type: 'directory', mode: 0o1777 },
      {
        path: LONG,
        content: 'long',
        mode: 0o4755,
        uid: 3_000_000,
        gid: 12,
        mtime: 1_700_000_000,
        mtimeNanoseconds: 5,
      },
      { path: 'hard', type: 'hardlink', linkPath: LONG },
      { path: 'soft', type: 'symlink', linkPath: '../ä' },
      { path: 'null', type: 'character', deviceMajor: 1, deviceMinor: 3 },
    ]);
    const listing = execFileSync('tar', ['--numeric-owner', '-tvf', '-'], {
      input: archive,
      encoding: 'utf8',
      env: { ...process.env, TZ: 'UTC', LC_ALL: 'C.UTF-8' },
    });
    const lines = listing.trim().split('\n');
    expect(lines[0]).toMatch(/^drwxrwxrwt 0\/0 .* dir\/$/);
    expect(lines[1]).toMatch(/^-rwsr-xr-x 3000000\/12 +4 2023-11-14 22:13/);
    expect(lines[1]).toContain(LONG);
    expect(lines[2]).toContain(`hard link to ${LONG}`);
    expect(lines[3]).toContain('soft -> ../ä');
    expect(lines[4]).toMatch(/^crw-r--r-- 0\/0 +1,3/);
  });

  it('has its sparse files refused', async () => {
    const path = join(folder, 'sparse');
    execFileSync('truncate', ['-s', '10M', path]);
    for (const format of ['gnu', 'pax']) {
      const archive = execFileSync('tar', ['-C', folder, `--format=${format}`, '-S', '-cf', '-', 'sparse']);
      await expect(unpacked(archive)).rejects.toThrow('sparse files are not supported');
    }
  });
});
