import type { Metrics } from '#observability/metrics.ts';

/**
 * How what was asked of a mirror was answered. `hit`: by what is here. `revalidated`: by that, after upstream said that
 * it still holds. `stale`: by that, as upstream could not be asked. `miss`: from upstream. `absent`: it was remembered
 * that upstream does not have it.
 */
export type MirrorResult = 'hit' | 'revalidated' | 'stale' | 'miss' | 'absent';

export type CountResult = (result: MirrorResult) => void;

/** Counts for manifests and for blobs. */
export function mirrorRequests(metrics: Metrics): { manifests: CountResult; blobs: CountResult } {
  const counter = metrics.counter({
    name: 'slipway_mirror_requests_total',
    help: 'What was asked of mirrored repositories, by how it was answered.',
    labels: ['kind', 'result'],
  });
  return {
    manifests: (result) => counter.add({ kind: 'manifest', result }),
    blobs: (result) => counter.add({ kind: 'blob', result }),
  };
}
