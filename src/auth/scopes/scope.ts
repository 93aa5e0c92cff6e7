/**
 * What a token is asked for: `type[(class)]:name:action[,action]` (distribution, docs/spec/auth/scope.md). Names may
 * hold colons (`host:port/path`), so a scope is read from both of its ends.
 */
export interface Scope {
  /** `repository`, `registry` … */
  readonly type: string;
  /** `plugin` in `repository(plugin)`; `''` mostly. */
  readonly class: string;
  readonly name: string;
  /** Without repetitions, in the order they were asked for. */
  readonly actions: readonly string[];
}

/** Longer ones are nobody's: a name has 255 characters at most. */
const MAX_LENGTH = 600;
const TYPE = /^([a-z0-9]+)(?:\(([a-z0-9]+)\))?$/;
const ACTIONS = /^(?:[a-z]+|\*)(?:,(?:[a-z]+|\*))*$/;

/** Undefined for what is not a scope. No actions at all (`repository:a:`) are actions. */
export function parseScope(text: string): Scope | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  const first = text.indexOf(':');
  const last = text.lastIndexOf(':');
  if (first < 0 || first === last) return undefined;
  const [, type, kind = ''] = TYPE.exec(text.slice(0, first)) ?? [];
  const name = text.slice(first + 1, last);
  const actions = text.slice(last + 1);
  if (type === undefined || !/^[\x21-\x7e]+$/.test(name)) return undefined;
  if (actions !== '' && !ACTIONS.test(actions)) return undefined;
  return { type, class: kind, name, actions: actions === '' ? [] : [...new Set(actions.split(','))] };
}

export function formatScope(scope: Scope): string {
  const kind = scope.class === '' ? '' : `(${scope.class})`;
  return `${scope.type}${kind}:${scope.name}:${scope.actions.join(',')}`;
}

export function isForPush({ type, actions }: Scope): boolean {
  return type === 'repository' && actions.includes('push');
}

/** Those that name the same thing become one with the actions of all. */
export function mergeScopes(scopes: readonly Scope[]): Scope[] {
  const merged = new Map<string, Scope>();
  for (const scope of scopes) {
    const key = `${scope.type}(${scope.class}):${scope.name}`;
    const actions = [...new Set([...(merged.get(key)?.actions ?? []), ...scope.actions])];
    merged.set(key, { ...scope, actions });
  }
  return [...merged.values()];
}
