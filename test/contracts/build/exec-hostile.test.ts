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

describe('a cache that others write in at the same time', () => {
  const cache = (more: object = {}) =>
    ({ type: 'cache', dest: '/cache', id: 'raced', sharing: 'shared', ...more }) as ExecMount;

  it('leads nowhere else while its directories change into links and back', async () => {
    const outside = await world.folder('raced');
    await writeFile(join(outside, 'secret'), 'of-the-host');
    const swap = [
      'cd /cache; mkdir -p real; echo own > real/secret; mv real way',
      `for i in $(seq 5000); do mv way aside; ln -s ${outside} way; rm way; mv aside way; test -e stop && break; done`,
      'touch swapped',
    ];
    const swapping = world.sh(base, swap.join('; '), { mounts: [cache()] });
    let reads = 0;
    for (let tries = 0; tries < 12 || reads < 3; tries++) {
      // It may be a link at the moment, and then leads into the cache alone, where nothing is.
      const reading = world.ask(base, 'cat /mine/secret; echo > /mine/written', {
        mounts: [cache({ dest: '/mine', selector: '/way' })],
      });
      await reading.then(
        () => reads++,
        (error: { kind?: string }) => expect(['not-found', 'invalid', undefined]).toContain(error.kind),
      );
    }
    await world.sh(base, 'touch /cache/stop', { mounts: [cache()] });
    await swapping;
    expect(world.output).toContain('own');
    expect(world.output).not.toContain('of-the-host');
    expect(await readdir(outside)).toEqual(['secret']);
  });
});
