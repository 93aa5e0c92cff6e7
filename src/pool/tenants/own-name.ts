import { forbidden } from '#errors/errors.ts';
import type { TenantIdentity } from './tenant-header.ts';

/** What a tenant's clients leave unsaid, and what they may say: that they ask for themselves. */
const UNSAID = 'default';

/** The tenant's name, whatever its clients call it. Throws `forbidden` for another one's. */
export function ownName({ name }: TenantIdentity, said: string = UNSAID): string {
  if (said === UNSAID || said === name) return name;
  throw forbidden(`you are the tenant '${name}' here, not '${said}'`);
}
