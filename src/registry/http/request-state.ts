import type { Context, Next } from 'koa';
import type { Access, Action } from '#auth/access.ts';
import type { Authenticator } from '#auth/authenticator.ts';
import { isKind, unauthorized } from '#errors/errors.ts';
import { parseRepositoryName, type RepositoryName } from '#oci/reference.ts';
import type { Actor } from '../events/event.ts';
import { segment } from './parameters.ts';
import { requestIdOf } from './request-id.ts';

interface RequestState {
  readonly access: Access;
  readonly challenge: Authenticator['challenge'];
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
    const challenge: Authenticator['challenge'] = (wanted, error) => authenticator.challenge(wanted, error);
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
  const { access, challenge } = ctx.state as RequestState;
  if (access.allows(repository, action)) return repository;
  const named = ctx.get('Authorization') !== '';
  setChallenge(
    ctx,
    challenge({ repository, actions: ASKED[action] }, named ? 'insufficient_scope' : undefined),
  );
  throw unauthorized(named ? 'requested access to the resource is denied' : 'authentication required', {
    detail: [{ Type: 'repository', Name: repository, Action: action }],
  });
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

/** Tells the client how to get access. */
export function setChallenge(
  ctx: Context,
  header: string | undefined = (ctx.state as RequestState).challenge(),
): void {
  if (header !== undefined) ctx.set('WWW-Authenticate', header);
}
