import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Clients, createClients } from '../api/buildkit/clients.ts';
import { busyboxArchive } from '../images/busybox-image.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** What several workers are asked to build at the same time is built once. They do one build at a time. */

let pool: Slipway;
let clients: Clients;
let own: string;

beforeAll(async () => {
  own = mkdtempSync(join(tmpdir(), 'slipway-'));
  const env = {
    SLIPWAY_WORKER_NETWORK_ADDRESS_POOLS: '[{ base: 10.218.0.0/16, size: 24 }]',
    SLIPWAY_WORKER_BUILD_MAX_CONCURRENT: '1',
  };
  pool = await startSlipway({ args: ['--workers', '3'], env });
  clients = createClients(`unix://${pool.socket}`);
  await pool.dockerOk('load', '--input', await busyboxArchive());
});
afterAll(async () => {
  clients?.[Symbol.dispose]();
  await pool?.[Symbol.asyncDispose]();
  rmSync(own, { recursive: true, force: true });
});

const random = (file: string) => `RUN cat /proc/sys/kernel/random/uuid > ${file}`;

function context(name: string, ...lines: string[]): string {
  const folder = join(own, name);
  mkdirSync(folder);
  writeFileSync(join(folder, 'file'), name);
  writeFileSync(join(folder, 'Dockerfile'), ['FROM busybox', ...lines, ''].join('\n'));
  return folder;
}

interface Built {
  /** Of its configuration, which holds what each step came to, and when. */
  readonly id: string;
  /** The names of the steps that were done, not found. */
  readonly ran: string[];
  readonly waited: boolean;
  readonly output: string;
}

let count = 0;

async function build(folder: string, { by = clients }: { by?: Clients } = {}): Promise<Built> {
  const metadata = join(own, `metadata-${count++}`);
  const options = ['--progress', 'rawjson', '--metadata-file', metadata];
  const built = await by.buildx(['build', ...options, folder]);
  expect(built).toSucceed();
  const done = new Map<string, boolean>();
  for (const line of built.stderr.split('\n')) {
    if (!line.startsWith('{')) continue;
    const { vertexes = [] } = JSON.parse(line) as {
      vertexes?: { name: string; completed?: string; cached?: boolean }[];
    };
    for (const { name, completed, cached = false } of vertexes) if (completed) done.set(name, cached);
  }
  const steps = [...done].filter(([name]) => /^\[.*\] (RUN|COPY)/.test(name));
  return {
    id: (JSON.parse(readFileSync(metadata, 'utf8')) as Record<string, string>)[
      'containerimage.config.digest'
    ]!,
    ran: steps.flatMap(([name, cached]) => (cached ? [] : [name])),
    waited: built.stderr.includes('which does this step'),
    output: built.stderr,
  };
}

it('does each step of identical builds once, on whichever workers they are', async () => {
  const folder = context(
    'identical',
    `${random('/one')} && sleep 1`,
    'COPY file /file',
    random('/two'),
    'RUN sleep 0.2 && cat /one /two /file > /three',
  );
  const built = await Promise.all([build(folder), build(folder), build(folder)]);
  expect(new Set(built.map(({ id }) => id)).size).toBe(1);
  expect(built.flatMap(({ ran }) => ran).toSorted()).toHaveLength(4);
  expect(built.some(({ waited }) => waited)).toBe(true);
});
