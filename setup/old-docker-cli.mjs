import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheDir } from './project.mjs';
import { run } from './run.mjs';
import { say } from './say.mjs';

const installed = '/usr/bin/docker';

/** Debian 12's Docker CLI, the last one that speaks to BuildKit without buildx, as .cache/clients/docker-20.10. */
export function ensureOldDockerCli() {
  const target = join(cacheDir, 'clients', 'docker-20.10');
  if (existsSync(target)) return;
  rmSync(target, { force: true });
  mkdirSync(join(cacheDir, 'clients'), { recursive: true });
  if (isOld(installed)) return symlinkSync(installed, target);
  say('fetching the Docker CLI 20.10 into .cache/clients …');
  const folder = mkdtempSync(join(tmpdir(), 'slipway-client-'));
  // apt gets files as a user of its own.
  chmodSync(folder, 0o777);
  const program = join(folder, installed);
  const done =
    run('apt-get', ['download', 'docker.io'], { cwd: folder }) &&
    run('dpkg-deb', ['--extract', String(readdirSync(folder)[0]), '.'], { cwd: folder });
  if (done && isOld(program)) {
    run('cp', [program, `${target}.${process.pid}`]);
    renameSync(`${target}.${process.pid}`, target);
  } else if (done) {
    say('this Debian’s package docker.io is not 20.10: tests of old Docker CLIs will fail');
  }
  rmSync(folder, { recursive: true, force: true });
}

/** @param {string} program */
function isOld(program) {
  return / 20\.10\./.test(spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout ?? '');
}
