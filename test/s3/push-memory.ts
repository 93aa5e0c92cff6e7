import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { begin, DistributionClient } from '../registry/distribution-client.ts';

const MIB = 2 ** 20;

export interface PushMemory {
  /** Resident memory of the registry before anything was pushed, in bytes. */
  readonly idle: number;
  /** The most that it was, while each tenth of the bytes came in. */
  readonly tenths: readonly number[];
  /** Bytes that came in, a second. */
  readonly rate: number;
}

/** Pushes blobs of `size` bytes at once, as docker does (PATCH, then PUT), and looks at the registry's memory. */
export async function pushAndWatch(
  registry: { address: string; pid: number },
  load: { uploads: number; size: number },
): Promise<PushMemory> {
  const idle = residentMemory(registry.pid);
  const tenths = Array.from({ length: 10 }, () => 0);
  const total = load.uploads * load.size;
  let sent = 0;
  const watch = (bytes: number) => {
    const tenth = Math.min(Math.floor((sent / total) * 10), 9);
    sent += bytes;
    tenths[tenth] = Math.max(tenths[tenth]!, residentMemory(registry.pid));
  };
  const started = performance.now();
  await Promise.all(
    Array.from({ length: load.uploads }, (_, index) => push(registry.address, index, load.size, watch)),
  );
  return { idle, tenths, rate: (total / (performance.now() - started)) * 1000 };
}

async function push(
  address: string,
  index: number,
  size: number,
  watch: (bytes: number) => void,
): Promise<void> {
  const client = new DistributionClient(address);
  try {
    // Every blob has its own bytes and all its pieces are the same, so that making them costs nothing.
    const piece = Buffer.alloc(MIB, `blob ${index} `);
    const hash = createHash('sha256');
    async function* body() {
      for (let left = size; left > 0; left -= piece.length) {
        const part = piece.subarray(0, Math.min(left, piece.length));
        hash.update(part);
        watch(part.length);
        yield part;
      }
    }
    const location = await begin(client, `memory/s3-${index}`);
    const patch = await client.send('PATCH', location, { body: body() });
    if (patch.status !== 202) throw new Error(`PATCH: ${patch.status} ${patch.body}`);
    const put = await client.send('PUT', `${location}?digest=sha256:${hash.digest('hex')}`);
    if (put.status !== 201) throw new Error(`PUT: ${put.status} ${put.body}`);
  } finally {
    client.close();
  }
}

function residentMemory(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1024;
}
