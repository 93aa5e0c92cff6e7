import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { makeImages, pushMade } from '../images/stand-ins.ts';
import { pushSmallImages } from './small-images.ts';

/** What the tests pull from Docker Hub, and what stands for it. */
const images = [
  { name: 'busybox', repository: 'library/busybox', tags: ['latest', 'stable-musl'] },
  { name: 'busybox', repository: 'library/alpine', tags: ['latest'] },
  { name: 'debian', repository: 'amd64/debian', tags: ['bullseye-20230109-slim'] },
] as const;

/** Fills the folder of the registry that the framework starts as its mirror of Docker Hub. */
export async function seedMirror(folder: string, program: string): Promise<void> {
  await makeImages(['busybox', 'debian']);
  const config = join(folder, 'config.yaml');
  const settings = {
    version: 0.1,
    loglevel: 'debug',
    storage: { filesystem: { rootdirectory: join(folder, 'data') } },
    http: { addr: '127.0.0.1:0' },
    // One image has a layer that is elsewhere.
    validation: { manifests: { urls: { allow: ['^https://'] } } },
  };
  writeFileSync(config, JSON.stringify(settings));
  const registry = spawn(program, ['serve', config], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, OTEL_TRACES_EXPORTER: 'none' },
  });
  const exit = once(registry, 'exit');
  try {
    const address = await new Promise<string>((resolve, reject) => {
      registry.once('error', reject);
      registry.once('exit', () => reject(new Error(`${program} did not start`)));
      createInterface({ input: registry.stderr }).on('line', (line) => {
        const [, found] = /listening on (127\.0\.0\.1:\d+)/.exec(line) ?? [];
        if (found !== undefined) resolve(found);
      });
    });
    for (const { name, repository, tags } of images) await pushMade(address, name, repository, tags);
    await pushSmallImages(address, join(folder, 'small'));
  } finally {
    if (registry.kill()) await exit;
  }
}
