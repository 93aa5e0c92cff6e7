import { spawnSync } from 'node:child_process';
import { say } from './say.mjs';

/**
 * Runs a program to its end, silently; says what went wrong.
 * @param {string} program @param {string[]} args @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} options
 */
export function run(program, args, options = {}) {
  const { status, stderr, error } = spawnSync(program, args, {
    ...options,
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (status === 0) return true;
  const reason = error?.message ?? stderr.trim().split('\n').slice(-3).join(' ');
  say(`\`${program} ${args.join(' ')}\` failed: ${reason}`);
  return false;
}
