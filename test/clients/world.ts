import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { succeed } from '../e2e/harness/command.ts';
import { DistributionClient } from '../registry/distribution-client.ts';
import { writeImageLayout } from '../registry/image-layout.ts';
import { type ClientName, clientsFolder } from './install.ts';

/** What a client is tried with: a registry, an image to begin with, a folder and a home of its own. */
export interface World {
  /** `127.0.0.1:port` */
  readonly registry: string;
  /** An OCI image layout with one image, tagged `latest`. */
  readonly layout: string;
  /** The image's digest. */
  readonly digest: string;
  /** Where the client runs. */
  readonly folder: string;
  /** Runs a client, which has to succeed, and gives what it printed. */
  run(client: ClientName, ...args: string[]): Promise<string>;
  /** The digest that a reference has in the registry, by our own client. */
  digestOf(name: string, reference: string): Promise<string | undefined>;
}

/** One client's round trip: what it does, step by step, each of which throws when it went wrong. */
export interface Trip {
  readonly title: string;
  readonly clients: readonly ClientName[];
  readonly steps: Readonly<Record<string, (world: World) => Promise<void>>>;
}

export function createWorld(registry: string, parent: string, name: string): World {
  const folder = join(parent, name);
  const home = join(folder, 'home');
  mkdirSync(home, { recursive: true });
  const layout = join(folder, 'layout');
  const digest = writeImageLayout(layout);
  const env = {
    PATH: process.env.PATH,
    HOME: home,
    COSIGN_PASSWORD: '',
    // Nothing of what some of them look for is needed: that must not become traffic.
    HTTPS_PROXY: 'http://127.0.0.1:9',
    NO_PROXY: '127.0.0.1',
  };
  return {
    registry,
    layout,
    digest,
    folder,
    run: (client, ...args) => succeed(join(clientsFolder, client), args, { env, cwd: folder }),
    async digestOf(repository, reference) {
      const client = new DistributionClient(registry);
      const { headers } = await client.send('HEAD', `/v2/${repository}/manifests/${reference}`);
      client.close();
      return headers['docker-content-digest'] as string | undefined;
    },
  };
}
