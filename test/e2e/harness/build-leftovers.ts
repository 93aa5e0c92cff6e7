import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Slipway } from './slipway.ts';

/** Everything that a build has while it runs: mounts, steps' directories, half-written layers, bundles, networks. */
export function buildLeftovers(slipway: Slipway): string[] {
  const entries = (path: string) => {
    const directory = join(slipway.folder, path);
    return existsSync(directory) ? readdirSync(directory).map((name) => join(path, name)) : [];
  };
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return [
    // A test may have mounted the data's directory itself.
    ...mounts.filter(
      (line) => line.includes(`${slipway.dataDir}/`) || line.includes(join(slipway.folder, 'run')),
    ),
    ...['mounts', 'steps', 'checkouts'].flatMap((name) => entries(`data/worker/builds/drivers/${name}`)),
    ...entries('data/worker/content/ingest/compressed'),
    ...entries('run/worker/steps/runc'),
    ...entries('run/worker/steps').filter((name) => !name.endsWith('/runc')),
  ];
}
