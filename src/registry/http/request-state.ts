import type { Context, Next } from 'koa';
import type { Access, Action } from '#auth/access.ts';
import type { Authenticator, Wanted } from '#auth/authenticator.ts';
import { isKind, unauthorized } from '#errors/errors.ts';
import { parseRepositoryName, type RepositoryName } from '#oci/reference.ts';
import type { Actor } from '../events/event.ts';
import { segment } from './parameters.ts';
import { requestIdOf } from './request-id.ts';

interface RequestState {
  readonly access: Access;
  readonly challenge: (wanted?: Wanted, error?: string) => string | undefined;
}

/** The actions that a client is told to ask for: whoever pushes looks first at what is there. */
const ASKED: Readonly<Record<Action, readonly Action[]>> = {
  pull: ['pull'],
  push: ['pull', 'push'],
  delete: ['delete'],
};

/** Finds out who asks, before anything else is looked at. */
export function authentication(authenticator: Authenticator) {
  return async (ctx: Context, next: Next): Promise<void> => {
    const challenge: RequestState['challenge'] = (wanted, error) =>
      authenticator.challenge({ origin: originOf(ctx) }, wanted, error);
    try {
      const access = await authenticator.authenticate({
        authorization: ctx.get('Authorization'),
        address: ctx.ip,
      });
      Object.assign(ctx.state, { access, challenge } satisfies RequestState);
    } catch (error) {
      if (isKind(error, 'unauthorized')) setChallenge(ctx, challenge(undefined, 'invalid_token'));
      throw error;
    }
    await next();
  };
}

/**
 * The repository that the path names, for someone who may do this to it: the one way to a repository's name, so that
 * no handler can forget to ask. Throws `invalid` (`NAME_INVALID`) or `unauthorized`.
 */
export function repositoryFor(ctx: Context, action: Action): RepositoryName {
  const repository = parseRepositoryName(segment(ctx, 0));
  if (accessOf(ctx).allows(repository, action)) return repository;
  throw lacking(ctx, { type: 'repository', name: repository, actions: ASKED[action] });
}

/** Throws `unauthorized` unless the request came to see lists of repositories, whichever they may name. */
export function expectListing(ctx: Context): void {
  if (accessOf(ctx).lists) return;
  throw lacking(ctx, { type: 'registry', name: 'catalog', actions: ['*'] });
}

/** Throws `unauthorized` for a request without credentials, where there are any to have: logins are tried so. */
export function expectCredentials(ctx: Context): void {
  const header = (ctx.state as RequestState).challenge();
  if (ctx.get('Authorization') !== '' || header === undefined) return;
  setChallenge(ctx, header);
  throw unauthorized('authentication required');
}

/** Tells a caller of the admin API how to get access to it. */
export function setApiChallenge(ctx: Context): void {
  const { challenge } = ctx.state as RequestState;
  const error = ctx.get('Authorization') === '' ? undefined : 'insufficient_scope';
  setChallenge(ctx, challenge({ type: 'slipway', name: 'api', actions: ['*'] }, error));
}

/** Says what a token would have to be for. */
function lacking(ctx: Context, wanted: Wanted) {
  const named = ctx.get('Authorization') !== '';
  const { challenge } = ctx.state as RequestState;
  setChallenge(ctx, challenge(wanted, named ? 'insufficient_scope' : undefined));
  const detail = [{ Type: wanted.type, Name: wanted.name, Actions: wanted.actions }];
  if (!named) return unauthorized('authentication required', { detail });
  return unauthorized('requested access to the resource is denied', { code: 'DENIED', detail });
}

export function accessOf(ctx: Context): Access {
  return (ctx.state as RequestState).access;
}

/** Who makes the change that this request asks for. */
export function actorOf(ctx: Context): Actor {
  return {
    principal: accessOf(ctx).principal,
    address: ctx.ip,
    userAgent: ctx.get('User-Agent') || undefined,
    requestId: requestIdOf(ctx),
  };
}

function setChallenge(ctx: Context, header: string | undefined): void {
  if (header !== undefined) ctx.set('WWW-Authenticate', header);
}

/** How the client reached us; what a `Host` header says that is none is not repeated. */
export function originOf(ctx: Context): string {
  const origin = `${ctx.protocol}://${ctx.host}`;
  return URL.canParse(origin) ? new URL(origin).origin : `${ctx.protocol}://localhost`;
}
