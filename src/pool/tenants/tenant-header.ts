import { z } from 'zod';
import { unauthorized } from '#errors/errors.ts';
import { type TenantPolicy, tenantPolicy } from './tenant-policy.ts';

/** Also a folder's name on workers. */
export const TENANT_NAME = /^[a-z0-9](?:[a-z0-9._-]{0,98}[a-z0-9])?$/;

/** For whom a gateway asks, and what a worker has to hold them to. */
export interface TenantIdentity {
  readonly name: string;
  /**
   * Whose name it is, of those who had it one after the other: larger than that of anybody who was removed, 0 where it is not
   * said. What a worker has is one generation's, and no other gets it.
   */
  readonly generation?: number | undefined;
  readonly policy: TenantPolicy;
}

/**
 * On every request of a gateway to a worker, in the place of whatever a client said there. Only gateways reach a worker's
 * port of the pool, so it needs no signature; what reaches its unix socket is the machine's root, and makes itself smaller.
 */
export const TENANT_HEADER = 'slipway-tenant';

/** Whoever runs the pool: no tenant. Said, so that saying nothing is nobody's right. */
export const OPERATOR = 'operator';

export function generationOf({ generation = 0 }: { readonly generation?: number | undefined }): number {
  return generation;
}

const MAX_HEADER = 16 * 1024;

const shape = z.strictObject({
  name: z.string().regex(TENANT_NAME),
  generation: z.int().nonnegative().optional(),
  policy: tenantPolicy,
});

/** Undefined for the operator. */
export function writeTenant(tenant: TenantIdentity | undefined): string {
  return tenant === undefined ? OPERATOR : Buffer.from(JSON.stringify(tenant)).toString('base64url');
}

/** Undefined for the operator. Throws `unauthorized` for what is neither. */
export function readTenant(header: string): TenantIdentity | undefined {
  if (header === OPERATOR) return undefined;
  if (header.length <= MAX_HEADER) {
    const read = shape.safeParse(jsonOf(header));
    if (read.success) return read.data;
  }
  throw unauthorized('for whom this is asked cannot be read');
}

function jsonOf(header: string): unknown {
  try {
    return JSON.parse(Buffer.from(header, 'base64url').toString());
  } catch {
    return undefined;
  }
}
