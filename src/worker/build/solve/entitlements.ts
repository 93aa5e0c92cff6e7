import { forbidden } from '#errors/errors.ts';
import type { Vertex } from '../llb/vertex.ts';
import type { BuildLimits } from './op-driver.ts';
import { blame } from './solve-error.ts';

/** Throws `forbidden` for a vertex that wants what its build was not given. */
export function refuseUnentitled(vertex: Vertex, given: BuildLimits['entitlements']): void {
  const { op } = vertex;
  if (op.kind !== 'exec') return;
  const needed = [
    ...(op.network === 'host' ? (['network.host'] as const) : []),
    ...(op.security === 'insecure' ? (['security.insecure'] as const) : []),
  ];
  const refused = needed.find((entitlement) => !given.has(entitlement));
  if (refused) throw blame(forbidden(`failed to load LLB: ${refused} is not allowed`), vertex);
}
