import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Slipway } from '../e2e/harness/slipway.ts';
import { seedImages } from '../images/stand-ins.ts';

/** Puts what the tests pull from Docker Hub into the registry, which stands for it; and into the engine what they expect there. */
export async function seed(slipway: Slipway): Promise<void> {
  await seedImages(slipway.registry, ['busybox']);
  await make(slipway, 'hello-world', ['latest'], 'CMD ["echo", "Hello from Docker!"]');
  // What its tests know of it.
  const users = "RUN mkdir -p /var/opt && echo 'postgres:x:70:70::/:/bin/sh' >>/etc/passwd";
  await make(slipway, 'alpine', ['latest', '3.10', '3.14'], users);
  for (const image of ['alpine:3.10', 'alpine', 'busybox']) await slipway.dockerOk('pull', image);
}

async function make(slipway: Slipway, name: string, tags: readonly string[], line: string): Promise<void> {
  const context = join(slipway.folder, name);
  mkdirSync(context);
  writeFileSync(join(context, 'Dockerfile'), `FROM busybox\n${line}\n`);
  for (const tag of tags) {
    const image = `${slipway.registry}/library/${name}:${tag}`;
    await slipway.dockerOk('build', '--tag', image, context);
    await slipway.dockerOk('push', image);
    await slipway.dockerOk('rmi', image);
  }
}
