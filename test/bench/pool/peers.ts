import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

const FOLDER = resolve('.cache/bench-queues');
const PACKAGES = ['pg-boss@12.38.0', 'graphile-worker@0.18.0'];

/** Loads a package that is only measured. */
export type Peers = (name: string) => Promise<Record<string, never>>;

/** Brings the queues that ours is measured beside, into a folder of their own. */
export function installPeers(): Peers {
  mkdirSync(FOLDER, { recursive: true });
  const file = join(FOLDER, 'package.json');
  if (!existsSync(join(FOLDER, 'node_modules'))) {
    writeFileSync(file, '{"private":true}\n');
    const options = { cwd: FOLDER, stdio: 'inherit' as const };
    execFileSync('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', ...PACKAGES], options);
  }
  const { resolve: find } = createRequire(file);
  return (name) => import(find(name));
}
