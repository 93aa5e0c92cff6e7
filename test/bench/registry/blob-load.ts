import { createHash, randomBytes, randomFillSync } from 'node:crypto';
import type { Contestant } from './contestant.ts';
import { Connection } from './load.ts';
import type { Measure } from './measure.ts';
import { beginUpload, putBlob } from './push-blob.ts';
import { wrk } from './wrk.ts';

const MB = 1_000_000;
const GIB = 2 ** 30;
const PUT_CONNECTIONS = 4;
const CHUNK = 1024 * 1024;
const REPOSITORY = 'bench/blobs';

/** Blobs in each registry to get, and new ones like them to put. */
export function blobMeasures(
  contestants: readonly Contestant[],
  options: { seconds: number; rounds: number },
): Measure[] {
  const { seconds, rounds } = options;
  const small = onDemand(() => store(contestants, MB));
  const large = onDemand(() => store(contestants, GIB));
  return [
    {
      name: '1 MB blob GET, 16 connections',
      unit: '/s',
      goal: { ratio: 1.5 },
      rounds: 3,
      warmUp: true,
      run: async ({ address }) => (await wrk(address, await small(), { connections: 16, seconds })).rate,
    },
    {
      name: '1 MB blob PUT, 4 connections',
      unit: '/s',
      goal: { ratio: 1.5 },
      rounds: 3,
      warmUp: true,
      run: ({ address }) => putMany(address, MB, seconds * 1000),
    },
    {
      name: '100 MB blob PUT',
      unit: 'MB/s',
      goal: { ratio: 1.5 },
      rounds,
      warmUp: true,
      run: ({ address }) => putOne(address, 100 * MB),
    },
    {
      name: '1 GiB blob PUT',
      unit: 'MB/s',
      goal: { ratio: 1.5 },
      rounds,
      run: ({ address }) => putOne(address, GIB),
    },
    {
      name: '1 GiB blob GET',
      unit: 'MB/s',
      goal: { ratio: 1 },
      rounds: 3,
      // After as much was written the disk has not come to rest.
      warmUp: true,
      run: async ({ address }) => getOne(address, await large(), GIB),
    },
  ];
}

/** The same for all who ask. */
function onDemand<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/** The path of a blob of `size` bytes that all have. */
async function store(contestants: readonly Contestant[], size: number): Promise<string> {
  const blob = repeating(size);
  for (const { address } of contestants) await putStream(address, blob);
  return `/v2/${REPOSITORY}/blobs/${blob.digest}`;
}

/** Blobs a second. */
async function putMany(address: string, size: number, milliseconds: number): Promise<number> {
  const started = performance.now();
  let count = 0;
  const workers = Array.from({ length: PUT_CONNECTIONS }, async () => {
    using connection = await Connection.to(address);
    while (performance.now() - started < milliseconds) {
      const { chunk, digest } = repeating(size);
      await putBlob(connection, address, REPOSITORY, chunk, digest);
      count++;
    }
  });
  await Promise.all(workers);
  return count / ((performance.now() - started) / 1000);
}

function putOne(address: string, size: number): Promise<number> {
  const blob = repeating(size);
  return throughput(size, () => putStream(address, blob));
}

function getOne(address: string, path: string, size: number): Promise<number> {
  return throughput(size, async () => {
    using connection = await Connection.to(address);
    const status = await connection.send({ method: 'GET', path });
    if (status !== 200) throw new Error(`blob GET: ${status}`);
  });
}

interface RepeatingBlob {
  readonly chunk: Buffer;
  readonly size: number;
  readonly digest: string;
}

const noise = randomBytes(CHUNK);

/** Content that nobody has yet, without keeping all of it: one chunk again and again. */
function repeating(size: number): RepeatingBlob {
  const chunk = Buffer.from(noise.subarray(0, size));
  randomFillSync(chunk, 0, Math.min(size, 32));
  const hash = createHash('sha256');
  for (let left = size; left > 0; left -= chunk.length)
    hash.update(left < chunk.length ? chunk.subarray(0, left) : chunk);
  return { chunk, size, digest: `sha256:${hash.digest('hex')}` };
}

async function putStream(address: string, { chunk, size, digest }: RepeatingBlob): Promise<void> {
  using connection = await Connection.to(address);
  const path = await beginUpload(connection, address, REPOSITORY, digest);
  const status = await connection.stream('PUT', path, chunk, size);
  if (status !== 201) throw new Error(`blob PUT: ${status}`);
}

/** Megabytes a second. */
async function throughput(size: number, task: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await task();
  return size / 1e6 / ((performance.now() - started) / 1000);
}
