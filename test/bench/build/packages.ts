import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { resolve } from 'node:path';

const NAMES = [
  'git',
  'perl',
  'perl-modules-5.36',
  'libperl5.36',
  'vim-runtime',
  'python3.11-minimal',
  'libpython3.11-stdlib',
  'groff-base',
];

/** Debian packages to unpack in a build, downloaded once: containers need not reach a mirror then. */
export function benchPackages(): void {
  const folder = resolve('.cache/bench/packages');
  mkdirSync(folder, { recursive: true });
  if (readdirSync(folder).filter((name) => name.endsWith('.deb')).length >= NAMES.length) return;
  // As root apt hands downloads to a user who cannot write here.
  const { status } = spawnSync('apt-get', ['-o', 'APT::Sandbox::User=root', 'download', ...NAMES], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (status !== 0) throw new Error(`apt-get download ${NAMES.join(' ')} failed`);
}
