import { packages } from './debian-package-list.mjs';
import { anyExists } from './probe.mjs';
import { say } from './say.mjs';

/** @typedef {import('./debian-package-list.mjs').Purpose} Purpose */

/** Installs what is missing for these purposes, or names it where that is for someone else to do. */
export async function ensureDebianPackages(/** @type {Purpose[]} */ ...purposes) {
  const missing = missingPackages(...purposes);
  if (missing.length === 0) return;
  const command = `apt-get install --no-install-recommends ${missing.join(' ')}`;
  if (process.getuid?.() !== 0 || !anyExists(['/usr/bin/apt-get'])) {
    say(
      `this host lacks what ${purposes.includes('test') ? 'the tests need' : 'the worker needs'}; as root: ${command}`,
    );
    return;
  }
  const { install } = await import('./apt.mjs');
  install(missing);
}

/** Names of the Debian packages that these purposes need and this host does not have in any form. */
export function missingPackages(/** @type {Purpose[]} */ ...purposes) {
  return packages
    .filter(({ purpose, paths }) => purposes.includes(purpose) && !anyExists(paths))
    .map(({ name }) => name);
}
