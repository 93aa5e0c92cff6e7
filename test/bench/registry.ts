import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { startS3Server } from '../s3/s3-server.ts';
import { blobMeasures } from './registry/blob-load.ts';
import type { Contestant, Storage } from './registry/contestant.ts';
import { manifestMeasures, seedManifests, tagMeasures } from './registry/manifest-load.ts';
import { compare, type Measure, type Result } from './registry/measure.ts';
import { idleMemory } from './registry/memory.ts';
import { startDebianRegistry, startDistribution, startZot } from './registry/peers.ts';
import { startContestant } from './registry/slipway-contestant.ts';
import { line, markdownTable } from './registry/table.ts';

/** How long load is put on a registry, each time. */
const SECONDS = 2;

/**
 * Slipway's registry beside distribution 3 and Debian's docker-registry (and a zot, with `--zot BINARY`), over a file
 * system and over S3, each measure in turns on the same machine and with the same client. `--write FILE` puts the
 * tables into a file, `--storage filesystem` or `s3` leaves the other out, `--only WORDS` the other measures.
 */
export async function run(): Promise<void> {
  const { values: options } = parseArgs({
    args: process.argv.slice(3),
    options: {
      zot: { type: 'string' },
      storage: { type: 'string' },
      only: { type: 'string' },
      write: { type: 'string' },
    },
  });
  const wanted = ({ name }: Measure) => name.includes(options.only ?? '');
  const sections = [introduction()];
  for (const kind of ['filesystem', 's3'] as const) {
    if (options.storage !== undefined && options.storage !== kind) continue;
    await using started = new AsyncDisposableStack();
    const storage = await storageOf(kind, started);
    const zot = kind === 'filesystem' ? options.zot : undefined;
    const contestants = await start(storage, zot, started);
    const names = contestants.map(({ name }) => name);
    process.stdout.write(`${kind}: ${names.join(', ')}\n`);
    const results: Result[] = [];
    for await (const measure of measures(kind, contestants)) {
      if (!wanted(measure)) continue;
      const result = await compare(measure, contestants);
      results.push(result);
      process.stdout.write(`${line(names, result)}\n`);
    }
    const title =
      kind === 'filesystem' ? 'On a file system' : 'On S3 (SeaweedFS on the same machine, no redirects)';
    sections.push(`## ${title}`, markdownTable(names, results));
  }
  if (options.write !== undefined) writeFileSync(options.write, `${sections.join('\n\n')}\n`);
}

async function storageOf(kind: Storage['kind'], started: AsyncDisposableStack): Promise<Storage> {
  if (kind === 'filesystem') return { kind };
  const server = started.use(await startS3Server());
  return { kind, ...server.access };
}

async function start(
  storage: Storage,
  zot: string | undefined,
  started: AsyncDisposableStack,
): Promise<Contestant[]> {
  const starts = [startContestant, startDistribution, startDebianRegistry];
  const contestants: Contestant[] = [];
  for (const begin of starts) contestants.push(started.use(await begin(storage)));
  if (zot !== undefined) contestants.push(started.use(await startZot(zot)));
  return contestants;
}

/** Idle first: nothing is stored yet. Over S3 what has nothing to do with content is measured less. */
async function* measures(kind: Storage['kind'], contestants: readonly Contestant[]): AsyncGenerator<Measure> {
  const files = kind === 'filesystem';
  if (files) yield idleMemory;
  await seedManifests(contestants);
  for (const measure of manifestMeasures(SECONDS)) {
    if (files) yield measure;
    else if (measure.name.includes('16 connections')) yield { ...measure, rounds: 2 };
  }
  for (const measure of blobMeasures(contestants, { seconds: SECONDS, rounds: files ? 3 : 1 })) {
    yield files ? measure : { ...measure, rounds: Math.min(measure.rounds, 2) };
  }
  if (files) yield* tagMeasures(SECONDS);
}

function introduction(): string {
  const [cpu] = cpus();
  const kernel = execFileSync('uname', ['-r'], { encoding: 'utf8' }).trim();
  const system = /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
  const revision = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  return `# Benchmarks

\`npm run bench -- registry --write docs/benchmarks.md\` made this file. Medians of rounds in turns, the same client for
all, from processes of its own (wrk for what is got, bare sockets for what is put), over loopback. A ratio says how many
times as well Slipway did; goals are against distribution 3. Logs of requests are off for all.

- ${cpus().length} × ${cpu?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${system}, Linux ${kernel}
- Slipway ${revision} on Node ${process.versions.node}, ${new Date().toISOString().slice(0, 10)}`;
}
