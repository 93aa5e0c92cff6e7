import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeTopDirectory } from '#worker/snapshots/top-directory.ts';

const EXT4 = 0xef53;

describe.each([
  ['the temporary directory', tmpdir()],
  ['memory', '/dev/shm'],
])('a directory of unrelated trees in %s', (_, place) => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(place, 'slipway-top-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('is marked where the file system knows that, and made in any case', async () => {
    const root = join(folder, 'a/b');
    await makeTopDirectory(root, { mode: 0o711 });
    expect(statSync(root).mode & 0o777).toBe(0o711);
    if (statfsSync(root).type !== EXT4) return;
    const [flags] = execFileSync('lsattr', ['-d', root], { encoding: 'utf8' }).split(' ');
    expect(flags).toContain('T');
  });

  it('may be there', async () => {
    writeFileSync(join(folder, 'kept'), '');
    await makeTopDirectory(folder);
    await makeTopDirectory(folder);
    expect(statSync(join(folder, 'kept')).isFile()).toBe(true);
  });
});
