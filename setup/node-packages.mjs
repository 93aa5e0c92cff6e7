import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { projectDir } from './project.mjs';
import { fail, say } from './say.mjs';

/** @typedef {{ version?: string, optional?: boolean, dev?: boolean }} LockedPackage */

/** Runs `npm ci` unless node_modules is what package-lock.json says. */
export function ensureNodePackages() {
  if (!upToDate()) {
    say('installing Node packages …');
    const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], {
      cwd: projectDir,
      stdio: ['ignore', 2, 2],
      // `npm start` hands its own settings down; those of the command that was typed are not meant for this one.
      env: Object.fromEntries(
        Object.entries(process.env).filter(([name]) => !/^npm_(command|lifecycle)/.test(name)),
      ),
    });
    if (status !== 0) fail('`npm ci` failed, see above');
  }
  if (
    !existsSync(`${projectDir}/node_modules/.bin/node`) &&
    Number(process.versions.node.split('.')[0]) < 24
  ) {
    fail(
      `there is no Node 24 package for ${process.platform}-${process.arch}: install Node 24 yourself and try again`,
    );
  }
}

/**
 * Compares the lock file with the copy that npm keeps of what it installed. Packages of other platforms are in the
 * first alone.
 */
function upToDate() {
  const wanted = lockedPackages(`${projectDir}/package-lock.json`);
  const installed = lockedPackages(`${projectDir}/node_modules/.package-lock.json`);
  if (!wanted || !installed) return false;
  for (const [path, { version }] of installed) if (wanted.get(path)?.version !== version) return false;
  for (const [path, { optional }] of wanted)
    if (path !== '' && !optional && !installed.has(path)) return false;
  return true;
}

/** @returns {Map<string, LockedPackage> | undefined} */
function lockedPackages(/** @type {string} */ file) {
  try {
    return new Map(Object.entries(JSON.parse(readFileSync(file, 'utf8')).packages));
  } catch {
    return undefined;
  }
}
