import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Platform } from '#oci/platform.ts';
import type { CacheLimits } from '#worker/build/cache/cache-keeper.ts';
import { platformToPb } from '../definition/platform-pb.ts';
import type {
  BuildkitVersionSchema,
  WorkerRecordSchema,
} from '../proto/github.com/moby/buildkit/api/types/worker_pb.ts';

/** This worker as clients list it. */
export interface WorkerFacts {
  readonly id: string;
  readonly hostname: string;
  /** Those whose programs it runs now, the native one first: emulators come and go. */
  readonly platforms: () => Promise<readonly Platform[]>;
  readonly slipwayVersion: string;
  /** How much it keeps between builds. */
  readonly limits?: CacheLimits;
}

/** The version whose API this is; clients compare it. */
const API_VERSION = 'v0.25.2';

export async function workerRecord(facts: WorkerFacts): Promise<MessageInitShape<typeof WorkerRecordSchema>> {
  return {
    ID: facts.id,
    Labels: {
      'org.mobyproject.buildkit.worker.executor': 'oci',
      'org.mobyproject.buildkit.worker.hostname': facts.hostname,
      'org.mobyproject.buildkit.worker.network': 'bridge',
      // By it the docker driver knows that images can be pushed, for several platforms, with caches.
      'org.mobyproject.buildkit.worker.snapshotter': 'overlayfs',
    },
    platforms: (await facts.platforms()).map(platformToPb),
    GCPolicy: facts.limits ? policiesOf(facts.limits) : [],
    BuildkitVersion: versionRecord(facts),
  };
}

/** The cache's limits as rules of BuildKit's, which it goes through in this order. */
function policiesOf({ reservedBytes, maxUsedBytes, minFreeBytes, maxUnusedMs }: CacheLimits) {
  const bySize = reservedBytes + maxUsedBytes + minFreeBytes > 0;
  return [
    ...(maxUnusedMs > 0 ? [{ all: true, keepDuration: BigInt(maxUnusedMs) * 1_000_000n }] : []),
    ...(bySize
      ? [
          {
            all: true,
            reservedSpace: BigInt(reservedBytes),
            maxUsedSpace: BigInt(maxUsedBytes),
            minFreeSpace: BigInt(minFreeBytes),
          },
        ]
      : []),
  ];
}

export function versionRecord({
  slipwayVersion,
}: WorkerFacts): MessageInitShape<typeof BuildkitVersionSchema> {
  return { package: 'slipway', version: API_VERSION, revision: `slipway-${slipwayVersion}` };
}
