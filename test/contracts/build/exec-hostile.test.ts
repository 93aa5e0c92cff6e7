import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ExecMount } from '#worker/build/llb/op.ts';
import type { LayersRef } from '#worker/build/solve/ref.ts';
import { DriversWorld } from './drivers-world.ts';

let world: DriversWorld;
let base: LayersRef;
beforeAll(async () => {
  world = await DriversWorld.open();
  base = await world.busybox();
});
beforeEach(() => world.begin());
afterEach(async () => expect(await world.leftovers()).toEqual([]));
afterAll(() => world[Symbol.asyncDispose]());

describe('what is cleaned up after a command', () => {
  const tmpfs = (dest: string) => ({ type: 'tmpfs', dest }) as ExecMount;

  // CVE-2024-23652 of BuildKit: the way to what it was mounted on is the command's.
  it('is not what a link leads to that the command has put on the way', async () => {
    const outside = await world.folder('outside');
    await writeFile(join(outside, 'file'), '');
    await mkdir(join(outside, 'directory'));
    const script = `mv /way /moved && ln -s ${outside} /way && mv /bin/way /bin/moved && ln -s ${outside} /bin/way`;
    const mounts = ['/way/file', '/way/directory', '/bin/way/directory'].map(tmpfs);
    const after = await world.sh(base, script, { mounts });
    expect((await readdir(outside)).sort()).toEqual(['directory', 'file']);
    expect(await world.list(after, '%P %y %l\n')).toEqual(
      expect.arrayContaining([`way l ${outside}`, `bin/way l ${outside}`]),
    );
  });
});
