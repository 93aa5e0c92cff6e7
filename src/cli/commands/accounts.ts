import type { Actor } from '#auth/actor.ts';
import type { Auth } from '#auth/auth.ts';
import { type Permission, parsePermission } from '#auth/policies/grant.ts';
import { Refusal } from '../refusal.ts';
import { openAuth } from '../registry/auth.ts';
import { openRegistryStorage } from '../registry/storage.ts';
import type { Invocation } from './command.ts';

/** Pages are read in steps of this many. */
const PAGE = 500;

/** Whoever may write to the registry's data is the registry, as far as its audit log can tell. */
export function commandActor(command: string): Actor {
  return { principal: 'system', userAgent: `slipway ${command}` };
}

/** Does something with the accounts in the registry's database, whether or not it runs. */
export async function withAccounts<T>(
  { config }: Pick<Invocation, 'config'>,
  task: (auth: Auth) => Promise<T>,
): Promise<T> {
  await using storage = await openRegistryStorage(config);
  return await task(openAuth(storage.db, config.registry.auth));
}

/** Everything that a service lists by name. */
export async function listAll<Item extends { readonly name: string }>(service: {
  list(options: { limit: number; last?: string | undefined }): Promise<Item[]>;
}): Promise<Item[]> {
  const all: Item[] = [];
  for (;;) {
    const page = await service.list({ limit: PAGE, last: all.at(-1)?.name });
    all.push(...page);
    if (page.length < PAGE) return all;
  }
}

/** `pull,push` */
export function parseActions(text: string): string[] {
  return text.split(',').map((action) => action.trim());
}

/** `team/**=pull,push` as a command line says it. Throws `Refusal`, and `invalid` for what cannot be granted. */
export function permissionOf(text: string): Permission {
  const [, pattern, actions] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (pattern && actions) return parsePermission({ pattern, actions: parseActions(actions) });
  throw new Refusal(`'${text}': expected PATTERN=ACTIONS, such as 'team/**=pull,push'`, { exitCode: 2 });
}

/** The values of an option that may be repeated. */
export function many(value: Invocation['options'][string]): string[] {
  return Array.isArray(value) ? (value as string[]) : [];
}
