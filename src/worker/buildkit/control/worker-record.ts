import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Platform } from '#oci/platform.ts';
import { platformToPb } from '../definition/platform-pb.ts';
import type {
  BuildkitVersionSchema,
  WorkerRecordSchema,
} from '../proto/github.com/moby/buildkit/api/types/worker_pb.ts';

/** This worker as clients list it. */
export interface WorkerFacts {
  readonly id: string;
  readonly hostname: string;
  /** The native one first. */
  readonly platforms: readonly Platform[];
  readonly slipwayVersion: string;
}

/** The version whose API this is; clients compare it. */
const API_VERSION = 'v0.25.2';

export function workerRecord(facts: WorkerFacts): MessageInitShape<typeof WorkerRecordSchema> {
  return {
    ID: facts.id,
    Labels: {
      'org.mobyproject.buildkit.worker.executor': 'oci',
      'org.mobyproject.buildkit.worker.hostname': facts.hostname,
      'org.mobyproject.buildkit.worker.network': 'bridge',
      // By it the docker driver knows that images can be pushed, for several platforms, with caches.
      'org.mobyproject.buildkit.worker.snapshotter': 'overlayfs',
    },
    platforms: facts.platforms.map(platformToPb),
    BuildkitVersion: versionRecord(facts),
  };
}

export function versionRecord({
  slipwayVersion,
}: WorkerFacts): MessageInitShape<typeof BuildkitVersionSchema> {
  return { package: 'slipway', version: API_VERSION, revision: `slipway-${slipwayVersion}` };
}
