import { createHash, randomBytes } from 'node:crypto';
import { Connection, requests } from './load.ts';
import { beginUpload, putBlob } from './push-blob.ts';

const SECONDS = 3;
const PUT_CONNECTIONS = 4;
const PUTS = 60;
const CHUNK = 1024 * 1024;
const REPOSITORY = 'bench/blobs';

interface BlobLoad {
  readonly getMany: (address: string) => Promise<number>;
  readonly getOne: (address: string) => Promise<number>;
  readonly putMany: (address: string) => Promise<number>;
  readonly putOne: (address: string) => Promise<number>;
}

/** A blob of `size` bytes in each registry to get, and new ones like it to put. */
export async function blobLoad(addresses: readonly string[], size: number): Promise<BlobLoad> {
  const stored = repeating(size);
  for (const address of addresses) await putStream(address, stored);
  const path = `/v2/${REPOSITORY}/blobs/${stored.digest}`;
  return {
    getMany: (address) =>
      requests(address, { connections: 16, seconds: SECONDS, expected: 200 }, () => ({
        method: 'GET',
        path,
      })),
    getOne: (address) =>
      throughput(size, async () => {
        using connection = await Connection.to(address);
        const status = await connection.send({ method: 'GET', path });
        if (status !== 200) throw new Error(`blob GET: ${status}`);
      }),
    putMany: async (address) => {
      const blobs = Array.from({ length: PUTS }, () => repeating(size));
      const started = performance.now();
      const workers = Array.from({ length: PUT_CONNECTIONS }, async () => {
        using connection = await Connection.to(address);
        for (let blob = blobs.pop(); blob; blob = blobs.pop())
          await putBlob(connection, address, REPOSITORY, blob.chunk, blob.digest);
      });
      await Promise.all(workers);
      return PUTS / ((performance.now() - started) / 1000);
    },
    putOne: (address) => {
      const blob = repeating(size);
      return throughput(size, () => putStream(address, blob));
    },
  };
}

interface RepeatingBlob {
  readonly chunk: Buffer;
  readonly size: number;
  readonly digest: string;
}

/** Content that nobody has yet, without keeping all of it: one chunk again and again. */
function repeating(size: number): RepeatingBlob {
  const chunk = randomBytes(Math.min(size, CHUNK));
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
