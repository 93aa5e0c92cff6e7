import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { projectDir } from './project.mjs';
import { say } from './say.mjs';

const cache = `${projectDir}/.cache/compile`;
// Node keeps what each account compiled apart.
const stamp = `${cache}/compiled-${process.getuid?.() ?? 0}`;

/** Compiles Slipway's code if it changed since: the process that serves should not have to. */
export function ensureCompiled() {
  if (existsSync(stamp) && statSync(stamp).mtimeMs > newest()) return;
  const own = `${projectDir}/node_modules/.bin/node`;
  const node = existsSync(own) ? own : process.execPath;
  const { status } = spawnSync(node, [`${projectDir}/src/cli/compile.mjs`], { stdio: ['ignore', 2, 2] });
  if (status !== 0) {
    say('the code could not be compiled in advance; the first start takes longer');
    return;
  }
  mkdirSync(cache, { recursive: true });
  writeFileSync(stamp, '');
}

/** When the code was changed last. */
function newest() {
  const files = readdirSync(`${projectDir}/src`, { recursive: true, encoding: 'utf8' });
  const times = files.map((file) => statSync(`${projectDir}/src/${file}`).mtimeMs);
  return Math.max(statSync(`${projectDir}/package-lock.json`).mtimeMs, ...times);
}
