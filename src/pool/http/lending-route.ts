import { z } from 'zod';
import { unlessGivenUp } from '#async/unless-given-up.ts';
import type { PoolImages } from '../gateway/pool-images.ts';
import type { Workers } from '../gateway/workers.ts';
import { parseBody, type WorkerServer } from './worker-server.ts';

/** A worker asks again after that, in milliseconds: it does not wait long for an answer. */
const PATIENCE = 5_000;

const shape = z.strictObject({ reference: z.string().min(1).max(1024) });

/** `POST /image`: a worker that builds on an image gets it from one that has it. */
export function lendingRoute(
  server: WorkerServer,
  { images, workers }: { images: PoolImages; workers: Workers },
): void {
  server.route('POST /image', async (req, body) => {
    const { worker: id } = await server.authenticate(req);
    const { reference } = parseBody(shape, body);
    const image = await images.find(reference);
    if (!image) return { state: 'unknown' };
    const worker = (await workers.living()).find(({ worker }) => worker === id);
    if (!worker || image.workers.some(({ name }) => name === worker.name)) return { state: 'here' };
    const copied = images.copy(reference, image, worker).then(() => 'here');
    return { state: (await unlessGivenUp(copied, { within: PATIENCE })) ?? 'coming' };
  });
}
