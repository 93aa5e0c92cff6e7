import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { addIngredient } from '../../images/ingredients.ts';

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

/** Packages with all that they need, which apt installs from a folder. */
const INSTALLED = ['redis-server', 'nginx-light'];

/** Debian packages for builds, downloaded once: containers need not reach a mirror then. */
export async function benchPackages(): Promise<void> {
  const folder = resolve('.cache/bench/apt');
  if (!existsSync(join(folder, 'debs'))) {
    mkdirSync(folder, { recursive: true });
    await addIngredient({ debianPackages: INSTALLED }, folder, resolve('.cache/images'));
  }
  unpackedPackages();
}

function unpackedPackages(): void {
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
