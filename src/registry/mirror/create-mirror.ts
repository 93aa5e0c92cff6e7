import type { Logger } from 'pino';
import type { RegistryDatabase } from '#database/registry/open.ts';
import type { Metrics } from '#observability/metrics.ts';
import { BlobsRepository } from '../blobs/blobs-repository.ts';
import type { Registry } from '../registry.ts';
import { BlobMirror } from './blob-mirror.ts';
import { ManifestMirror } from './manifest-mirror.ts';
import { Mirror } from './mirror.ts';
import { MirrorExpiry } from './mirror-expiry.ts';
import { MirrorRepository } from './mirror-repository.ts';
import { mirrorRequests } from './mirror-requests.ts';
import { MirrorRules } from './mirror-rules.ts';
import type { Upstream } from './upstream.ts';
import { Upstreams } from './upstreams.ts';

export interface MirrorOptions {
  readonly rules: readonly {
    readonly prefix: string;
    readonly namespace?: string | undefined;
    /** Asked in this order. */
    readonly upstreams: readonly Upstream[];
  }[];
  /** How many milliseconds a tag is served without asking upstream. */
  readonly freshness: number;
  /** How many milliseconds it is remembered that upstream does not have something. */
  readonly absence: number;
  /** How many milliseconds without a pull something stays. */
  readonly expiry: number;
  /** How many blobs are downloaded at once. */
  readonly downloads: number;
}

export function createMirror(
  ports: {
    db: RegistryDatabase;
    registry: Pick<Registry, 'manifests' | 'blobs' | 'uploads'>;
    logger: Logger;
    metrics: Metrics;
  },
  options: MirrorOptions,
): Mirror {
  const { db, registry, logger } = ports;
  const count = mirrorRequests(ports.metrics);
  const mirrored = new MirrorRepository(db);
  const rules = new MirrorRules(
    options.rules.map(({ prefix, namespace, upstreams }) => ({
      prefix,
      namespace: namespace?.toLowerCase(),
      upstreams: new Upstreams(upstreams, { logger }),
    })),
  );
  return new Mirror({
    rules,
    manifests: new ManifestMirror({ ...registry, mirrored, logger, count: count.manifests }, options),
    blobs: new BlobMirror(
      { ...registry, stored: new BlobsRepository(db), mirrored, rules, logger, count: count.blobs },
      options,
    ),
    expiry: new MirrorExpiry({ ...registry, mirrored }, { after: options.expiry }),
  });
}
