import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { imageNames } from './images/catalog.ts';
import { makeImages } from './images/stand-ins.ts';
import { remains, runMarker, takeSnapshot } from './leaks/snapshot.ts';
import { chooseS3Server } from './s3/install-s3-server.ts';
import { readTotals } from './totals.ts';

// `npm test`, `npm test -- unit registry`: runs Vitest, then looks for what it left on this machine. Words that name
// a project choose it, others are Vitest's filters. `--s3 minio` (versitygw) takes that S3 server instead of SeaweedFS.

const projects = ['unit', 'contracts', 'api', 's3', 'postgres', 'architecture', 'e2e'];
const report = '.cache/test-report.json';
const totalsFile = '.cache/test-totals.json';

const words = process.argv.slice(2);
chooseS3Server(words);
const chosen = words.filter((word) => projects.includes(word));
const filters = words.filter((word) => !projects.includes(word));

mkdirSync('.cache', { recursive: true });
for (const file of [report, totalsFile]) rmSync(file, { force: true });

const before = takeSnapshot();
process.env[runMarker.name] = runMarker.value;
if (chosen.length === 0 || chosen.includes('e2e')) await makeStandIns();
const vitest = spawn(
  process.execPath,
  [
    'node_modules/vitest/vitest.mjs',
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...chosen.flatMap((name) => ['--project', name]),
    ...filters,
  ],
  { stdio: ['ignore', 'inherit', 'inherit'] },
);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => vitest.kill(signal));
const [code] = (await once(vitest, 'exit')) as [number | null];

const left = await remains(before);
if (left.length > 0) {
  console.error(`\nThe tests left behind:\n${left.map((line) => `  ${line}`).join('\n')}`);
} else {
  console.log(
    'The tests left nothing behind: no process, mount, namespace, link, rule, cgroup or temporary folder.',
  );
}

const totals = readTotals(report);
if (left.length > 0) totals.failed += 1;
writeFileSync(totalsFile, JSON.stringify(totals));
process.exit(code === 0 && totals.failed === 0 ? 0 : 1);

/** Once, ahead of the tests that need them: minutes on a new machine. Without them those tests say what is wrong. */
async function makeStandIns(): Promise<void> {
  try {
    await makeImages(imageNames);
  } catch (error) {
    console.error('The stand-in images could not be made:', error);
  }
}
