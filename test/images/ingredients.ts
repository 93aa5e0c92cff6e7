import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { succeed } from '../e2e/harness/command.ts';
import type { Ingredient } from './catalog.ts';

const suite = 'bookworm';
/** What nobody reads in a container. */
const omitted = ['/usr/share/man/*', '/usr/share/locale/*', '/usr/share/doc/*', '/usr/share/info/*'];

/** Puts an ingredient into a build context. What is slow to get is kept in the cache folder. */
export async function addIngredient(ingredient: Ingredient, context: string, cache: string): Promise<void> {
  mkdirSync(cache, { recursive: true });
  if (ingredient === 'busybox-rootfs') return busyboxRootfs(context, cache);
  if (ingredient === 'debian-rootfs')
    return copyFileSync(await debianRootfs(cache), join(context, 'rootfs.tar'));
  if (ingredient === 'node') return nodeAndNpm(context, cache);
  return debianPackages(ingredient.debianPackages, join(context, 'debs'), cache);
}

/** BusyBox alone, with a link for each of its applets. */
async function busyboxRootfs(context: string, cache: string): Promise<void> {
  const root = join(context, 'root');
  const unpacked = join(cache, 'busybox-static');
  if (!existsSync(unpacked)) {
    const making = freshFolder(`${unpacked}.new`);
    await succeed('apt-get', ['download', '-o', 'APT::Sandbox::User=root', 'busybox-static'], {
      cwd: making,
      env: process.env,
    });
    await succeed('sh', ['-c', 'dpkg-deb -x busybox-static_*.deb .'], { cwd: making, env: process.env });
    renameSync(making, unpacked);
  }
  for (const folder of [
    'bin',
    'etc',
    'tmp',
    'root',
    'home',
    'usr/bin',
    'usr/sbin',
    'sbin',
    'var/spool/mail',
    'dev',
    'proc',
    'sys',
  ]) {
    mkdirSync(join(root, folder), { recursive: true });
  }
  chmodSync(join(root, 'tmp'), 0o1777);
  chmodSync(join(root, 'root'), 0o700);
  copyFileSync(join(unpacked, 'bin/busybox'), join(root, 'bin/busybox'));
  const applets = (await succeed(join(root, 'bin/busybox'), ['--list']))
    .split('\n')
    .filter((name) => name !== 'busybox');
  await succeed('sh', ['-c', 'for name; do ln busybox "$name"; done', 'sh', ...applets], {
    cwd: join(root, 'bin'),
  });
  // Its users, and what Debian's busybox leaves out.
  cpSync(join(context, 'rootfs'), root, { recursive: true });
  await succeed('tar', [
    '-C',
    root,
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '-cf',
    join(context, 'rootfs.tar'),
    '.',
  ]);
  rmSync(root, { recursive: true });
}

/** A Debian without anything optional: the tar that `mmdebstrap` makes. */
async function debianRootfs(cache: string): Promise<string> {
  const tar = join(cache, `debian-${suite}.tar`);
  if (existsSync(tar)) return tar;
  const making = `${tar}.${process.pid}.tar`;
  const excludes = omitted.map((pattern) => `--dpkgopt=path-exclude=${pattern}`);
  const args = ['--quiet', '--variant=minbase', '--include=ca-certificates', ...excludes, suite, making];
  await succeed('mmdebstrap', args, { env: process.env });
  renameSync(making, tar);
  return tar;
}

/** The packages and what they need beyond the base image, for an installation without a network. */
async function debianPackages(names: readonly string[], target: string, cache: string): Promise<void> {
  const kept = join(cache, `debs-${names.join('-')}`);
  if (!existsSync(kept)) {
    const making = freshFolder(`${kept}.new`);
    mkdirSync(join(making, 'partial'));
    const status = join(cache, `status-${process.pid}`);
    writeFileSync(status, await succeed('tar', ['-xOf', await debianRootfs(cache), './var/lib/dpkg/status']));
    const options = [
      `Dir::State::status=${status}`,
      `Dir::Cache::archives=${making}`,
      'Debug::NoLocking=1',
      'APT::Sandbox::User=root',
    ];
    const args = [
      'install',
      '--download-only',
      '-y',
      '-qq',
      '--no-install-recommends',
      ...options.flatMap((option) => ['-o', option]),
      ...names,
    ];
    await succeed('apt-get', args, { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } });
    rmSync(status);
    for (const left of ['partial', 'lock']) rmSync(join(making, left), { recursive: true, force: true });
    renameSync(making, kept);
  }
  await succeed('cp', ['-a', kept, target]);
}

/** This project's own Node, and npm as its package has it. */
async function nodeAndNpm(context: string, cache: string): Promise<void> {
  copyFileSync(process.execPath, join(context, 'node'));
  const kept = join(cache, 'npm');
  if (!existsSync(kept)) {
    const making = freshFolder(`${kept}.new`);
    await succeed('npm', ['pack', '--silent', 'npm@11'], { cwd: making, env: process.env });
    await succeed('sh', ['-c', 'tar -xzf npm-*.tgz'], { cwd: making });
    renameSync(join(making, 'package'), kept);
    rmSync(making, { recursive: true });
  }
  await succeed('cp', ['-a', kept, join(context, 'npm')]);
}

function freshFolder(path: string): string {
  rmSync(path, { recursive: true, force: true });
  mkdirSync(path, { recursive: true });
  return path;
}
