import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { EMPTY, type LayersRef, type Ref } from '#worker/build/solve/ref.ts';
import { DriversWorld, type FileActionWish, fileOf } from './drivers-world.ts';

/** Drivers, and a client's folder that each test has anew; nothing may be left of them at its end. */
export function filesWorld() {
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

  return {
    get world() {
      return world;
    },
    get base() {
      return base;
    },
    get folder() {
      return folder;
    },
    files,
    does,
    paths: (ref: Ref) => world.list(ref, '%P\\n'),
  };
}

export const copy = (src: string, dest: string, more: object = {}) =>
  ({ type: 'copy', src, dest, ...more }) as FileActionWish;
