import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { fail, say } from './say.mjs';

const guard = '/usr/sbin/policy-rc.d';
const guardText =
  "#!/bin/sh\n# Written by Slipway's set-up while it installs packages: their services are not to be started.\nexit 101\n";
const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
const patience = ['-o', 'DPkg::Lock::Timeout=300', '-o', 'Acquire::Retries=3'];

/** Installs packages, starting none of their services and removing nothing that is there. */
export function install(/** @type {string[]} */ names) {
  say(`installing ${names.join(' ')} …`);
  const restore = holdServicesBack();
  try {
    run(['apt-get', 'update', '-qq', ...patience], { tolerated: true });
    // --no-remove: a host with another vendor's packages keeps them, and we say that it did not work.
    run(['apt-get', 'install', '-y', '-qq', '--no-install-recommends', '--no-remove', ...patience, ...names]);
  } finally {
    restore();
  }
}

/** Debian asks this script before it starts a service. @returns {() => void} what puts things back */
function holdServicesBack() {
  const present = existsSync(guard) ? readFileSync(guard, 'utf8') : undefined;
  const kept = `${guard}.before-slipway`;
  // A guard of ours is left from a run that was killed: nothing to keep.
  if (present !== undefined && present !== guardText) renameSync(guard, kept);
  writeFileSync(guard, guardText, { mode: 0o755 });
  return () => {
    if (existsSync(kept)) renameSync(kept, guard);
    else rmSync(guard, { force: true });
  };
}

/**
 * Output is shown when it went wrong; a newcomer does not want to read 200 lines of unpacking.
 * @param {string[]} command
 * @param {{ tolerated?: boolean }} [options]
 */
function run([program, ...args], options = {}) {
  const { status, stdout, stderr, error } = spawnSync(String(program), args, {
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 64 * 2 ** 20,
  });
  if (status === 0) return;
  const line = `${program} ${args.filter((arg) => !arg.startsWith('-o') && !arg.includes('::')).join(' ')}`;
  const output = `${stdout ?? ''}${stderr ?? ''}`.trim().split('\n').slice(-15).join('\n');
  if (options.tolerated) return say(`\`${line}\` failed, going on with the lists that are there`);
  fail(`\`${line}\` failed: ${error?.message ?? ''}\n${output}`);
}
