import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import { files } from './files.ts';
import { differencesOf, type FileResults, readResults, table } from './results.ts';

// npm run through-gateway [-- worker gateway:1 gateway:3] [FILE …]: the end-to-end tests of the docker CLI, compose, buildx and
// `slipway build`, unchanged, against a worker, and against a gateway with that many workers. Prints how many passed, and what
// came out otherwise than against the first, unless stated.ts says why. FILE: a name of files.ts.

const words = process.argv.slice(2);
const named = words.filter((word) => /^(?:worker|gateway:\d{1,2})$/.test(word));
const targets = named.length > 0 ? named : ['worker', 'gateway:1', 'gateway:3'];
const known: readonly string[] = files;
const chosen = words.filter((word) => !named.includes(word));
if (!chosen.every((word) => known.includes(word))) {
  console.error(`usage: npm run through-gateway [-- worker] [gateway:WORKERS …] [${files.join(' | ')} …]`);
  process.exit(2);
}

const results = new Map<string, FileResults[]>();
for (const target of targets) results.set(target, await play(target, chosen.length > 0 ? chosen : files));
console.log(table(results));
const [, first = []] = [...results][0] ?? [];
let unexplained = 0;
for (const [target, found] of results) {
  for (const { line, reason } of differencesOf(found, first)) {
    if (reason === undefined) unexplained++;
    console.log(`${target}: ${line}${reason === undefined ? '' : `: ${reason}`}`);
  }
}
process.exit(unexplained === 0 ? 0 : 1);

async function play(target: string, names: readonly string[]): Promise<FileResults[]> {
  const report = '.cache/through-gateway.json';
  mkdirSync('.cache', { recursive: true });
  rmSync(report, { force: true });
  const vitest = spawn(
    process.execPath,
    [
      'node_modules/vitest/vitest.mjs',
      'run',
      ...['--project', 'e2e', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`],
      ...names.map((name) => `test/e2e/${name}.test.ts`),
    ],
    {
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, TEST_GATEWAY: target.split(':')[1] ?? '0' },
    },
  );
  await once(vitest, 'exit');
  return readResults(report);
}
