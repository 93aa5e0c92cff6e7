import type { RegistryDatabase } from '#database/registry/open.ts';
import { outdate } from '../auth-versions-repository.ts';

/** No access token lives longer, in milliseconds; what was revoked before then needs no remembering. */
export const LONGEST_LIFE = 24 * 60 * 60_000;

/** Makes all tokens of a principal worthless: refresh tokens now, access tokens once every process has heard. */
export async function revokeTokens(trx: RegistryDatabase, principal: string): Promise<void> {
  const now = Date.now();
  await trx.deleteFrom('refresh_tokens').where('principal', '=', principal).execute();
  await trx
    .deleteFrom('revocations')
    .where('issued_before', '<', now - LONGEST_LIFE - 60 * 60_000)
    .execute();
  await trx
    .insertInto('revocations')
    .values({ principal, issued_before: now })
    .onConflict((conflict) => conflict.column('principal').doUpdateSet({ issued_before: now }))
    .execute();
  await outdate(trx, 'policies');
}

/** Leaves nothing of a user or robot that goes: another one of that name begins with nothing. */
export async function removePrincipal(trx: RegistryDatabase, principal: string): Promise<void> {
  await revokeTokens(trx, principal);
  await trx.deleteFrom('secrets').where('owner', '=', principal).execute();
  await trx.deleteFrom('grants').where('subject', '=', principal).execute();
  await trx.deleteFrom('group_members').where('member', '=', principal).execute();
}
