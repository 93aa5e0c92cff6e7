import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { cacheDir } from './project.mjs';
import { run } from './run.mjs';
import { fail, say } from './say.mjs';

const packages = ['docker==7.1.0', 'pytest==9.2.0', 'pytest-timeout==2.4.0', 'paramiko==5.1.0'];

/**
 * docker-py and what its own tests run in, from PyPI, in a virtual environment of its own.
 * @returns {string} pytest
 */
export function ensureDockerPy() {
  const folder = `${cacheDir}/docker-py`;
  const complete = `${folder}/complete`;
  if (existsSync(complete)) return `${folder}/bin/pytest`;
  say('installing docker-py into .cache …');
  rmSync(folder, { recursive: true, force: true });
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...packages];
  if (!run('python3', ['-m', 'venv', folder]) || !run(`${folder}/bin/python`, pip)) {
    return fail('docker-py is missing: apt-get install python3-venv');
  }
  // Last, so that a run that was killed half-way is not taken for one that ended.
  writeFileSync(complete, '');
  return `${folder}/bin/pytest`;
}
