import type { Logger } from 'pino';
import type { Forwarder } from '../../gateway/forward.ts';
import type { PlacementsRepository } from '../../gateway/placements-repository.ts';
import type { Placer } from '../../gateway/placer.ts';
import type { PoolContents } from '../../gateway/pool-contents.ts';
import type { PoolImages } from '../../gateway/pool-images.ts';
import type { PoolObjects } from '../../gateway/pool-objects.ts';
import type { WorkerClient } from '../../gateway/worker-client.ts';
import type { WorkerClocks } from '../../gateway/worker-clocks.ts';
import type { Workers } from '../../gateway/workers.ts';
import type { Overlays } from '../../overlay/overlays.ts';
import type { PublishedPorts } from '../../ports/published-ports.ts';

/** What the routes of a gateway stand on. */
export interface GatewayParts {
  readonly workers: Workers;
  readonly placements: PlacementsRepository;
  readonly objects: PoolObjects;
  readonly images: PoolImages;
  readonly contents: PoolContents;
  readonly placer: Placer;
  readonly overlays: Overlays;
  /** Undefined where ports are published at workers alone. */
  readonly published: PublishedPorts | undefined;
  readonly client: WorkerClient;
  readonly clocks: WorkerClocks;
  readonly forwarder: Forwarder;
  readonly log: Logger;
}
